/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Growing bytes: content, wiping and limits. The reader: every value, and that the first
 * failure stays and gives zeros, at every length of a cut input.
 */
#include "kms/base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/trap.h"

static bool all_zero(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (p[i] != 0)
			return false;
	}
	return true;
}

static void put_all(struct buf *b)
{
	assert_int_equal(buf_put_u8(b, 0x01), KMS_OK);
	assert_int_equal(buf_put_u16(b, 0x0302), KMS_OK);
	assert_int_equal(buf_put_u32(b, 0x07060504), KMS_OK);
	assert_int_equal(buf_put_u64(b, 0x0f0e0d0c0b0a0908), KMS_OK);
	assert_int_equal(buf_put_var(b, bytes_of_str("\x12\x13")), KMS_OK);
	assert_int_equal(buf_put(b, bytes_of_str("\x14")), KMS_OK);
}

static void integers_are_little_endian(void **state)
{
	static const uint8_t want[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 2, 0,
		0x12, 0x13, 0x14 };
	AUTO(buf_done) struct buf b = { 0 };

	(void)state;
	put_all(&b);
	assert_true(bytes_equal(buf_bytes(&b), bytes_of(want, sizeof(want))));
}

static void what_was_put_is_read(void **state)
{
	AUTO(buf_done) struct buf b = { 0 };
	uint8_t last = 0;

	(void)state;
	put_all(&b);
	struct reader r = reader_of(buf_bytes(&b));
	assert_int_equal(read_u8(&r), 0x01);
	assert_int_equal(read_u16(&r), 0x0302);
	assert_int_equal(read_u32(&r), 0x07060504);
	assert_true(read_u64(&r) == 0x0f0e0d0c0b0a0908);
	assert_true(bytes_equal(read_var(&r), bytes_of_str("\x12\x13")));
	assert_false(reader_done(&r));
	read_into(&r, &last, 1);
	assert_int_equal(last, 0x14);
	assert_true(reader_done(&r));
}

static void every_cut_is_noticed(void **state)
{
	AUTO(buf_done) struct buf b = { 0 };

	(void)state;
	put_all(&b);
	for (size_t n = 0; n < b.n; n++) {
		struct reader r = reader_of(bytes_of(b.p, n));

		(void)read_u8(&r);
		(void)read_u16(&r);
		(void)read_u32(&r);
		(void)read_u64(&r);
		(void)read_var(&r);
		(void)read_u8(&r);
		assert_true(r.failed);
		assert_false(reader_done(&r));
	}
}

static void a_failed_reader_gives_zeros(void **state)
{
	static const uint8_t in[] = { 0xff, 0xff, 0xff, 0xff };
	uint8_t out[4] = { 1, 2, 3, 4 };
	struct reader r = reader_of(bytes_of(in, sizeof(in)));

	(void)state;
	assert_true(read_u64(&r) == 0);
	/* Four bytes were there, but after the failure none of them is given out. */
	assert_int_equal(read_u8(&r), 0);
	assert_int_equal(read_u16(&r), 0);
	assert_int_equal(read_u32(&r), 0);
	assert_int_equal(read_var(&r).n, 0);
	assert_int_equal(read_bytes(&r, 1).n, 0);
	assert_int_equal(read_bytes(&r, 0).n, 0);
	read_into(&r, out, sizeof(out));
	assert_true(all_zero(out, sizeof(out)));
	assert_false(reader_done(&r));
}

static void a_length_beyond_the_end_fails(void **state)
{
	static const uint8_t in[] = { 3, 0, 'a', 'b' };
	struct reader r = reader_of(bytes_of(in, sizeof(in)));

	(void)state;
	assert_int_equal(read_var(&r).n, 0);
	assert_true(r.failed);

	r = reader_of(bytes_of(in, sizeof(in)));
	assert_int_equal(read_bytes(&r, SIZE_MAX).n, 0);
	assert_true(r.failed);
}

static void an_empty_input_is_done(void **state)
{
	struct reader r = reader_of(bytes_of(NULL, 0));

	(void)state;
	assert_true(reader_done(&r));
	assert_int_equal(read_bytes(&r, 0).n, 0);
	read_into(&r, NULL, 0);
	assert_true(reader_done(&r));
}

static void growth_keeps_the_content(void **state)
{
	AUTO(buf_done) struct buf b = { 0 };

	(void)state;
	for (uint32_t i = 0; i < 10000; i++)
		assert_int_equal(buf_put_u32(&b, i), KMS_OK);
	assert_int_equal(b.n, 40000);
	struct reader r = reader_of(buf_bytes(&b));
	for (uint32_t i = 0; i < 10000; i++)
		assert_int_equal(read_u32(&r), i);
	assert_true(reader_done(&r));
}

static void a_reserve_is_room_without_growth(void **state)
{
	AUTO(buf_done) struct buf b = { 0 };

	(void)state;
	assert_int_equal(buf_reserve(&b, 1000), KMS_OK);
	const uint8_t *before = b.p;
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(buf_put_u8(&b, (uint8_t)i), KMS_OK);
	assert_ptr_equal(b.p, before);
	assert_int_equal(buf_put(&b, bytes_of(NULL, 0)), KMS_OK);
	assert_int_equal(b.n, 1000);
}

static void too_much_leaves_it_unchanged(void **state)
{
	AUTO(buf_done) struct buf b = { 0 };

	(void)state;
	assert_int_equal(buf_put_u8(&b, 7), KMS_OK);
	struct buf before = b;
	assert_int_equal(buf_reserve(&b, SIZE_MAX), KMS_E_NO_MEMORY);
	assert_int_equal(buf_reserve(&b, PTRDIFF_MAX), KMS_E_NO_MEMORY);
	assert_memory_equal(&b, &before, sizeof(b));
	assert_int_equal(b.p[0], 7);
}

static void a_var_has_a_largest_length(void **state)
{
	static uint8_t big[UINT16_MAX + 1];
	AUTO(buf_done) struct buf b = { 0 };

	(void)state;
	assert_int_equal(buf_put_var(&b, bytes_of(big, sizeof(big))), KMS_E_INTERNAL);
	assert_int_equal(b.n, 0);
	assert_int_equal(buf_put_var(&b, bytes_of(big, UINT16_MAX)), KMS_OK);
	assert_int_equal(b.n, UINT16_MAX + 2);
	struct reader r = reader_of(buf_bytes(&b));
	assert_int_equal(read_var(&r).n, UINT16_MAX);
	assert_true(reader_done(&r));
}

static void clear_wipes_and_keeps_the_room(void **state)
{
	AUTO(buf_done) struct buf b = { 0 };

	(void)state;
	put_all(&b);
	size_t n = b.n, cap = b.cap;
	buf_clear(&b);
	assert_int_equal(b.n, 0);
	assert_int_equal(b.cap, cap);
	assert_true(all_zero(b.p, n));
}

static void drop_moves_the_rest_and_wipes(void **state)
{
	AUTO(buf_done) struct buf b = { 0 };

	(void)state;
	assert_int_equal(buf_put(&b, bytes_of_str("abcdef")), KMS_OK);
	buf_drop(&b, 0);
	assert_int_equal(b.n, 6);
	buf_drop(&b, 4);
	assert_true(bytes_equal(buf_bytes(&b), bytes_of_str("ef")));
	assert_true(all_zero(b.p + 2, 4));
	buf_drop(&b, 2);
	assert_int_equal(b.n, 0);
	assert_true(all_zero(b.p, 6));
}

static void drop_of_more_than_there_is_aborts(void **state)
{
	AUTO(buf_done) struct buf b = { 0 };
	char text[256];

	(void)state;
	assert_int_equal(buf_put_u8(&b, 1), KMS_OK);
	struct capture c = capture_start();
	bool hit = TRAPS(SIGABRT, (buf_drop(&b, 2), 0));
	(void)capture_end(&c, text, sizeof(text));
	assert_true(hit);
}

static void an_empty_one_takes_every_call(void **state)
{
	struct buf b = { 0 };

	(void)state;
	buf_clear(&b);
	buf_drop(&b, 0);
	buf_done(&b);
	buf_done(&b);
	assert_int_equal(buf_bytes(&b).n, 0);
	assert_int_equal(buf_reserve(&b, 0), KMS_OK);
	assert_null(b.p);
}

static void stores_and_loads_agree(void **state)
{
	uint8_t p[9] = { 0 };

	(void)state;
	/* An odd address: the layout on disk is not aligned. */
	store_u16(p + 1, 0xfedc);
	assert_int_equal(load_u16(p + 1), 0xfedc);
	assert_int_equal(p[1], 0xdc);
	store_u32(p + 1, 0xfedcba98);
	assert_int_equal(load_u32(p + 1), 0xfedcba98);
	assert_int_equal(p[1], 0x98);
	store_u64(p + 1, 0xfedcba9876543210);
	assert_true(load_u64(p + 1) == 0xfedcba9876543210);
	assert_int_equal(p[1], 0x10);
	assert_int_equal(p[8], 0xfe);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(integers_are_little_endian),
		cmocka_unit_test(what_was_put_is_read),
		cmocka_unit_test(every_cut_is_noticed),
		cmocka_unit_test(a_failed_reader_gives_zeros),
		cmocka_unit_test(a_length_beyond_the_end_fails),
		cmocka_unit_test(an_empty_input_is_done),
		cmocka_unit_test(growth_keeps_the_content),
		cmocka_unit_test(a_reserve_is_room_without_growth),
		cmocka_unit_test(too_much_leaves_it_unchanged),
		cmocka_unit_test(a_var_has_a_largest_length),
		cmocka_unit_test(clear_wipes_and_keeps_the_room),
		cmocka_unit_test(drop_moves_the_rest_and_wipes),
		cmocka_unit_test(drop_of_more_than_there_is_aborts),
		cmocka_unit_test(an_empty_one_takes_every_call),
		cmocka_unit_test(stores_and_loads_agree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
