/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines of the log: their form, that nothing a peer chose can forge a field or a line, that a
 * long one is cut and stays one line, and where they go.
 */
#include "kms/base/log.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/trap.h"

static struct {
	char line[2048], event[64];
	enum log_level level;
	unsigned count;
} got;

static void keep(enum log_level level, const char *event, const char *line)
{
	got.level = level;
	got.count++;
	memcpy(got.event, event, strnlen(event, sizeof(got.event) - 1) + 1);
	memcpy(got.line, line, strlen(line) + 1);
}

static int use_sink(void **state)
{
	(void)state;
	memset(&got, 0, sizeof(got));
	log_set_sink(keep);
	log_set_level(LOG_LEVEL_INFO);
	return 0;
}

static int use_stderr(void **state)
{
	(void)state;
	log_set_sink(NULL);
	log_set_level(LOG_LEVEL_INFO);
	return 0;
}

static void a_line_has_its_fields(void **state)
{
	struct key_id id = { { 0, 1, 0xab, 0xff } };

	(void)state;
	LOG(LOG_LEVEL_NOTICE, "unsealed", "The root is open.", log_str("slot", "tpm"),
	    log_u64("n", UINT64_MAX), log_i64("d", INT64_MIN), log_id("key", id));
	assert_int_equal(got.count, 1);
	assert_int_equal(got.level, LOG_LEVEL_NOTICE);
	assert_string_equal(got.event, "unsealed");
	assert_string_equal(got.line,
	    "event=unsealed The root is open. slot=tpm n=18446744073709551615"
	    " d=-9223372036854775808 key=0001abff000000000000000000000000");
}

static void a_line_may_have_no_fields(void **state)
{
	(void)state;
	log_event(LOG_LEVEL_INFO, "stop", "Stopping.", NULL);
	assert_string_equal(got.line, "event=stop Stopping.");
}

static void an_error_says_what_to_do(void **state)
{
	(void)state;
	LOG(LOG_LEVEL_ERROR, "x", "y", log_err(KMS_E_DENIED), log_err(KMS_OK));
	assert_string_equal(got.line,
	    "event=x y error=denied hint=\"Ask an operator. Members of the group kms-admin may do "
	    "everything.\" error=ok hint=\"\"");
}

static void strange_values_are_escaped(void **state)
{
	(void)state;
	LOG(LOG_LEVEL_INFO, "x", "y", log_str("a", "1\nevent=forged\r"), log_str("b", "\"\\\x7f"),
	    log_str("c", "\xc3\xa4\x1b[31m"), log_str("d", "k=v"), log_str("e", ""),
	    log_str("f", NULL));
	assert_string_equal(got.line, "event=x y a=\"1\\x0aevent=forged\\x0d\" b=\\x22\\x5c\\x7f"
	                              " c=\\xc3\\xa4\\x1b[31m d=\"k=v\" e=\"\" f=-");
}

static void no_byte_escapes_the_escape(void **state)
{
	(void)state;
	for (int c = 1; c < 256; c++) {
		const char value[] = { (char)c, '\0' };

		LOG(LOG_LEVEL_INFO, value, value, log_str(value, value));
		for (const char *p = got.line; *p != '\0'; p++)
			assert_true(*p >= ' ' && *p <= '~');
	}
}

static void a_long_value_is_cut_and_marked(void **state)
{
	char value[3000];

	(void)state;
	memset(value, 'v', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	LOG(LOG_LEVEL_INFO, "x", "y", log_str("a", value), log_u64("b", 1));
	size_t n = strlen(got.line);
	assert_true(n < 1024 && n > 1000);
	assert_string_equal(got.line + n - 4, "v...");
	assert_null(strstr(got.line, "b=1"));
}

static void a_cut_never_halves_an_escape(void **state)
{
	char value[3000];

	(void)state;
	for (size_t shift = 0; shift < 4; shift++) {
		memset(value, '\n', sizeof(value) - 1);
		memset(value, 'v', shift);
		value[sizeof(value) - 1] = '\0';
		LOG(LOG_LEVEL_INFO, "x", "y", log_str("a", value));
		size_t n = strlen(got.line);
		assert_string_equal(got.line + n - 7, "\\x0a...");
	}
}

static void levels_above_are_dropped(void **state)
{
	(void)state;
	log_event(LOG_LEVEL_DEBUG, "x", "y", NULL);
	assert_int_equal(got.count, 0);
	log_set_level(LOG_LEVEL_DEBUG);
	log_event(LOG_LEVEL_DEBUG, "x", "y", NULL);
	assert_int_equal(got.count, 1);
	log_set_level(LOG_LEVEL_ERROR);
	log_event(LOG_LEVEL_WARNING, "x", "y", NULL);
	assert_int_equal(got.count, 1);
}

static void a_terminal_sees_the_program(void **state)
{
	char text[256];

	(void)state;
	assert_int_equal(unsetenv("JOURNAL_STREAM"), 0);
	log_set_program("kmsd");
	struct capture c = capture_start();
	LOG(LOG_LEVEL_WARNING, "x", "y", log_u64("n", 1));
	(void)capture_end(&c, text, sizeof(text));
	assert_string_equal(text, "kmsd: event=x y n=1\n");
}

static void the_journal_sees_the_level(void **state)
{
	char text[256];

	(void)state;
	assert_int_equal(setenv("JOURNAL_STREAM", "8:1", 1), 0);
	log_set_program("kmsd");
	struct capture c = capture_start();
	LOG(LOG_LEVEL_WARNING, "x", "y", log_u64("n", 1));
	(void)capture_end(&c, text, sizeof(text));
	assert_string_equal(text, "<4>event=x y n=1\n");
	assert_int_equal(unsetenv("JOURNAL_STREAM"), 0);
}

static void a_cut_line_on_stderr_ends_with_one_newline(void **state)
{
	char value[3000], text[2048];

	(void)state;
	memset(value, 'v', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	log_set_program("kmsd");
	struct capture c = capture_start();
	LOG(LOG_LEVEL_INFO, "x", "y", log_str("a", value));
	size_t n = capture_end(&c, text, sizeof(text));
	assert_int_equal(n, 1023);
	assert_string_equal(text + n - 4, "...\n");
	assert_ptr_equal(strchr(text, '\n'), text + n - 1);
}

static void errno_is_left_alone(void **state)
{
	int copy = dup(STDERR_FILENO);

	(void)state;
	assert_true(copy >= 0);
	assert_int_equal(close(STDERR_FILENO), 0);
	errno = ENOTTY;
	log_event(LOG_LEVEL_ERROR, "x", "y", NULL);
	int after = errno;
	assert_int_equal(dup2(copy, STDERR_FILENO), STDERR_FILENO);
	assert_int_equal(close(copy), 0);
	assert_int_equal(after, ENOTTY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_line_has_its_fields, use_sink),
		cmocka_unit_test_setup(a_line_may_have_no_fields, use_sink),
		cmocka_unit_test_setup(an_error_says_what_to_do, use_sink),
		cmocka_unit_test_setup(strange_values_are_escaped, use_sink),
		cmocka_unit_test_setup(no_byte_escapes_the_escape, use_sink),
		cmocka_unit_test_setup(a_long_value_is_cut_and_marked, use_sink),
		cmocka_unit_test_setup(a_cut_never_halves_an_escape, use_sink),
		cmocka_unit_test_setup(levels_above_are_dropped, use_sink),
		cmocka_unit_test_setup(a_terminal_sees_the_program, use_stderr),
		cmocka_unit_test_setup(the_journal_sees_the_level, use_stderr),
		cmocka_unit_test_setup(a_cut_line_on_stderr_ends_with_one_newline, use_stderr),
		cmocka_unit_test_setup(errno_is_left_alone, use_stderr),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
