/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libkms with many requests under way (kms/client/submit.c, kms/client/flight.c): what each sends,
 * answers in any order, lost connections, full buffers on both sides, signals. Every id comes back
 * once.
 */
#include "kms/client/kms.h"

#include <signal.h>
#include <sys/time.h>

#include "tests/unit/sent.h"

enum {
	DEADLINE = 20000 /* ms; never reached unless something hangs */
};

/* What a test tells the fake to do. */
struct script {
	uint64_t ids[8];
	size_t n;        /* of ids seen */
	size_t hold;     /* answer when so many requests are there, the last first */
	size_t answered; /* and then only so many */
};

/* ---- What each sends ---------------------------------------------------------------------- */

/* The answer to what was submitted last, which was sent as `want` says. */
static struct kms_result *comes_back(
    struct fake *f, struct kms *c, uint64_t id, const struct request *want)
{
	struct kms_result *r = NULL;
	uint64_t got = 0;

	assert_int_equal(kms_in_flight(c), 1);
	assert_int_equal(kms_wait(c, -1, &got, &r), KMS_CODE_OK);
	assert_true(id != 0 && got == id);
	assert_non_null(r);
	assert_sent(f, *want, false);
	return r;
}

static void what_is_submitted_is_sent(void **state)
{
	const struct kms_task tasks[] = { { .data = kms_bytes_of("data", 4), .context = context },
		{ .data = kms_bytes_of("more", 4) } };
	const struct item items[] = { { .data = TEXT("data"), .context = { wire_pairs, 2 } },
		{ .data = TEXT("more") } };
	const struct request status = { .op = OP_STATUS };
	const struct request issue = { .op = OP_ISSUE,
		.key = TEXT("rec"),
		.count = 2,
		.wrapped_only = true,
		.context = { wire_pairs, 2 } };
	const struct request unwrap = { .op = OP_UNWRAP, .items = items, .item_count = 2 };
	const struct request draw = { .op = OP_RANDOM, .count = 4 };
	const struct request read = { .op = OP_AUDIT_READ, .from = 40, .count = 2, .wait = true };
	struct fake *f = *state;
	AUTO(kms_close) struct kms *c = fake_client(f, DEADLINE);
	struct kms_result *r;
	uint64_t id = 0;
	size_t n;

	assert_int_equal(kms_submit_status(c, &id), KMS_CODE_OK);
	r = comes_back(f, c, id, &status);
	assert_string_equal(kms_result_status(r)->state, "sealed");
	kms_result_free(&r);
	assert_int_equal(kms_submit_issue(c, "rec", &context, 2, true, &id), KMS_CODE_OK);
	r = comes_back(f, c, id, &issue);
	assert_non_null(kms_result_items(r, &n));
	assert_int_equal(n, 2);
	kms_result_free(&r);
	assert_int_equal(kms_submit_batch(c, KMS_UNWRAP, NULL, tasks, 2, &id), KMS_CODE_OK);
	r = comes_back(f, c, id, &unwrap);
	assert_int_equal(kms_result_items(r, &n)[1].code, KMS_CODE_INTEGRITY);
	kms_result_free(&r);
	assert_int_equal(kms_submit_random(c, 4, &id), KMS_CODE_OK);
	r = comes_back(f, c, id, &draw);
	assert_memory_equal(kms_result_bytes(r).p, "dice", 4);
	kms_result_free(&r);
	assert_int_equal(kms_submit_audit_read(c, 40, 2, true, &id), KMS_CODE_OK);
	r = comes_back(f, c, id, &read);
	assert_int_equal(kms_result_records(r)->first, 40);
	kms_result_free(&r);
}

/* Refused before anything goes into the buffer: no id, nothing under way, no connection harmed. */
static void what_cannot_be_submitted_leaves_nothing(void **state)
{
	static struct kms_task tasks[BATCH_MAX + 1];
	static struct kms_pair many[CONTEXT_MAX_PAIRS + 1];
	const struct kms_context wide = { many, CONTEXT_MAX_PAIRS + 1 };
	struct fake *f = *state;
	AUTO(kms_close) struct kms *c = fake_client(f, DEADLINE);
	uint64_t id = 77;

	assert_int_equal(
	    kms_submit_issue(c, "rec", NULL, BATCH_MAX + 1, false, &id), KMS_CODE_TOO_BIG);
	assert_int_equal(kms_submit_issue(c, "rec", &wide, 1, false, &id), KMS_CODE_BAD_REQUEST);
	assert_string_equal(kms_last_error(c)->name, err_name(KMS_E_BAD_CONTEXT));
	assert_int_equal(
	    kms_submit_batch(c, KMS_WRAP, "rec", tasks, BATCH_MAX + 1, &id), KMS_CODE_TOO_BIG);
	assert_int_equal(
	    kms_submit_batch(c, (enum kms_batch_op)9, "rec", tasks, 1, &id), KMS_CODE_BAD_REQUEST);
	assert_int_equal(id, 77);
	assert_int_equal(kms_in_flight(c), 0);
	assert_int_equal(kms_flush(c), KMS_CODE_OK);
	assert_int_equal(kms_submit_status(c, &id), KMS_CODE_OK);
	struct kms_result *r = comes_back(f, c, id, &(const struct request){ .op = OP_STATUS });
	kms_result_free(&r);
	assert_int_equal(f->requests, 1);
}

/* kmsd's refusal of one is that one's code, and its connection goes on. */
static bool serve_refusing(struct fake *f, const struct request *r)
{
	if (r->op == OP_RANDOM)
		fake_refuse(f, r->id, KMS_E_SEALED);
	else
		canned_serve(f, r);
	return true;
}

static void a_refusal_is_that_requests_alone(void **state)
{
	struct kms_result *r = NULL;
	struct fake f;
	uint64_t first, second, got;

	(void)state;
	fake_start(&f, serve_refusing, NULL);
	AUTO(kms_close) struct kms *c = fake_client(&f, DEADLINE);
	assert_int_equal(kms_submit_random(c, 4, &first), KMS_CODE_OK);
	assert_int_equal(kms_submit_status(c, &second), KMS_CODE_OK);
	assert_int_equal(kms_wait(c, -1, &got, &r), KMS_CODE_SEALED);
	assert_int_equal(got, first);
	assert_null(r);
	assert_string_equal(kms_last_error(c)->name, err_name(KMS_E_SEALED));
	assert_int_equal(kms_wait(c, -1, &got, &r), KMS_CODE_OK);
	assert_int_equal(got, second);
	assert_int_equal(f.connections, 1);
	kms_result_free(&r);
	fake_stop(&f);
}

/* ---- In any order ------------------------------------------------------------------------- */

static bool serve_last_first(struct fake *f, const struct request *r)
{
	struct script *s = f->user;

	s->ids[s->n++] = r->id;
	if (s->n < s->hold)
		return true;
	for (size_t i = 0; i < s->answered; i++)
		fake_done(f, s->ids[s->n - 1 - i]);
	s->n = 0;
	return s->answered == s->hold;
}

static void answers_come_in_any_order(void **state)
{
	struct script s = { .hold = 5, .answered = 5 };
	struct fake f;
	uint64_t ids[5];
	uint64_t got;

	(void)state;
	fake_start(&f, serve_last_first, &s);
	AUTO(kms_close) struct kms *c = fake_client(&f, DEADLINE);
	for (size_t i = 0; i < 5; i++)
		ids[i] = fake_submit_seal(c);
	assert_int_equal(kms_in_flight(c), 5);
	for (size_t i = 0; i < 5; i++) {
		AUTO(kms_result_free) struct kms_result *r = NULL;
		assert_int_equal(kms_wait(c, -1, &got, &r), KMS_CODE_OK);
		assert_int_equal(got, ids[4 - i]);
		assert_non_null(r);
	}
	assert_int_equal(kms_in_flight(c), 0);
	assert_int_equal(kms_wait(c, -1, &got, NULL), KMS_CODE_OK);
	assert_int_equal(got, 0);
	fake_stop(&f);
}

static void every_id_of_a_lost_connection_comes_back_once(void **state)
{
	struct script s = { .hold = 5, .answered = 2 };
	struct fake f;
	uint64_t ids[5];
	unsigned seen[5] = { 0 };
	unsigned codes[2] = { 0 };
	uint64_t got;

	(void)state;
	fake_start(&f, serve_last_first, &s);
	AUTO(kms_close) struct kms *c = fake_client(&f, DEADLINE);
	for (size_t i = 0; i < 5; i++)
		ids[i] = fake_submit_seal(c);
	for (size_t i = 0; i < 5; i++) {
		AUTO(kms_result_free) struct kms_result *r = NULL;
		enum kms_code code = kms_wait(c, -1, &got, &r);
		assert_true(code == KMS_CODE_OK || code == KMS_CODE_UNAVAILABLE);
		codes[code != KMS_CODE_OK]++;
		for (size_t k = 0; k < 5; k++)
			seen[k] += ids[k] == got;
	}
	for (size_t k = 0; k < 5; k++)
		assert_int_equal(seen[k], 1);
	assert_int_equal(codes[0], 2);
	assert_int_equal(codes[1], 3);
	assert_int_equal(kms_wait(c, 0, &got, NULL), KMS_CODE_OK);
	assert_int_equal(got, 0);
	assert_int_equal(f.requests, 5);
	assert_int_equal(kms_fd(c), -1);
	fake_stop(&f);
}

static void a_synchronous_call_leaves_the_others_alone(void **state)
{
	struct script s = { .hold = 3, .answered = 3 };
	struct fake f;
	uint64_t got;

	(void)state;
	fake_start(&f, serve_last_first, &s);
	AUTO(kms_close) struct kms *c = fake_client(&f, DEADLINE);
	uint64_t first = fake_submit_seal(c);
	uint64_t second = fake_submit_seal(c);
	assert_int_equal(kms_seal(c), KMS_CODE_OK);
	assert_int_equal(kms_in_flight(c), 2);
	assert_int_equal(kms_wait(c, -1, &got, NULL), KMS_CODE_OK);
	assert_int_equal(got, second);
	assert_int_equal(kms_wait(c, -1, &got, NULL), KMS_CODE_OK);
	assert_int_equal(got, first);
	fake_stop(&f);
}

static void at_most_1024_are_under_way(void **state)
{
	struct script s = { .hold = SIZE_MAX };
	struct fake f;
	uint64_t id;

	(void)state;
	fake_listen(&f, 4);
	f.user = &s;
	AUTO(kms_close) struct kms *c = fake_client(&f, DEADLINE);
	for (size_t i = 0; i < INFLIGHT_MAX; i++)
		assert_int_equal(kms_submit_status(c, &id), KMS_CODE_OK);
	assert_int_equal(kms_submit_status(c, &id), KMS_CODE_LIMIT);
	assert_string_equal(kms_last_error(c)->name, err_name(KMS_E_TOO_MANY));
	assert_int_equal(kms_seal(c), KMS_CODE_LIMIT);
	assert_int_equal(kms_wait(c, 0, &id, NULL), KMS_CODE_OK);
	assert_int_equal(id, 0);
	assert_int_equal(kms_in_flight(c), INFLIGHT_MAX);
	fake_stop(&f);
}

/* ---- Full buffers, signals ---------------------------------------------------------------- */

/* Reads no further before the whole answer has left: both sides' buffers fill up. */
static bool serve_echo(struct fake *f, const struct request *r)
{
	const struct item_result item = { .wrapped = r->items[0].data };

	fake_answer(
	    f, &(struct answer){ .id = r->id, .kind = ANSWER_ITEMS, .u.items = { &item, 1 } });
	return true;
}

static void on_alarm(int signal_number)
{
	(void)signal_number;
}

static void neither_side_blocks_the_other(void **state)
{
	enum {
		PIECE = 60000,
		ROUNDS = 600,
		WINDOW = 200
	};
	const struct sigaction act = { .sa_handler = on_alarm };
	const struct itimerval often = { { 0, 500 }, { 0, 500 } };
	const struct itimerval never = { { 0, 0 }, { 0, 0 } };
	struct kms_task task = { .data = { NULL, 0 } };
	uint8_t *data = calloc(1, PIECE);
	struct fake f;
	uint64_t id;
	size_t back = 0;

	(void)state;
	fake_start(&f, serve_echo, NULL);
	AUTO(kms_close) struct kms *c = fake_client(&f, DEADLINE);
	task.data = kms_bytes_of(data, PIECE);
	/* No SA_RESTART: every call that can be interrupted is. */
	assert_int_equal(sigaction(SIGALRM, &act, NULL), 0);
	assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
	for (size_t i = 0; i < ROUNDS + WINDOW; i++) {
		if (i < ROUNDS)
			assert_int_equal(kms_submit_batch(c, KMS_WRAP, "rec", &task, 1, &id), 0);
		if (i < WINDOW)
			continue;
		AUTO(kms_result_free) struct kms_result *r = NULL;
		size_t n;
		assert_int_equal(kms_wait(c, -1, &id, &r), KMS_CODE_OK);
		assert_int_equal(kms_result_items(r, &n)->wrapped.n, PIECE);
		back++;
	}
	assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
	assert_int_equal(back, ROUNDS);
	/* What has been sent was forgotten on the way. */
	assert_true(c->out.cap <= (size_t)4 * WINDOW * PIECE);
	free(data);
	fake_stop(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    what_is_submitted_is_sent, canned_start, canned_stop),
		cmocka_unit_test_setup_teardown(
		    what_cannot_be_submitted_leaves_nothing, canned_start, canned_stop),
		cmocka_unit_test(a_refusal_is_that_requests_alone),
		cmocka_unit_test(answers_come_in_any_order),
		cmocka_unit_test(every_id_of_a_lost_connection_comes_back_once),
		cmocka_unit_test(a_synchronous_call_leaves_the_others_alone),
		cmocka_unit_test(at_most_1024_are_under_way),
		cmocka_unit_test(neither_side_blocks_the_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
