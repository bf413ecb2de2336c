/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The words of algorithms, states and operations, and which names are allowed.
 */
#include "kms/base/types.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static bool valid(const char *name)
{
	return name_valid(bytes_of_str(name));
}

static void algorithms_go_both_ways(void **state)
{
	(void)state;
	for (unsigned i = 1; i < ALG_COUNT; i++) {
		const char *name = algorithm_name((enum algorithm)i);

		assert_string_not_equal(name, "unknown");
		assert_int_equal(algorithm_from_name(bytes_of_str(name)), i);
	}
	assert_string_equal(algorithm_name(ALG_XAES_256_GCM), "xaes-256-gcm");
}

static void states_go_both_ways(void **state)
{
	(void)state;
	for (unsigned i = 1; i < STATE_COUNT; i++) {
		const char *name = state_name((enum key_state)i);

		assert_string_not_equal(name, "unknown");
		assert_int_equal(state_from_name(bytes_of_str(name)), i);
	}
	assert_string_equal(state_name(STATE_PRE_ACTIVE), "pre-active");
}

static void operations_go_both_ways(void **state)
{
	unsigned known = 0;

	(void)state;
	for (unsigned i = 0; i < OP_COUNT; i++) {
		const char *name = op_name((enum op)i);

		if (strcmp(name, "unknown") == 0)
			continue;
		known++;
		assert_int_equal(op_from_name(bytes_of_str(name)), i);
	}
	assert_int_equal(known, 38);
	assert_string_equal(op_name(OP_KEY_CANCEL_DESTROY), "key-cancel-destroy");
	assert_string_equal(op_name(OP_CONNECT), "connect");
}

static void unknown_numbers_have_a_word(void **state)
{
	(void)state;
	assert_string_equal(algorithm_name(ALG_NONE), "unknown");
	assert_string_equal(algorithm_name(ALG_COUNT), "unknown");
	assert_string_equal(algorithm_name((enum algorithm) - 1), "unknown");
	assert_string_equal(state_name(STATE_NONE), "unknown");
	assert_string_equal(state_name((enum key_state)99), "unknown");
	assert_string_equal(op_name(OP_NONE), "unknown");
	assert_string_equal(op_name((enum op)9), "unknown");
	assert_string_equal(op_name(OP_COUNT), "unknown");
}

static void unknown_words_are_none(void **state)
{
	static const char *const words[] = { "", "unknown", "Active", "active ", "ISSUE" };

	(void)state;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		struct bytes word = bytes_of_str(words[i]);

		assert_int_equal(algorithm_from_name(word), ALG_NONE);
		assert_int_equal(state_from_name(word), STATE_NONE);
		assert_int_equal(op_from_name(word), OP_NONE);
	}
	/* A word that continues with a zero byte is another word. */
	assert_int_equal(state_from_name(bytes_of("active", 7)), STATE_NONE);
	assert_int_equal(state_from_name(bytes_of(NULL, 0)), STATE_NONE);
}

static void good_names_are_valid(void **state)
{
	char longest[65] = { 0 };

	(void)state;
	memset(longest, 'a', 64);
	assert_true(valid("a"));
	assert_true(valid("0"));
	assert_true(valid("Z"));
	assert_true(valid("rec-2026"));
	assert_true(valid("A.b_c-9"));
	assert_true(valid("a.."));
	assert_true(valid(longest));
}

static void bad_names_are_not(void **state)
{
	char too_long[66] = { 0 };

	(void)state;
	memset(too_long, 'a', 65);
	assert_false(valid(""));
	assert_false(valid(too_long));
	assert_false(valid("."));
	assert_false(valid("-a"));
	assert_false(valid("_a"));
	assert_false(valid("a/b"));
	assert_false(valid("a b"));
	assert_false(valid("a\n"));
	assert_false(valid("\xc3\xa4"));
	assert_false(valid("a\xc3\xa4"));
	assert_false(name_valid(bytes_of("a\0b", 3)));
	assert_false(name_valid(bytes_of(NULL, 0)));
}

static void every_byte_is_judged(void **state)
{
	static const char first[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
	unsigned firsts = 0, others = 0;

	(void)state;
	for (unsigned c = 0; c < 256; c++) {
		const uint8_t name[] = { 'a', (uint8_t)c };
		bool letter = memchr(first, (int)c, sizeof(first) - 1) != NULL;

		assert_int_equal(name_valid(bytes_of(name + 1, 1)), letter);
		firsts += name_valid(bytes_of(name + 1, 1));
		others += name_valid(bytes_of(name, 2));
	}
	assert_int_equal(firsts, 62);
	assert_int_equal(others, 65);
}

static void names_of_pairs_are_printable(void **state)
{
	char long_name[66];
	unsigned good = 0;

	(void)state;
	memset(long_name, 'n', sizeof(long_name));
	assert_true(context_name_valid(bytes_of(long_name, 64)));
	assert_false(context_name_valid(bytes_of(long_name, 65)));
	assert_false(context_name_valid(bytes_of(NULL, 0)));
	for (unsigned c = 0; c < 256; c++) {
		const uint8_t name[] = { 'a', (uint8_t)c, 'b' };
		good += context_name_valid(bytes_of(name, sizeof(name)));
	}
	assert_int_equal(good, '~' - ' ' + 1 - 2);
	assert_false(context_name_valid(bytes_of_str("a=b")));
	assert_false(context_name_valid(bytes_of_str("a,b")));
}

static void bytes_compare(void **state)
{
	(void)state;
	assert_true(bytes_equal(bytes_of("abc", 3), bytes_of_str("abc")));
	assert_true(bytes_equal(bytes_of(NULL, 0), bytes_of_str("")));
	assert_false(bytes_equal(bytes_of("abc", 3), bytes_of("abd", 3)));
	assert_false(bytes_equal(bytes_of("abc", 3), bytes_of("abc", 2)));
	assert_int_equal(bytes_of_str("four").n, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(algorithms_go_both_ways),
		cmocka_unit_test(states_go_both_ways),
		cmocka_unit_test(operations_go_both_ways),
		cmocka_unit_test(unknown_numbers_have_a_word),
		cmocka_unit_test(unknown_words_are_none),
		cmocka_unit_test(good_names_are_valid),
		cmocka_unit_test(bad_names_are_not),
		cmocka_unit_test(every_byte_is_judged),
		cmocka_unit_test(names_of_pairs_are_printable),
		cmocka_unit_test(bytes_compare),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
