/* SPDX-License-Identifier: Apache-2.0 */
/* Text of others on a terminal: what stays, and what must never arrive there. */
#include "kms/ctl/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void assert_shown(const char *in, const char *shown)
{
	AUTO(buf_done) struct buf out = { .n = 0 };

	assert_int_equal(text_escape(bytes_of_str(in), &out), KMS_OK);
	assert_int_equal(buf_put_u8(&out, '\0'), KMS_OK);
	assert_string_equal((const char *)out.p, shown);
}

static void assert_utf8(const char *in, const char *made)
{
	AUTO(buf_done) struct buf out = { .n = 0 };

	assert_int_equal(text_to_utf8(bytes_of_str(in), &out), KMS_OK);
	assert_int_equal(buf_put_u8(&out, '\0'), KMS_OK);
	assert_string_equal((const char *)out.p, made);
}

static void words_stay(void **state)
{
	(void)state;
	assert_shown("agent-7", "agent-7");
	assert_shown("", "");
	assert_shown("J\xc3\xbcrgen M\xc3\xbcller", "J\xc3\xbcrgen M\xc3\xbcller");
	assert_shown("\xe6\x97\xa5\xe6\x9c\xac", "\xe6\x97\xa5\xe6\x9c\xac");
	assert_shown("\xf0\x9f\x93\x9e", "\xf0\x9f\x93\x9e");
}

static void controls_are_shown(void **state)
{
	(void)state;
	assert_shown("a\x1b[31mb", "a\\u{1b}[31mb");
	assert_shown("a\nb\r\t", "a\\u{a}b\\u{d}\\u{9}");
	assert_shown("\x7f", "\\u{7f}");
	assert_shown("\xc2\x9b"
	             "31m",
	    "\\u{9b}31m");
}

static void a_zero_byte_is_shown(void **state)
{
	AUTO(buf_done) struct buf out = { .n = 0 };

	(void)state;
	assert_int_equal(text_escape(bytes_of("a\0b", 3), &out), KMS_OK);
	assert_true(bytes_equal(buf_bytes(&out), bytes_of_str("a\\u{0}b")));
}

static void directions_are_shown(void **state)
{
	(void)state;
	assert_shown("a\xe2\x80\xae"
	             "b",
	    "a\\u{202e}b");
	assert_shown("\xe2\x81\xa6", "\\u{2066}");
	assert_shown("\xd8\x9c", "\\u{61c}");
}

static void invisible_ones_are_shown(void **state)
{
	(void)state;
	assert_shown("\xe2\x80\x8b", "\\u{200b}");
	assert_shown("\xef\xbb\xbf", "\\u{feff}");
	assert_shown("\xf3\xa0\x81\xa1", "\\u{e0061}");
	assert_shown("\xc2\xad", "\\u{ad}");
}

/* Else "\u{1b}" in the text itself could pass for one of ours. */
static void a_backslash_is_doubled(void **state)
{
	(void)state;
	assert_shown("\\u{1b}", "\\\\u{1b}");
}

static void what_is_no_utf8_is_shown_as_bytes(void **state)
{
	(void)state;
	assert_shown("\xff", "\\xff");
	assert_shown("a\x80", "a\\x80");
	assert_shown("\xc3", "\\xc3");          /* cut */
	assert_shown("\xc0\xaf", "\\xc0\\xaf"); /* too long a form */
	assert_shown("\xe0\x80\xaf", "\\xe0\\x80\\xaf");
	assert_shown("\xed\xa0\x80", "\\xed\\xa0\\x80"); /* half a surrogate pair */
	assert_shown("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80");
}

static void json_gets_utf8(void **state)
{
	(void)state;
	assert_utf8("a\xc3\xbc", "a\xc3\xbc");
	assert_utf8("a\xff"
	            "b",
	    "a\xef\xbf\xbd"
	    "b");
	assert_utf8("\xc3", "\xef\xbf\xbd");
	assert_utf8("\x1b", "\x1b"); /* JSON escapes it by itself */
}

static void width_counts_characters(void **state)
{
	(void)state;
	assert_int_equal(text_width(bytes_of_str("abc")), 3);
	assert_int_equal(text_width(bytes_of_str("\xc3\xbc\xe6\x97\xa5")), 2);
	assert_int_equal(text_width(bytes_of(NULL, 0)), 0);
}

static void hex_is_lower_case(void **state)
{
	char out[9];

	(void)state;
	text_hex(bytes_of("\x00\x1f\xab\xff", 4), out);
	assert_string_equal(out, "001fabff");
	text_hex(bytes_of(NULL, 0), out);
	assert_string_equal(out, "");
}

static void distance_counts_edits(void **state)
{
	(void)state;
	assert_int_equal(text_distance("status", "status"), 0);
	assert_int_equal(text_distance("stauts", "status"), 2);
	assert_int_equal(text_distance("", "abc"), 3);
	assert_int_equal(text_distance("kitten", "sitting"), 3);
	assert_true(text_distance("a word of more than thirty-one bytes", "a") > 31);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_stay),
		cmocka_unit_test(controls_are_shown),
		cmocka_unit_test(a_zero_byte_is_shown),
		cmocka_unit_test(directions_are_shown),
		cmocka_unit_test(invisible_ones_are_shown),
		cmocka_unit_test(a_backslash_is_doubled),
		cmocka_unit_test(what_is_no_utf8_is_shown_as_bytes),
		cmocka_unit_test(json_gets_utf8),
		cmocka_unit_test(width_counts_characters),
		cmocka_unit_test(hex_is_lower_case),
		cmocka_unit_test(distance_counts_edits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
