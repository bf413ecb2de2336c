/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libkms when things go wrong: connections lost at any point, silence, peers that send rubbish
 * (kms/client/conn.c). Many requests under way: submit_test.c.
 */
#include "kms/client/kms.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/unit/fake_kmsd.h"

enum {
	DEADLINE = 20000, /* ms; never reached unless something hangs */
	SHORT = 60        /* ms; the test waits for it */
};

/* What a test tells the fake to do. */
struct script {
	unsigned drops; /* end the connection on so many requests */
	uint8_t keys[4][IDEMPOTENCY_LEN];
	uint64_t ids[4];
	size_t n;         /* of keys and ids seen */
	const char *what; /* name of the rubbish */
};

static bool serve_dropping(struct fake *f, const struct request *r)
{
	struct script *s = f->user;

	CHECK(s->n < ARRAY_LEN(s->keys));
	if (r->idempotency_key.n == IDEMPOTENCY_LEN)
		memcpy(s->keys[s->n], r->idempotency_key.p, IDEMPOTENCY_LEN);
	s->ids[s->n++] = r->id;
	if (s->drops > 0) {
		s->drops--;
		return false;
	}
	if (r->op == OP_KEY_ROTATE)
		fake_answer(f, &(struct answer){ .id = r->id, .kind = ANSWER_KEY });
	else
		fake_done(f, r->id);
	return true;
}

/* A call that fails, by the code and by the finer name. */
static void seal_fails(struct kms *c, enum kms_code code, kms_err e)
{
	assert_int_equal(kms_seal(c), code);
	assert_string_equal(kms_last_error(c)->name, err_name(e));
}

/* ---- Lost connections --------------------------------------------------------------------- */

static void a_change_is_sent_again_with_the_same_key(void **state)
{
	const struct kms_key_ref ref = { .key = "rec" };
	struct script s = { .drops = 1 };
	struct fake f;

	(void)state;
	fake_start(&f, serve_dropping, &s);
	AUTO(kms_close) struct kms *c = fake_client(&f, DEADLINE);
	assert_int_equal(kms_key_change(c, KMS_KEY_ROTATE, &ref, NULL), KMS_CODE_OK);
	assert_int_equal(s.n, 2);
	assert_int_equal(f.connections, 2);
	assert_memory_equal(s.keys[0], s.keys[1], IDEMPOTENCY_LEN);
	assert_int_not_equal(s.ids[0], s.ids[1]);

	/* The next change has a key of its own. */
	assert_int_equal(kms_key_change(c, KMS_KEY_ROTATE, &ref, NULL), KMS_CODE_OK);
	assert_memory_not_equal(s.keys[1], s.keys[2], IDEMPOTENCY_LEN);
	fake_stop(&f);
}

static void a_call_that_is_lost_twice_fails(void **state)
{
	struct script s = { .drops = 2 };
	struct fake f;

	(void)state;
	fake_start(&f, serve_dropping, &s);
	AUTO(kms_close) struct kms *c = fake_client(&f, DEADLINE);
	seal_fails(c, KMS_CODE_UNAVAILABLE, KMS_E_CONNECTION_LOST);
	assert_string_equal(kms_last_error(c)->code, "unavailable");
	assert_int_equal(kms_seal(c), KMS_CODE_OK);
	fake_stop(&f);
	assert_int_equal(s.n, 3);
}

static bool serve_and_leave(struct fake *f, const struct request *r)
{
	fake_done(f, r->id);
	return false;
}

static void a_restart_while_idle_costs_no_request(void **state)
{
	struct fake f;

	(void)state;
	fake_start(&f, serve_and_leave, NULL);
	AUTO(kms_close) struct kms *c = fake_client(&f, DEADLINE);
	for (unsigned i = 1; i <= 3; i++) {
		assert_int_equal(kms_seal(c), KMS_CODE_OK);
		/* Wait until it has gone, so that nothing of this is left to chance. */
		struct pollfd p = { .fd = kms_fd(c), .events = POLLIN };
		assert_int_equal(poll(&p, 1, -1), 1);
		assert_int_equal(f.requests, i);
	}
	fake_stop(&f);
}

/* ---- Silence ------------------------------------------------------------------------------ */

static bool serve_nothing(struct fake *f, const struct request *r)
{
	(void)f;
	(void)r;
	return true;
}

static void silence_ends_at_the_deadline(void **state)
{
	struct fake f;
	uint64_t ids[2];
	uint64_t got;

	(void)state;
	fake_start(&f, serve_nothing, NULL);
	AUTO(kms_close) struct kms *c = fake_client(&f, SHORT);
	seal_fails(c, KMS_CODE_UNAVAILABLE, KMS_E_TIMED_OUT);
	ids[0] = fake_submit_seal(c);
	ids[1] = fake_submit_seal(c);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(kms_wait(c, -1, &got, NULL), KMS_CODE_UNAVAILABLE);
		assert_int_equal(got, ids[i]);
	}
	fake_stop(&f);
	/* Nothing was asked twice. */
	assert_true(f.requests <= 3);
}

/* One byte each millisecond, for as long as somebody listens. */
static bool serve_dripping(struct fake *f, const struct request *r)
{
	const uint8_t head[FRAME_HEAD] = { 0, 0, 1, 0 };
	struct pollfd p = { .fd = f->fd };
	ssize_t n = send(f->fd, head, sizeof(head), MSG_NOSIGNAL);

	(void)r;
	while (n > 0 && poll(&p, 1, 1) == 0)
		n = send(f->fd, "x", 1, MSG_NOSIGNAL);
	return false;
}

static void a_dripping_peer_does_not_hold_us(void **state)
{
	struct fake f;

	(void)state;
	fake_start(&f, serve_dripping, NULL);
	AUTO(kms_close) struct kms *c = fake_client(&f, SHORT);
	seal_fails(c, KMS_CODE_UNAVAILABLE, KMS_E_TIMED_OUT);
	kms_close(&c);
	fake_stop(&f);
}

/* ---- Rubbish ------------------------------------------------------------------------------ */

static void put_answer(struct buf *out, const struct answer *a)
{
	CHECK(answer_encode(a, NULL, out) == KMS_OK);
}

static void put_raw(struct buf *out, const char *bytes, size_t n)
{
	CHECK(buf_put(out, bytes_of(bytes, n)) == KMS_OK);
}

static bool serve_rubbish(struct fake *f, const struct request *r)
{
	const struct script *s = f->user;
	const struct item_result item = { .version = 1 };
	AUTO(buf_done) struct buf b = { .p = NULL };
	struct answer a = { .id = r->id, .kind = ANSWER_DONE };

	if (strcmp(s->what, "length 0") == 0)
		put_raw(&b, "\0\0\0\0", 4);
	else if (strcmp(s->what, "length 1 MiB + 1") == 0)
		put_raw(&b, "\1\0\x10\0", 4);
	else if (strcmp(s->what, "length 2^32 - 1") == 0)
		put_raw(&b, "\xff\xff\xff\xff", 4);
	else if (strcmp(s->what, "noise") == 0)
		put_raw(&b, "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
	else if (strcmp(s->what, "broken message") == 0)
		put_raw(&b, "\3\0\0\0\xff\xff\xff", 7);
	else if (strcmp(s->what, "empty answer") == 0)
		put_raw(&b, "\2\0\0\0\x08\1", 6);
	else if (strcmp(s->what, "another id") == 0)
		a.id ^= UINT64_C(1) << 40;
	else if (strcmp(s->what, "no id") == 0)
		a.id = 0;
	else if (strcmp(s->what, "twice") == 0)
		put_answer(&b, &(struct answer){ .id = r->id + 1024, .kind = ANSWER_DONE });
	else if (strcmp(s->what, "another kind") == 0)
		a = (struct answer){ .id = r->id, .kind = ANSWER_METRICS };
	else
		a = (struct answer){ .id = r->id, .kind = ANSWER_ITEMS, .u.items = { &item, 1 } };
	if (b.n == 0)
		put_answer(&b, &a);
	fake_send(f, buf_bytes(&b));
	return true;
}

static void rubbish_is_a_clean_error(void **state)
{
	static const char *const kinds[] = { "length 0", "length 1 MiB + 1", "length 2^32 - 1",
		"noise", "broken message", "empty answer", "another id", "no id", "twice",
		"another kind", "another number of items" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct script s = { .what = kinds[i] };
		struct fake f;
		fake_start(&f, serve_rubbish, &s);
		AUTO(kms_close) struct kms *c = fake_client(&f, DEADLINE);
		struct kms_result *r = NULL;

		assert_int_equal(kms_issue(c, "rec", NULL, 2, false, &r), KMS_CODE_UNAVAILABLE);
		assert_string_equal(kms_last_error(c)->name, err_name(KMS_E_BAD_ANSWER));
		assert_true(kms_last_error(c)->detail[0] != '\0');
		assert_null(r);
		/* Asking again would not help, and the connection is gone. */
		assert_int_equal(f.requests, 1);
		assert_int_equal(kms_fd(c), -1);
		fake_stop(&f);
	}
}

static bool serve_farewell(struct fake *f, const struct request *r)
{
	(void)r;
	fake_answer(f, &(struct answer){ .error = { .err = KMS_E_TOO_MANY,
	                                     .detail = TEXT("256 \x1b[1m\xc2\x9b!") } });
	return false;
}

static void what_kmsd_says_as_it_closes_is_passed_on(void **state)
{
	struct fake f;
	uint64_t got;

	(void)state;
	fake_start(&f, serve_farewell, NULL);
	AUTO(kms_close) struct kms *c = fake_client(&f, DEADLINE);
	seal_fails(c, KMS_CODE_LIMIT, KMS_E_TOO_MANY);
	/* Whatever would move a terminal's cursor is taken out. */
	assert_string_equal(kms_last_error(c)->detail, "256 ?[1m?"
	                                               "?!");
	uint64_t id = fake_submit_seal(c);
	assert_int_equal(kms_wait(c, -1, &got, NULL), KMS_CODE_LIMIT);
	assert_int_equal(got, id);
	fake_stop(&f);
}

static bool serve_in_crumbs(struct fake *f, const struct request *r)
{
	AUTO(buf_done) struct buf b = { .p = NULL };

	put_answer(&b, &(struct answer){ .id = r->id, .kind = ANSWER_DONE });
	for (size_t i = 0; i < b.n; i++)
		fake_send(f, bytes_of(b.p + i, 1));
	return true;
}

static void frames_may_come_in_parts(void **state)
{
	struct fake f;

	(void)state;
	fake_start(&f, serve_in_crumbs, NULL);
	AUTO(kms_close) struct kms *c = fake_client(&f, DEADLINE);
	for (size_t i = 0; i < 100; i++)
		assert_int_equal(kms_seal(c), KMS_CODE_OK);
	fake_stop(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_change_is_sent_again_with_the_same_key),
		cmocka_unit_test(a_call_that_is_lost_twice_fails),
		cmocka_unit_test(a_restart_while_idle_costs_no_request),
		cmocka_unit_test(silence_ends_at_the_deadline),
		cmocka_unit_test(a_dripping_peer_does_not_hold_us),
		cmocka_unit_test(rubbish_is_a_clean_error),
		cmocka_unit_test(what_kmsd_says_as_it_closes_is_passed_on),
		cmocka_unit_test(frames_may_come_in_parts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
