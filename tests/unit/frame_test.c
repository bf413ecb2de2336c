/* SPDX-License-Identifier: Apache-2.0 */
/* Frames in a stream: whole, cut at each byte, several at once, and lengths that are refused. */
#include "proto/frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "kms/base/buf.h"
#include "tests/unit/damage.h"

struct found {
	kms_err err;
	struct bytes message;
	size_t used, need;
};

/* In memory of exactly that size. */
static struct found find(struct bytes in)
{
	struct found f = { .used = 99, .need = 99 };
	uint8_t *p = damage_copy(in);

	f.err = frame_find(bytes_of(p, in.n), &f.message, &f.used, &f.need);
	if (f.message.p != NULL)
		f.message.p = in.p + (f.message.p - p);
	free(p);
	return f;
}

static void put_frame(struct buf *b, const char *message)
{
	assert_int_equal(buf_put_u32(b, (uint32_t)strlen(message)), KMS_OK);
	assert_int_equal(buf_put(b, bytes_of_str(message)), KMS_OK);
}

static void a_whole_frame_is_found(void **state)
{
	AUTO(buf_done) struct buf b = { 0 };

	(void)state;
	put_frame(&b, "hello");
	struct found f = find(buf_bytes(&b));
	assert_int_equal(f.err, KMS_OK);
	assert_int_equal(f.used, FRAME_HEAD + 5);
	assert_true(bytes_equal(f.message, bytes_of_str("hello")));
}

static void every_cut_says_what_is_missing(void **state)
{
	AUTO(buf_done) struct buf b = { 0 };

	(void)state;
	put_frame(&b, "hello");
	for (size_t n = 0; n < b.n; n++) {
		struct found f = find(bytes_of(b.p, n));

		assert_int_equal(f.err, KMS_OK);
		assert_int_equal(f.used, 0);
		assert_int_equal(f.need, n < FRAME_HEAD ? FRAME_HEAD : b.n);
		assert_null(f.message.p);
	}
}

static void frames_come_one_after_the_other(void **state)
{
	static const char *const messages[] = { "one", "t", "three and more" };
	AUTO(buf_done) struct buf b = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(messages); i++)
		put_frame(&b, messages[i]);
	for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
		struct found f = find(buf_bytes(&b));
		assert_int_equal(f.err, KMS_OK);
		assert_true(bytes_equal(f.message, bytes_of_str(messages[i])));
		buf_drop(&b, f.used);
	}
	assert_int_equal(b.n, 0);
}

/* The length is judged before anything is waited for. */
static void bad_lengths_are_refused_at_once(void **state)
{
	static const struct {
		uint32_t n;
		kms_err err;
	} lengths[] = {
		{ 0, KMS_E_BAD_FRAME },
		{ 1, KMS_OK },
		{ FRAME_MAX, KMS_OK },
		{ FRAME_MAX + 1, KMS_E_FRAME_TOO_BIG },
		{ 0x7fffffff, KMS_E_FRAME_TOO_BIG },
		{ 0x80000000, KMS_E_FRAME_TOO_BIG },
		{ 0xffffffff, KMS_E_FRAME_TOO_BIG },
		{ 0xfffffffc, KMS_E_FRAME_TOO_BIG },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		uint8_t head[FRAME_HEAD];

		store_u32(head, lengths[i].n);
		struct found f = find(bytes_of(head, sizeof(head)));
		assert_int_equal(f.err, lengths[i].err);
		if (f.err == KMS_OK)
			assert_int_equal(f.need, FRAME_HEAD + (size_t)lengths[i].n);
		assert_null(f.message.p);
	}
}

static void the_largest_frame_is_found(void **state)
{
	AUTO(buf_done) struct buf b = { 0 };

	(void)state;
	assert_int_equal(buf_reserve(&b, FRAME_HEAD + FRAME_MAX + 1), KMS_OK);
	assert_int_equal(buf_put_u32(&b, FRAME_MAX), KMS_OK);
	memset(b.p + b.n, 1, FRAME_MAX + 1);
	b.n += FRAME_MAX + 1;
	struct found f = find(buf_bytes(&b));
	assert_int_equal(f.err, KMS_OK);
	assert_int_equal(f.message.n, FRAME_MAX);
	assert_int_equal(f.used, FRAME_HEAD + FRAME_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_whole_frame_is_found),
		cmocka_unit_test(every_cut_says_what_is_missing),
		cmocka_unit_test(frames_come_one_after_the_other),
		cmocka_unit_test(bad_lengths_are_refused_at_once),
		cmocka_unit_test(the_largest_frame_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
