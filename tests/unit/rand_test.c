/* SPDX-License-Identifier: Apache-2.0 */
/* The random block: nothing is drawn twice, what was drawn is gone, and a child draws its own. */
#include "kms/crypto/rand.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/hex.h"

enum {
	PAGE = 4096,
	DRAW = 56, /* a data key and its nonce */
	DRAWS = 500
};

static bool holds(const uint8_t *in, size_t in_n, const uint8_t *what, size_t n)
{
	for (size_t i = 0; i + n <= in_n; i++) {
		if (memcmp(in + i, what, n) == 0)
			return true;
	}
	return false;
}

static void no_draw_repeats_another(void **state)
{
	(void)state;
	AUTO(rand_block_free) struct rand_block *r = NULL;
	AUTO(hex_done) struct hex all = hex_room(DRAWS * DRAW);

	assert_int_equal(rand_block_new(&r), KMS_OK);
	for (size_t i = 0; i < DRAWS; i++) {
		uint8_t *at = all.p + i * DRAW;

		assert_int_equal(rand_draw(r, at, DRAW), KMS_OK);
		/* Sixteen bytes of it, at any place of all draws before. */
		assert_false(holds(all.p, i * DRAW, at, 16));
	}
}

/* The block is one page, and the handle points to it: look for the bytes there. */
static void drawn_bytes_are_wiped(void **state)
{
	(void)state;
	AUTO(rand_block_free) struct rand_block *r = NULL;
	uint8_t out[DRAW];

	assert_int_equal(rand_block_new(&r), KMS_OK);
	for (size_t i = 0; i < DRAWS; i++) {
		assert_int_equal(rand_draw(r, out, sizeof(out)), KMS_OK);
		assert_false(holds((const uint8_t *)r, PAGE, out, 16));
	}
}

static void any_length_can_be_drawn(void **state)
{
	(void)state;
	AUTO(rand_block_free) struct rand_block *r = NULL;
	AUTO(hex_done) struct hex out = hex_room(3 * PAGE);
	static const size_t lengths[] = { 0, 1, PAGE / 2, PAGE - 9, PAGE - 8, PAGE - 7, PAGE,
		3 * PAGE };

	assert_int_equal(rand_block_new(&r), KMS_OK);
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		memset(out.p, 0, out.n);
		assert_int_equal(rand_draw(r, out.p, lengths[i]), KMS_OK);
		/* Sixteen zeros in a row would be a piece that nobody wrote. */
		if (lengths[i] > 16)
			assert_int_not_equal(
			    memcmp(out.p + lengths[i] - 16, (uint8_t[16]){ 0 }, 16), 0);
		assert_true(lengths[i] == out.n || out.p[lengths[i]] == 0);
	}
}

static void a_child_draws_its_own(void **state)
{
	(void)state;
	AUTO(rand_block_free) struct rand_block *r = NULL;
	uint8_t mine[DRAW], his[DRAW];
	int fds[2], status;

	assert_int_equal(rand_block_new(&r), KMS_OK);
	assert_int_equal(rand_draw(r, mine, sizeof(mine)), KMS_OK);
	assert_int_equal(pipe(fds), 0);
	pid_t child = fork();
	if (child == 0) {
		bool ok = rand_draw(r, his, sizeof(his)) == KMS_OK &&
		          write(fds[1], his, sizeof(his)) == (ssize_t)sizeof(his);
		_exit(ok ? 0 : 1);
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(read(fds[0], his, sizeof(his)), sizeof(his));
	assert_int_equal(rand_draw(r, mine, sizeof(mine)), KMS_OK);
	assert_memory_not_equal(mine, his, sizeof(mine));
	(void)close(fds[0]);
	(void)close(fds[1]);
}

/* Reads the flags of the mapping that begins at p: "dd" no dump, "wf" wiped on fork. */
static bool mapping_has(const void *p, const char *flag)
{
	FILE *smaps = fopen("/proc/self/smaps", "re");
	char line[512];
	bool here = false, found = false;

	assert_non_null(smaps);
	while (fgets(line, sizeof(line), smaps) != NULL) {
		unsigned long from, to;

		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			here = (unsigned long)p >= from && (unsigned long)p < to;
		else if (here && strncmp(line, "VmFlags:", 8) == 0)
			found = strstr(line, flag) != NULL;
	}
	assert_int_equal(fclose(smaps), 0);
	return found;
}

static void the_page_is_not_dumped(void **state)
{
	(void)state;
	AUTO(rand_block_free) struct rand_block *r = NULL;

	assert_int_equal(rand_block_new(&r), KMS_OK);
	assert_true(mapping_has(r, " dd"));
	assert_true(mapping_has(r, " wf"));
}

static void without_address_space_there_is_no_block(void **state)
{
	(void)state;
	struct rlimit was, none;
	struct rand_block *r = NULL;

	assert_int_equal(getrlimit(RLIMIT_AS, &was), 0);
	none = (struct rlimit){ .rlim_cur = 0, .rlim_max = was.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_AS, &none), 0);
	kms_err e = rand_block_new(&r);
	assert_int_equal(setrlimit(RLIMIT_AS, &was), 0);
	assert_int_equal(e, KMS_E_NO_MEMORY);
	assert_null(r);
}

static void straight_from_the_generator(void **state)
{
	(void)state;
	AUTO(hex_done) struct hex a = hex_room(RAND_ONCE_MAX);
	uint8_t b[32], c[32];

	assert_int_equal(rand_bytes(b, sizeof(b)), KMS_OK);
	assert_int_equal(rand_bytes(c, sizeof(c)), KMS_OK);
	assert_memory_not_equal(b, c, sizeof(b));
	assert_int_equal(rand_bytes(a.p, a.n), KMS_OK);
	assert_int_equal(rand_bytes(b, 0), KMS_OK);
}

static void absurd_lengths_are_refused(void **state)
{
	(void)state;
	AUTO(rand_block_free) struct rand_block *r = NULL;
	uint8_t out[1] = { 0xa5 };

	assert_int_equal(rand_block_new(&r), KMS_OK);
	assert_int_equal(rand_bytes(out, (size_t)RAND_ONCE_MAX + 1), KMS_E_CRYPTO);
	assert_int_equal(rand_draw(r, out, (size_t)RAND_ONCE_MAX + 1), KMS_E_CRYPTO);
	assert_int_equal(out[0], 0xa5);
}

static void feeding_changes_what_follows(void **state)
{
	(void)state;
	AUTO(hex_done) struct hex much = hex_room(RAND_ONCE_MAX + 1);
	uint8_t a[32], b[32];

	assert_int_equal(rand_bytes(a, sizeof(a)), KMS_OK);
	rand_feed(bytes_of_str("from the hardware"));
	rand_feed(bytes_of(NULL, 0));
	rand_feed(hex_bytes(much));
	assert_int_equal(rand_bytes(b, sizeof(b)), KMS_OK);
	assert_memory_not_equal(a, b, sizeof(a));
}

static void free_takes_null(void **state)
{
	(void)state;
	struct rand_block *r = NULL;

	rand_block_free(&r);
	assert_null(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_draw_repeats_another),
		cmocka_unit_test(drawn_bytes_are_wiped),
		cmocka_unit_test(any_length_can_be_drawn),
		cmocka_unit_test(a_child_draws_its_own),
		cmocka_unit_test(the_page_is_not_dumped),
		cmocka_unit_test(without_address_space_there_is_no_block),
		cmocka_unit_test(straight_from_the_generator),
		cmocka_unit_test(absurd_lengths_are_refused),
		cmocka_unit_test(feeding_changes_what_follows),
		cmocka_unit_test(free_takes_null),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
