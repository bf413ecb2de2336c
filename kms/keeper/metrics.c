/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metrics: one counter for each operation and result, a histogram of latencies in powers of two,
 * and gauges that are read when they are asked for. Names end in their unit, as Prometheus wants.
 */
#include "kms/keeper/metrics.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kms/base/secret.h"
#include "kms/keeper/changes.h"
#include "kms/keeper/root.h"
#include "kms/keeper/server.h"
#include "kms/keeper/turn.h"

enum {
	BUCKETS = 24, /* up to 2^23 µs, about 8 s; what is slower counts in the last */
	LINE_MAX = 192
};

struct metrics {
	uint64_t results[OP_COUNT][KMS_ERR_COUNT];
	uint64_t latency[BUCKETS]; /* latency[i]: below 2^i µs */
	uint64_t latency_sum_us, latency_n;
};

kms_err metrics_new(struct metrics **out)
{
	struct metrics *m = calloc(1, sizeof(*m));
	if (m == NULL)
		return KMS_E_NO_MEMORY;
	*out = m;
	return KMS_OK;
}

void metrics_free(struct metrics **m)
{
	free(*m);
	*m = NULL;
}

void metrics_count(struct metrics *m, enum op op, kms_err result, uint32_t latency_us)
{
	m->results[op][result]++;
	size_t bucket = latency_us == 0 ? 0 : (size_t)(32 - __builtin_clz(latency_us));
	m->latency[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
	m->latency_sum_us += latency_us;
	m->latency_n++;
}

__attribute__((format(printf, 2, 3))) static kms_err put(struct buf *out, const char *format, ...)
{
	char line[LINE_MAX];
	va_list args;
	va_start(args, format);
	int n = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	CHECK(n > 0 && n < LINE_MAX);
	return buf_put(out, bytes_of(line, (size_t)n));
}

static kms_err put_requests(const struct metrics *m, struct buf *out)
{
	TRY(put(out, "# HELP kms_requests_total Requests and own acts, by operation and result.\n"
	             "# TYPE kms_requests_total counter\n"));
	for (unsigned op = 0; op < OP_COUNT; op++)
		for (unsigned e = 0; e < KMS_ERR_COUNT; e++)
			if (m->results[op][e] != 0)
				TRY(put(out,
				    "kms_requests_total{op=\"%s\",result=\"%s\"} %" PRIu64 "\n",
				    op_name((enum op)op), err_name((kms_err)e), m->results[op][e]));
	return KMS_OK;
}

static kms_err put_latency(const struct metrics *m, struct buf *out)
{
	uint64_t n = 0;
	TRY(put(out, "# HELP kms_request_seconds From the arrival of a request to its record.\n"
	             "# TYPE kms_request_seconds histogram\n"));
	for (unsigned i = 0; i < BUCKETS - 1; i++) {
		n += m->latency[i];
		TRY(put(out, "kms_request_seconds_bucket{le=\"%g\"} %" PRIu64 "\n",
		    (double)(1U << i) / 1e6, n));
	}
	TRY(put(out, "kms_request_seconds_bucket{le=\"+Inf\"} %" PRIu64 "\n", m->latency_n));
	/* Exact: of a sum that is rounded, the rate of a quiet minute would be lost. */
	TRY(put(out, "kms_request_seconds_sum %" PRIu64 ".%06" PRIu64 "\n",
	    m->latency_sum_us / 1000000, m->latency_sum_us % 1000000));
	return put(out, "kms_request_seconds_count %" PRIu64 "\n", m->latency_n);
}

struct gauge {
	const char *name, *help;
	uint64_t value;
};

static kms_err put_gauges(struct keeper *k, struct buf *out)
{
	const struct changes_counter counter = changes_counter(k->changes);
	bool open = root_state(k->root) == ROOT_UNSEALED;
	const struct gauge gauges[] = {
		{ "kms_unsealed", "1 while keys can be used.", open },
		{ "kms_keys", "Master keys.", open ? ring_count(k->ring) : 0 },
		{ "kms_key_versions", "Versions of master keys.",
		    open ? ring_version_count(k->ring) : 0 },
		{ "kms_connections", "Open connections.", server_count(k->server) },
		{ "kms_epoch", "The store's epoch.", open ? k->epoch.number : 0 },
		{ "kms_counter_behind", "1 while the hardware counter lags.", counter.behind },
		{ "kms_counter_moves", "Increments of the hardware counter since the start.",
		    counter.moves },
		{ "kms_audit_records", "Records of the log on disk.",
		    k->turn != NULL ? turn_durable(k->turn) : 0 },
		{ "kms_audit_failed", "1 while the log can't be written.",
		    k->turn == NULL || turn_state(k->turn) != KMS_OK },
		{ "kms_secrets_used", "Slots of locked memory in use.", secret_info().used },
		{ "kms_secrets_max", "Slots of locked memory.", secret_info().slots },
		{ "kms_keeper_starts", "Starts of the keeper since kmsd's own.", k->start->starts },
		{ "kms_start_time_seconds", "When the keeper started, since 1970.",
		    k->started_us / 1000000 },
	};
	for (size_t i = 0; i < ARRAY_LEN(gauges); i++)
		TRY(put(out, "# HELP %s %s\n# TYPE %s gauge\n%s %" PRIu64 "\n", gauges[i].name,
		    gauges[i].help, gauges[i].name, gauges[i].name, gauges[i].value));
	return KMS_OK;
}

kms_err metrics_text(struct keeper *k, struct buf *out)
{
	TRY(put_requests(k->metrics, out));
	TRY(put_latency(k->metrics, out));
	return put_gauges(k, out);
}
