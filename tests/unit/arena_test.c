/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The arena: alignment, its limit, that nothing of one request is left for the next, and that
 * the hot path goes on in the same block.
 */
#include "kms/base/arena.h"

#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum {
	LIMIT = 1 << 20
};

static bool all_equal(const uint8_t *p, size_t n, uint8_t value)
{
	for (size_t i = 0; i < n; i++) {
		if (p[i] != value)
			return false;
	}
	return true;
}

static void it_begins_with_nothing(void **state)
{
	AUTO(arena_done) struct arena a;

	(void)state;
	arena_init(&a, LIMIT);
	assert_null(a.first);
	assert_int_equal(a.used, 0);
	arena_reset(&a);
	arena_release(&a);
	assert_null(a.first);
}

static void pieces_are_aligned_and_apart(void **state)
{
	AUTO(arena_done) struct arena a;
	uint8_t *pieces[200];

	(void)state;
	arena_init(&a, LIMIT);
	for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
		pieces[i] = arena_take(&a, i);
		assert_non_null(pieces[i]);
		assert_int_equal((uintptr_t)pieces[i] % alignof(max_align_t), 0);
		memset(pieces[i], (int)i, i);
	}
	for (size_t i = 0; i < ARRAY_LEN(pieces); i++)
		assert_true(all_equal(pieces[i], i, (uint8_t)i));
}

static void alloc_gives_zeros(void **state)
{
	AUTO(arena_done) struct arena a;
	uint8_t *p = NULL;

	(void)state;
	arena_init(&a, LIMIT);
	assert_int_equal(arena_alloc(&a, 40000, &p), KMS_OK);
	assert_true(all_equal(p, 40000, 0));
}

static void copies_live_in_the_arena(void **state)
{
	AUTO(arena_done) struct arena a;
	char text[] = "words";
	struct bytes copy;

	(void)state;
	arena_init(&a, LIMIT);
	assert_int_equal(arena_copy(&a, bytes_of_str(text), &copy), KMS_OK);
	text[0] = 'W';
	assert_true(bytes_equal(copy, bytes_of_str("words")));
	assert_int_equal(arena_copy(&a, bytes_of(NULL, 0), &copy), KMS_OK);
	assert_int_equal(copy.n, 0);
}

static void reset_wipes_and_goes_on_in_the_same_block(void **state)
{
	AUTO(arena_done) struct arena a;

	(void)state;
	arena_init(&a, LIMIT);
	uint8_t *before = arena_take(&a, 1000);
	assert_non_null(before);
	memset(before, 0xaa, 1000);
	arena_reset(&a);
	assert_int_equal(a.used, 0);
	uint8_t *after = arena_take(&a, 1000);
	assert_ptr_equal(after, before);
	assert_true(all_equal(after, 1000, 0));
}

static void reset_drops_the_later_blocks(void **state)
{
	AUTO(arena_done) struct arena a;
	struct arena_block *first;

	(void)state;
	arena_init(&a, LIMIT);
	assert_non_null(arena_take(&a, 100));
	first = a.first;
	for (size_t i = 0; i < 30; i++)
		assert_non_null(arena_take(&a, 4000));
	assert_ptr_not_equal(a.now, first);
	arena_reset(&a);
	assert_ptr_equal(a.first, first);
	assert_ptr_equal(a.now, first);
}

static void a_big_piece_does_not_end_the_block_in_use(void **state)
{
	AUTO(arena_done) struct arena a;

	(void)state;
	arena_init(&a, LIMIT);
	uint8_t *small = arena_take(&a, 16);
	assert_non_null(arena_take(&a, 100000));
	uint8_t *next = arena_take(&a, 16);
	assert_ptr_equal(next, small + 16);
}

static void a_big_first_block_is_not_kept(void **state)
{
	AUTO(arena_done) struct arena a;

	(void)state;
	arena_init(&a, LIMIT);
	assert_non_null(arena_take(&a, 100000));
	arena_reset(&a);
	assert_null(a.first);
	assert_int_equal(a.limit, LIMIT);
	assert_non_null(arena_take(&a, 16));
}

static void release_gives_everything_back(void **state)
{
	AUTO(arena_done) struct arena a;

	(void)state;
	arena_init(&a, LIMIT);
	assert_non_null(arena_take(&a, 16));
	arena_release(&a);
	assert_null(a.first);
	assert_null(a.now);
	assert_int_equal(a.limit, LIMIT);
	assert_non_null(arena_take(&a, 16));
}

static void the_limit_holds(void **state)
{
	AUTO(arena_done) struct arena a;
	struct bytes copy = bytes_of_str("before");
	void *p = &a;

	(void)state;
	arena_init(&a, 1024);
	assert_null(arena_take(&a, 1025));
	assert_int_equal(arena_alloc(&a, 1025, &p), KMS_E_NO_MEMORY);
	assert_ptr_equal(p, &a);
	assert_non_null(arena_take(&a, 1024));
	assert_null(arena_take(&a, 1));
	assert_null(arena_take(&a, 0));
	assert_int_equal(arena_copy(&a, bytes_of_str("x"), &copy), KMS_E_NO_MEMORY);
	assert_true(bytes_equal(copy, bytes_of_str("before")));
	arena_reset(&a);
	assert_non_null(arena_take(&a, 1024));
}

static void small_pieces_are_bounded_too(void **state)
{
	AUTO(arena_done) struct arena a;
	size_t given = 0;

	(void)state;
	arena_init(&a, 1024);
	while (arena_take(&a, 1) != NULL)
		given++;
	assert_int_equal(given, 1024 / alignof(max_align_t));
}

static void absurd_sizes_are_refused(void **state)
{
	AUTO(arena_done) struct arena a;

	(void)state;
	arena_init(&a, SIZE_MAX);
	assert_null(arena_take(&a, SIZE_MAX));
	assert_null(arena_take(&a, SIZE_MAX / 2 + 1));
	/* A limit that is not a multiple of the alignment does not round up beyond itself. */
	arena_init(&a, 17);
	assert_null(arena_take(&a, 17));
	assert_non_null(arena_take(&a, 16));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_begins_with_nothing),
		cmocka_unit_test(pieces_are_aligned_and_apart),
		cmocka_unit_test(alloc_gives_zeros),
		cmocka_unit_test(copies_live_in_the_arena),
		cmocka_unit_test(reset_wipes_and_goes_on_in_the_same_block),
		cmocka_unit_test(reset_drops_the_later_blocks),
		cmocka_unit_test(a_big_piece_does_not_end_the_block_in_use),
		cmocka_unit_test(a_big_first_block_is_not_kept),
		cmocka_unit_test(release_gives_everything_back),
		cmocka_unit_test(the_limit_holds),
		cmocka_unit_test(small_pieces_are_bounded_too),
		cmocka_unit_test(absurd_sizes_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
