/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The moves of a key version, read a second time from SP 800-57 Part 1 Rev. 5, section 7, figure 3,
 * and written down as a picture: every state against every other.
 */
#include "kms/keys/lifecycle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* From a row to a column. The letters are the figure's states; '-' is what we call "none". */
static const char columns[] = "-PASDCX";
static const char *const picture[STATE_COUNT] = {
	/*                       -PASDCX */
	[STATE_NONE] = /*       */ ".......",
	[STATE_PRE_ACTIVE] = /* */ "..A..CX", /* transitions 2, 3, 4 */
	[STATE_ACTIVE] = /*     */ "...SDCX", /* 5, 6, 7, 8 */
	[STATE_SUSPENDED] = /*  */ "..A.DCX", /* 9, 10, 11, 12 */
	[STATE_DEACTIVATED] = /**/ ".....CX", /* 13, 14 */
	[STATE_COMPROMISED] = /**/ "......X", /* 15 */
	[STATE_DESTROYED] = /*  */ ".......",
};

static void every_move_is_the_standards(void **state)
{
	(void)state;
	for (size_t from = 0; from < STATE_COUNT; from++) {
		assert_int_equal(strlen(picture[from]), STATE_COUNT);
		for (size_t to = 0; to < STATE_COUNT; to++) {
			bool expected = picture[from][to] == columns[to];
			bool may = lifecycle_may((enum key_state)from, (enum key_state)to);
			assert_int_equal(may, expected);
		}
	}
}

static void no_state_leads_to_itself(void **state)
{
	(void)state;
	for (size_t s = 0; s < STATE_COUNT; s++)
		assert_false(lifecycle_may((enum key_state)s, (enum key_state)s));
}

/* Whatever way is taken, it ends, and it ends in destruction. */
static void every_way_ends_in_destruction(void **state)
{
	(void)state;
	for (size_t s = STATE_PRE_ACTIVE; s < STATE_DESTROYED; s++)
		assert_true(lifecycle_may((enum key_state)s, STATE_DESTROYED));
	for (size_t s = 0; s < STATE_COUNT; s++)
		assert_false(lifecycle_may(STATE_DESTROYED, (enum key_state)s));
}

static void only_the_active_one_wraps(void **state)
{
	(void)state;
	for (size_t s = 0; s < STATE_COUNT; s++)
		assert_int_equal(lifecycle_wraps((enum key_state)s), s == STATE_ACTIVE);
}

static void three_states_unwrap(void **state)
{
	static const char unwraps[] = "..A.DC.";

	(void)state;
	for (size_t s = 0; s < STATE_COUNT; s++)
		assert_int_equal(lifecycle_unwraps((enum key_state)s), unwraps[s] != '.');
}

static void unknown_states_may_nothing(void **state)
{
	static const int unknown[] = { -1, STATE_COUNT, STATE_COUNT + 1, 255, 65536, INT32_MAX };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(unknown); i++) {
		enum key_state u = (enum key_state)unknown[i];
		assert_false(lifecycle_wraps(u));
		assert_false(lifecycle_unwraps(u));
		for (size_t s = 0; s < STATE_COUNT; s++) {
			assert_false(lifecycle_may(u, (enum key_state)s));
			assert_false(lifecycle_may((enum key_state)s, u));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_move_is_the_standards),
		cmocka_unit_test(no_state_leads_to_itself),
		cmocka_unit_test(every_way_ends_in_destruction),
		cmocka_unit_test(only_the_active_one_wraps),
		cmocka_unit_test(three_states_unwrap),
		cmocka_unit_test(unknown_states_may_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
