/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit record of an answer on one core, up to the hand-over: trail_append of the record of an
 * issue, with the group taken and freed after every 64; beside it the parts of which it is made.
 * Nothing is written. Prints ns for each; with --json one flat object.
 */
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "kms/audit/trail.h"
#include "kms/base/clock.h"

enum {
	CALLS = 65536, /* of one round */
	ROUNDS = 9,    /* the best counts: what disturbs a round only makes it slower */
	GROUP = 64     /* records */
};

struct work {
	struct trail *trail;
	struct record record;
	struct record_item item;
	struct buf encoded;
	struct tree tree;
	uint8_t leaf[SHA256_LEN];
	uint32_t crc;
};

static kms_err step_append(struct work *w)
{
	AUTO(trail_group_free) struct trail_group *g = NULL;

	TRY(trail_append(w->trail, &w->record));
	return trail_pending(w->trail) < GROUP ? KMS_OK : trail_take(w->trail, &g);
}

static kms_err step_encode(struct work *w)
{
	w->encoded.n = 0;
	return record_encode(&w->record, &w->encoded);
}

static kms_err step_leaf(struct work *w)
{
	return tree_leaf(buf_bytes(&w->encoded), w->leaf);
}

static kms_err step_tree(struct work *w)
{
	return tree_append(&w->tree, w->leaf);
}

static kms_err step_crc(struct work *w)
{
	w->crc = crc32c(w->crc, buf_bytes(&w->encoded));
	return KMS_OK;
}

static const struct {
	const char *name, *text;
	kms_err (*step)(struct work *w);
} steps[] = {
	{ "audit_append", "append a record, group of 64", step_append },
	{ "audit_encode", "encode it", step_encode },
	{ "audit_leaf", "its leaf hash", step_leaf },
	{ "audit_tree", "the tree's nodes", step_tree },
	{ "audit_crc", "its CRC", step_crc },
};

static kms_err prepare(struct work *w)
{
	static const uint8_t instance[INSTANCE_ID_LEN] = "bench";
	AUTO(secret_free) struct secret *key = NULL;
	AUTO(trail_end_done) struct trail_end end = { .fresh = true };

	TRY(secret_init(4, true));
	TRY(secret_new(KEY_BITS_LEN, &key));
	TRY(trail_new(&end, instance, SEGMENT_SIZE_DEFAULT, &w->trail));
	TRY(trail_set_key(w->trail, key));
	w->item.version = 1;
	memset(w->item.tag, 0x5a, sizeof(w->item.tag));
	w->record = (struct record){
		.time_us = 1772323200000000,
		.identity = bytes_of_str("unix:1000"),
		.source = bytes_of_str("unix"),
		.subject = bytes_of_str("agent-17"),
		.purpose = bytes_of_str("recording"),
		.op = OP_ISSUE,
		.key_class = bytes_of_str("default"),
		.version = 1,
		.batch = 1,
		.latency_us = 170,
	};
	memset(w->record.boot, 0x11, sizeof(w->record.boot));
	memset(w->record.key.b, 0x22, sizeof(w->record.key.b));
	memset(w->record.context_digest, 0x33, sizeof(w->record.context_digest));
	memset(w->record.tag, 0x44, sizeof(w->record.tag));
	return KMS_OK;
}

static void finish(struct work *w)
{
	trail_free(&w->trail);
	buf_done(&w->encoded);
	secret_done();
}

static kms_err measure(struct work *w, size_t step, double *out_ns)
{
	uint64_t best = UINT64_MAX;

	for (int round = 0; round < ROUNDS; round++) {
		uint64_t start = clock_mono_us();
		for (int i = 0; i < CALLS; i++)
			TRY(steps[step].step(w));
		uint64_t took = clock_mono_us() - start;
		best = took < best ? took : best;
	}
	*out_ns = (double)best * 1000 / CALLS;
	return KMS_OK;
}

static kms_err measure_all(struct work *w, double ns[static ARRAY_LEN(steps)])
{
	TRY(prepare(w));
	for (size_t i = 0; i < ARRAY_LEN(steps); i++)
		TRY(measure(w, i, &ns[i]));
	return KMS_OK;
}

static void print_text(const struct work *w, const double *ns)
{
	printf("a record of %zu bytes\n", w->encoded.n);
	for (size_t i = 0; i < ARRAY_LEN(steps); i++)
		printf("%-28s %7.0f ns %10.0f/s\n", steps[i].text, ns[i], 1e9 / ns[i]);
}

static void print_json(const double *ns)
{
	printf("{");
	for (size_t i = 0; i < ARRAY_LEN(steps); i++)
		printf("%s\"%s_ns\":%.0f,\"%s_ops\":%.0f", i == 0 ? "" : ",", steps[i].name, ns[i],
		    steps[i].name, 1e9 / ns[i]);
	printf("}\n");
}

/* Stays on the core where it is, unless the caller has pinned it already. */
static void pin(void)
{
	cpu_set_t here;
	int cpu = sched_getcpu();

	CPU_ZERO(&here);
	if (cpu >= 0) {
		CPU_SET((size_t)cpu, &here);
		(void)sched_setaffinity(0, sizeof(here), &here);
	}
}

int main(int argc, char **argv)
{
	static struct work w;
	double ns[ARRAY_LEN(steps)];

	pin();
	kms_err e = measure_all(&w, ns);
	if (e == KMS_OK && argc > 1 && strcmp(argv[1], "--json") == 0)
		print_json(ns);
	else if (e == KMS_OK)
		print_text(&w, ns);
	finish(&w);
	if (e == KMS_OK)
		return 0;
	fprintf(stderr, "audit_bench: %s\n", err_text(e));
	return 1;
}
