/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The limits of messages: one more than allowed has an error of its own, and the request can still
 * be answered, since its id and operation are known.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "proto/frame.h"
#include "proto/kms.pb-c.h"
#include "proto/message.h"
#include "tests/unit/ossl_fault.h"
#include "tests/unit/wire.h"

enum {
	ARENA_LIMIT = 1 << 20,
	ID = 77,
	ISSUE = 30, /* numbers of kms.proto */
	WRAP = 31,
	REWRAP = 33
};

static struct request decoded(const struct buf *b, size_t limit, kms_err expected)
{
	AUTO(arena_done) struct arena a;
	struct request r;

	arena_init(&a, limit);
	assert_int_equal(request_decode(buf_bytes(b), &a, &r), expected);
	/* What is borrowed dies here; numbers are what the tests look at. */
	return r;
}

static void put_pairs(struct buf *b, uint32_t number, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		AUTO(buf_done) struct buf pair = { 0 };
		char name[] = "a";

		name[0] = (char)('a' + i);
		wire_text(&pair, 1, name);
		wire_bytes(b, number, buf_bytes(&pair));
	}
}

static void put_items(struct buf *b, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		AUTO(buf_done) struct buf item = { 0 };

		wire_text(&item, 1, "data");
		wire_bytes(b, 2, buf_bytes(&item));
	}
}

/* The operation, then the id: what is known must not hang on their order. */
static void put_request(struct buf *b, uint32_t op, const struct buf *inner)
{
	wire_bytes(b, op, buf_bytes(inner));
	wire_number(b, 1, ID);
}

static void a_batch_has_its_limit(void **state)
{
	(void)state;
	for (size_t n = BATCH_MAX - 1; n <= BATCH_MAX + 2; n++) {
		AUTO(buf_done) struct buf inner = { 0 }, b = { 0 };
		bool over = n > BATCH_MAX;

		put_items(&inner, n);
		put_request(&b, WRAP, &inner);
		struct request r = decoded(&b, ARENA_LIMIT, over ? KMS_E_BATCH_TOO_BIG : KMS_OK);
		assert_int_equal(r.id, ID);
		assert_int_equal(r.op, OP_WRAP);
		assert_int_equal(r.item_count, over ? 0 : n);
	}
}

/* The list may be broken up by other fields. */
static void a_batch_in_pieces_has_the_same(void **state)
{
	AUTO(buf_done) struct buf inner = { 0 }, b = { 0 };

	(void)state;
	put_items(&inner, BATCH_MAX);
	wire_text(&inner, 1, "key");
	put_items(&inner, 1);
	put_request(&b, WRAP, &inner);
	struct request r = decoded(&b, ARENA_LIMIT, KMS_E_BATCH_TOO_BIG);
	assert_int_equal(r.id, ID);
	assert_int_equal(r.op, OP_WRAP);
}

static void a_context_has_its_limit(void **state)
{
	(void)state;
	for (size_t n = CONTEXT_MAX_PAIRS; n <= CONTEXT_MAX_PAIRS + 1; n++) {
		AUTO(buf_done) struct buf inner = { 0 }, b = { 0 };
		bool over = n > CONTEXT_MAX_PAIRS;

		put_pairs(&inner, 2, n);
		put_request(&b, ISSUE, &inner);
		struct request r = decoded(&b, ARENA_LIMIT, over ? KMS_E_BAD_CONTEXT : KMS_OK);
		assert_int_equal(r.id, ID);
		assert_int_equal(r.op, OP_ISSUE);
		assert_int_equal(r.context.n, over ? 0 : n);
	}
}

static void both_contexts_of_an_item_have_it(void **state)
{
	(void)state;
	for (unsigned which = 1; which <= 3; which++) {
		AUTO(buf_done) struct buf item = { 0 }, inner = { 0 }, b = { 0 };

		put_pairs(&item, 2, which & 1 ? CONTEXT_MAX_PAIRS + 1 : 1);
		put_pairs(&item, 3, which & 2 ? CONTEXT_MAX_PAIRS + 1 : 1);
		put_items(&inner, 3);
		wire_bytes(&inner, 2, buf_bytes(&item));
		put_items(&inner, 3);
		put_request(&b, REWRAP, &inner);
		struct request r = decoded(&b, ARENA_LIMIT, KMS_E_BAD_CONTEXT);
		assert_int_equal(r.id, ID);
		assert_int_equal(r.op, OP_REWRAP);
	}
}

/* What can't be read is worse than what is too much. */
static void a_broken_frame_comes_first(void **state)
{
	AUTO(buf_done) struct buf inner = { 0 }, b = { 0 };

	(void)state;
	put_items(&inner, BATCH_MAX + 1);
	put_request(&b, WRAP, &inner);
	wire_number(&b, 1, ID);
	(void)decoded(&b, ARENA_LIMIT, KMS_E_BAD_FRAME);
}

static void the_arena_has_its_limit(void **state)
{
	AUTO(buf_done) struct buf inner = { 0 }, b = { 0 };
	bool refused = false, taken = false;

	(void)state;
	put_items(&inner, 100);
	put_request(&b, WRAP, &inner);
	for (size_t limit = 0; limit < 32768; limit += 512) {
		AUTO(arena_done) struct arena a;
		struct request r;

		arena_init(&a, limit);
		kms_err e = request_decode(buf_bytes(&b), &a, &r);
		assert_true(e == KMS_OK || (e == KMS_E_NO_MEMORY && !taken));
		assert_int_equal(r.id, ID);
		assert_int_equal(r.op, OP_WRAP);
		refused = refused || e != KMS_OK;
		taken = taken || e == KMS_OK;
	}
	assert_true(refused && taken);
}

/* An empty element of two bytes must not cost more than the arena has. */
static void an_answers_lists_are_held_by_the_arena(void **state)
{
	static const uint32_t lists[] = { 13, 21, 30, 40 }; /* slots, keys, items, records */

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		AUTO(buf_done) struct buf inner = { 0 }, b = { 0 };
		AUTO(arena_done) struct arena a;
		struct answer out;

		for (size_t k = 0; k < 100000; k++)
			wire_bytes(&inner, 1, bytes_of(NULL, 0));
		wire_number(&b, 1, ID);
		wire_bytes(&b, lists[i], buf_bytes(&inner));
		arena_init(&a, ARENA_LIMIT);
		assert_int_equal(answer_decode(buf_bytes(&b), &a, &out), KMS_E_NO_MEMORY);
		assert_int_equal(out.id, ID);
		assert_true(a.used <= ARENA_LIMIT);
	}
}

/* ---- Encoding ------------------------------------------------------------------------------ */

static uint8_t large[FRAME_MAX];

static void a_request_frame_has_its_limit(void **state)
{
	struct request r = { .op = OP_NONE };
	AUTO(buf_done) struct buf b = { 0 };
	const size_t most = FRAME_MAX - 4; /* tag 1, length 3 */

	(void)state;
	r.subject = bytes_of(large, most);
	assert_int_equal(request_encode(&r, &b), KMS_OK);
	assert_int_equal(b.n, FRAME_HEAD + FRAME_MAX);
	buf_clear(&b);
	assert_int_equal(buf_put_u8(&b, 0x55), KMS_OK);
	r.subject.n++;
	assert_int_equal(request_encode(&r, &b), KMS_E_FRAME_TOO_BIG);
	assert_int_equal(b.n, 1);
}

static void an_answer_frame_has_its_limit(void **state)
{
	struct answer ans = { .kind = ANSWER_RANDOM };
	AUTO(buf_done) struct buf b = { 0 };

	(void)state;
	/* result: tag 2, length 3; in it tag 1, length 3 */
	ans.u.text = bytes_of(large, FRAME_MAX - 9);
	assert_int_equal(answer_encode(&ans, NULL, &b), KMS_OK);
	assert_int_equal(b.n, FRAME_HEAD + FRAME_MAX);
	ans.u.text.n++;
	assert_int_equal(answer_encode(&ans, NULL, &b), KMS_E_ANSWER_TOO_BIG);
	assert_int_equal(b.n, FRAME_HEAD + FRAME_MAX);
}

static void answers_are_appended(void **state)
{
	AUTO(buf_done) struct buf b = { 0 };
	const struct answer done = { .id = ID, .kind = ANSWER_DONE };
	struct bytes message;
	size_t used, need;

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(answer_encode(&done, NULL, &b), KMS_OK);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(frame_find(buf_bytes(&b), &message, &used, &need), KMS_OK);
		assert_true(used > 0);
		buf_drop(&b, used);
	}
	assert_int_equal(b.n, 0);
}

/* An empty element of a list is one; an empty message in place is left out, as protoc-c's are. */
static void empty_parts_are_kept_or_left_out(void **state)
{
	AUTO(buf_done) struct buf b = { 0 };
	const struct bytes records[] = { bytes_of(NULL, 0), bytes_of_str("x"), bytes_of(NULL, 0) };
	const struct version_info version = { .version = 1 };
	struct answer ans = { .kind = ANSWER_RECORDS };

	(void)state;
	ans.u.records.p = records;
	ans.u.records.n = ARRAY_LEN(records);
	assert_int_equal(answer_encode(&ans, NULL, &b), KMS_OK);
	Kms__Answer *p = kms__answer__unpack(NULL, b.n - FRAME_HEAD, b.p + FRAME_HEAD);
	assert_int_equal(p->records->n_records, 3);
	assert_int_equal(p->records->records[0].len + p->records->records[2].len, 0);
	kms__answer__free_unpacked(p, NULL);

	buf_clear(&b);
	ans = (struct answer){ .kind = ANSWER_KEY };
	ans.u.key.versions = &version;
	ans.u.key.version_n = 1;
	assert_int_equal(answer_encode(&ans, NULL, &b), KMS_OK);
	p = kms__answer__unpack(NULL, b.n - FRAME_HEAD, b.p + FRAME_HEAD);
	assert_int_equal(p->key->n_versions, 1);
	assert_null(p->key->versions[0]->counts);
	kms__answer__free_unpacked(p, NULL);
}

/* Under a sanitizer memory never fails. */
static void without_memory_nothing_is_written(void **state)
{
	AUTO(buf_done) struct buf b = { 0 };
	const struct answer done = { .kind = ANSWER_DONE };
	const struct request r = { .op = OP_SEAL };

	(void)state;
	fault_in = 1;
	kms_err e = answer_encode(&done, NULL, &b);
	assert_true(fault_in == 1 || (e == KMS_E_NO_MEMORY && b.n == 0));
	buf_done(&b);
	fault_in = 1;
	e = request_encode(&r, &b);
	assert_true(fault_in == 1 || (e == KMS_E_NO_MEMORY && b.n == 0));
	fault_in = 0;
}

/* An answer that says neither what went wrong nor what came out is a mistake of ours: say so. */
static void an_error_without_a_name_is_internal(void **state)
{
	AUTO(buf_done) struct buf b = { 0 };
	AUTO(arena_done) struct arena a;
	const struct answer nothing = { .id = ID, .kind = ANSWER_ERROR };
	struct answer out;

	(void)state;
	arena_init(&a, ARENA_LIMIT);
	assert_int_equal(answer_encode(&nothing, NULL, &b), KMS_OK);
	assert_int_equal(
	    answer_decode(bytes_of(b.p + FRAME_HEAD, b.n - FRAME_HEAD), &a, &out), KMS_OK);
	assert_int_equal(out.error.err, KMS_E_INTERNAL);
}

/* Whatever the words in the struct: code, name, text and hint are the error's. */
static void an_errors_words_are_its_own(void **state)
{
	AUTO(arena_done) struct arena a;

	(void)state;
	arena_init(&a, ARENA_LIMIT);
	for (unsigned e = KMS_OK + 1; e < KMS_ERR_COUNT; e++) {
		AUTO(buf_done) struct buf b = { 0 };
		const struct answer ans = { .kind = ANSWER_ERROR,
			.error = { .err = (kms_err)e,
			    .wire = WIRE_OK,
			    .code = bytes_of_str("lie"),
			    .text = bytes_of_str("lie"),
			    .detail = bytes_of_str("slot") } };
		struct answer out;

		assert_int_equal(answer_encode(&ans, NULL, &b), KMS_OK);
		assert_int_equal(
		    answer_decode(bytes_of(b.p + FRAME_HEAD, b.n - FRAME_HEAD), &a, &out), KMS_OK);
		assert_int_equal(out.error.err, e);
		assert_int_equal(out.error.wire, err_wire((kms_err)e));
		assert_true(bytes_equal(out.error.text, bytes_of_str(err_text((kms_err)e))));
		assert_true(bytes_equal(out.error.detail, bytes_of_str("slot")));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_batch_has_its_limit),
		cmocka_unit_test(a_batch_in_pieces_has_the_same),
		cmocka_unit_test(a_context_has_its_limit),
		cmocka_unit_test(both_contexts_of_an_item_have_it),
		cmocka_unit_test(a_broken_frame_comes_first),
		cmocka_unit_test(the_arena_has_its_limit),
		cmocka_unit_test(an_answers_lists_are_held_by_the_arena),
		cmocka_unit_test(a_request_frame_has_its_limit),
		cmocka_unit_test(an_answer_frame_has_its_limit),
		cmocka_unit_test(answers_are_appended),
		cmocka_unit_test(empty_parts_are_kept_or_left_out),
		cmocka_unit_test(without_memory_nothing_is_written),
		cmocka_unit_test(an_error_without_a_name_is_internal),
		cmocka_unit_test(an_errors_words_are_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
