/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kms/keeper/metrics.c through a whole keeper: what is counted, what is not, where a latency falls,
 * and gauges that follow the state. The text is held to Prometheus' rules.
 */
#include "kms/keeper/metrics.h"

#include "tests/unit/keeper_world.h"

enum {
	NAME_LEN = 128
};

static char *text_of(struct world *w)
{
	AUTO(buf_done) struct buf b = { .n = 0 };

	assert_int_equal(metrics_text(&w->rig.k, &b), KMS_OK);
	char *text = strndup((const char *)b.p, b.n);
	assert_non_null(text);
	return text;
}

/* The value of a sample, by its name with labels; -1: there is none. */
static double sample(struct world *w, const char *name)
{
	char start[NAME_LEN];
	char *text = text_of(w);
	double value = -1;

	(void)snprintf(start, sizeof(start), "\n%s ", name);
	const char *at = strstr(text, start);
	if (at != NULL)
		value = strtod(at + strlen(start), NULL);
	free(text);
	return value;
}

static double bucket(struct world *w, const char *le)
{
	char name[NAME_LEN];

	(void)snprintf(name, sizeof(name), "kms_request_seconds_bucket{le=\"%s\"}", le);
	return sample(w, name);
}

#define ASSERT_SAMPLE(w, name, value) assert_true(sample((w), (name)) == (double)(value))

static void requests_are_counted_by_their_result(void **state)
{
	static const char good[] = "kms_requests_total{op=\"key-show\",result=\"ok\"}";
	static const char bad[] = "kms_requests_total{op=\"key-show\",result=\"not_found\"}";
	struct world *w = *state;

	/* What never happened has no line. */
	ASSERT_SAMPLE(w, good, -1);
	ASSERT_SAMPLE(w, bad, -1);
	assert_int_equal(ask_key(w, OP_KEY_SHOW, "rec"), KMS_OK);
	assert_int_equal(ask_key(w, OP_KEY_SHOW, "rec"), KMS_OK);
	assert_int_equal(ask_key(w, OP_KEY_SHOW, "none"), KMS_E_NOT_FOUND);
	ASSERT_SAMPLE(w, good, 2);
	ASSERT_SAMPLE(w, bad, 1);
	ASSERT_SAMPLE(w, "kms_requests_total{op=\"key-create\",result=\"ok\"}", 1);
	ASSERT_SAMPLE(w, "kms_requests_total{op=\"key-create\",result=\"exists\"}", -1);
}

static void a_latency_falls_below_its_bound(void **state)
{
	struct world *w = *state;
	struct metrics *fresh = NULL, *own = w->rig.k.metrics;

	assert_int_equal(metrics_new(&fresh), KMS_OK);
	w->rig.k.metrics = fresh;
	ASSERT_SAMPLE(w, "kms_request_seconds_count", 0);
	metrics_count(fresh, OP_ISSUE, KMS_OK, 0);
	metrics_count(fresh, OP_ISSUE, KMS_OK, 1);
	metrics_count(fresh, OP_ISSUE, KMS_OK, 1023);
	metrics_count(fresh, OP_ISSUE, KMS_OK, 1024);
	assert_true(bucket(w, "1e-06") == 1);
	assert_true(bucket(w, "2e-06") == 2);
	assert_true(bucket(w, "0.000512") == 2);
	assert_true(bucket(w, "0.001024") == 3);
	assert_true(bucket(w, "0.002048") == 4);
	assert_true(bucket(w, "+Inf") == 4);

	/* Slower than the last bound: nowhere but in the sum, the count and +Inf. */
	metrics_count(fresh, OP_ISSUE, KMS_OK, UINT32_MAX);
	assert_true(bucket(w, "4.1943") == 4);
	assert_true(bucket(w, "+Inf") == 5);
	ASSERT_SAMPLE(w, "kms_request_seconds_count", 5);
	w->rig.k.metrics = own;
	metrics_free(&fresh);
	assert_null(fresh);
}

static void the_sum_does_not_lose_microseconds(void **state)
{
	struct world *w = *state;
	struct metrics *fresh = NULL, *own = w->rig.k.metrics;

	assert_int_equal(metrics_new(&fresh), KMS_OK);
	w->rig.k.metrics = fresh;
	for (int i = 0; i < 1000; i++)
		metrics_count(fresh, OP_ISSUE, KMS_OK, 4000000000U);
	metrics_count(fresh, OP_ISSUE, KMS_OK, 1);
	char *text = text_of(w);
	assert_non_null(strstr(text, "\nkms_request_seconds_sum 4000000.000001\n"));
	free(text);
	w->rig.k.metrics = own;
	metrics_free(&fresh);
}

static void gauges_follow_the_state(void **state)
{
	struct world *w = *state;

	ASSERT_SAMPLE(w, "kms_unsealed", 1);
	ASSERT_SAMPLE(w, "kms_keys", 1);
	ASSERT_SAMPLE(w, "kms_key_versions", 1);
	ASSERT_SAMPLE(w, "kms_connections", 1);
	ASSERT_SAMPLE(w, "kms_audit_failed", 0);
	ASSERT_SAMPLE(w, "kms_keeper_starts", 1);
	double records = sample(w, "kms_audit_records"), epoch = sample(w, "kms_epoch");
	assert_int_equal(ask_key(w, OP_KEY_ROTATE, "rec"), KMS_OK);
	ASSERT_SAMPLE(w, "kms_keys", 1);
	ASSERT_SAMPLE(w, "kms_key_versions", 2);
	ASSERT_SAMPLE(w, "kms_epoch", epoch + 1);
	assert_true(sample(w, "kms_audit_records") >= records + 2);

	/* Sealed, it has nothing to count, and says so instead of what was true before. */
	assert_int_equal(ask(w, (struct request){ .op = OP_SEAL }), KMS_OK);
	ASSERT_SAMPLE(w, "kms_unsealed", 0);
	ASSERT_SAMPLE(w, "kms_keys", 0);
	ASSERT_SAMPLE(w, "kms_key_versions", 0);
	ASSERT_SAMPLE(w, "kms_epoch", 0);
	ASSERT_SAMPLE(w, "kms_connections", 1);
}

static void a_counter_that_lags_is_seen(void **state)
{
	struct world *w = *state;
	double moves = sample(w, "kms_counter_moves");

	ASSERT_SAMPLE(w, "kms_counter_behind", 0);
	fake_chip.fails = KMS_E_TPM_FAILED;
	assert_int_equal(ask_key(w, OP_KEY_CREATE, "more"), KMS_OK);
	ASSERT_SAMPLE(w, "kms_counter_behind", 1);
	ASSERT_SAMPLE(w, "kms_counter_moves", moves);
	fake_chip.fails = KMS_OK;
	assert_int_equal(ask_key(w, OP_KEY_ROTATE, "rec"), KMS_OK);
	ASSERT_SAMPLE(w, "kms_counter_behind", 0);
	ASSERT_SAMPLE(w, "kms_counter_moves", moves + 1);
}

/* HELP and TYPE once for each name, before its samples, and a number at the end of each line. */
static void the_text_is_well_formed(void **state)
{
	struct world *w = *state;
	char family[NAME_LEN] = "", *rest = NULL, *text = text_of(w);
	unsigned families = 0;

	assert_true(text[strlen(text) - 1] == '\n');
	for (char *line = strtok_r(text, "\n", &rest); line != NULL;
	     line = strtok_r(NULL, "\n", &rest)) {
		char name[NAME_LEN], *end = NULL;

		if (sscanf(line, "# HELP %100s", name) == 1) {
			assert_string_not_equal(name, family);
			(void)snprintf(family, sizeof(family), "%s", name);
			families++;
			continue;
		}
		if (sscanf(line, "# TYPE %100s", name) == 1) {
			assert_string_equal(name, family);
			continue;
		}
		assert_int_equal(strncmp(line, family, strlen(family)), 0);
		const char *value = strrchr(line, ' ');
		assert_non_null(value);
		(void)strtod(value + 1, &end);
		assert_true(end > value + 1 && *end == '\0');
	}
	assert_true(families > 10);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define IN_WORLD(f) cmocka_unit_test_setup_teardown(f, world_set_up, world_tear_down)
		IN_WORLD(requests_are_counted_by_their_result),
		IN_WORLD(a_latency_falls_below_its_bound),
		IN_WORLD(the_sum_does_not_lose_microseconds),
		IN_WORLD(gauges_follow_the_state),
		IN_WORLD(a_counter_that_lags_is_seen),
		IN_WORLD(the_text_is_well_formed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
