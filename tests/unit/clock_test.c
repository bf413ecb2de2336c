/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dates against known ones and against gmtime_r for five centuries; spans as systemd writes
 * them, and what is no span.
 */
#include "kms/base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define SECOND UINT64_C(1000000)

static void clocks_run(void **state)
{
	uint64_t a = clock_mono_us();
	uint64_t b = clock_mono_us();

	(void)state;
	assert_true(a > 0 && b >= a);
	/* After 2024, and within a second of what time() says. */
	uint64_t now = clock_wall_us();
	uint64_t other = (uint64_t)time(NULL) * SECOND;
	assert_true(now > UINT64_C(1704067200) * SECOND);
	assert_true(now + SECOND >= other && now <= other + 2 * SECOND);
}

static void known_dates(void **state)
{
	char text[CLOCK_TEXT_LEN];
	const uint64_t at = UINT64_C(1772373909) * SECOND + 123;

	(void)state;
	clock_format(at, text);
	assert_string_equal(text, "2026-03-01 14:05:09 UTC");
	clock_format_json(at, text);
	assert_string_equal(text, "2026-03-01T14:05:09.000123Z");
	clock_format_json(1, text);
	assert_string_equal(text, "1970-01-01T00:00:00.000001Z");
	clock_format(UINT64_C(951782400) * SECOND, text);
	assert_string_equal(text, "2000-02-29 00:00:00 UTC");
	clock_format(UINT64_C(4107542399) * SECOND, text);
	assert_string_equal(text, "2100-02-28 23:59:59 UTC");
	clock_format(UINT64_C(4107542400) * SECOND, text);
	assert_string_equal(text, "2100-03-01 00:00:00 UTC");
}

static void no_time_and_the_last_time(void **state)
{
	char text[CLOCK_TEXT_LEN];

	(void)state;
	clock_format(0, text);
	assert_string_equal(text, "-");
	clock_format_json(0, text);
	assert_string_equal(text, "");
	clock_format(UINT64_MAX, text);
	assert_string_equal(text, "586524-01-19 08:01:49 UTC");
	clock_format_json(UINT64_MAX, text);
	assert_string_equal(text, "586524-01-19T08:01:49.551615Z");
}

static void every_day_of_five_centuries(void **state)
{
	char text[CLOCK_TEXT_LEN], want[64];

	(void)state;
	for (time_t day = 0; day < 183000; day++) {
		time_t at = day * 86400 + day % 86400 + 1;
		struct tm tm;

		assert_non_null(gmtime_r(&at, &tm));
		assert_true(strftime(want, sizeof(want), "%Y-%m-%d %H:%M:%S UTC", &tm) > 0);
		clock_format((uint64_t)at * SECOND, text);
		assert_string_equal(text, want);
	}
}

static void spans_are_read(void **state)
{
	static const struct {
		const char *text;
		uint64_t seconds;
	} spans[] = {
		{ "0", 0 },
		{ "90", 90 },
		{ "90s", 90 },
		{ "2min", 120 },
		{ "2m", 120 },
		{ "12h 30min", 45000 },
		{ "12h30min", 45000 },
		{ "12 hours 30 minutes", 45000 },
		{ "  1h\t", 3600 },
		{ "90d", 7776000 },
		{ "2w", 1209600 },
		{ "1M", 2629800 },
		{ "1month", 2629800 },
		{ "1y", 31557600 },
		{ "1 year 1 day 1 sec", 31644001 },
		{ "1h 5", 3605 },
		{ "18446744073709551615", UINT64_MAX },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(spans); i++) {
		uint64_t seconds = 77;

		assert_int_equal(clock_parse_span(spans[i].text, &seconds), KMS_OK);
		assert_true(seconds == spans[i].seconds);
	}
}

static void what_is_no_span_is_refused(void **state)
{
	static const char *const bad[] = { "", " ", "d", "-1d", "+1d", "1.5h", "1x", "1D", "1 ms",
		"100us", "1d,2h", "1d x", "0x10", "1h30min!", "infinity", "1\n",
		"18446744073709551616", "99999999999999999999999", "584942417356y",
		"18446744073709551615 1s", "1d -" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		uint64_t seconds = 77;

		assert_int_equal(clock_parse_span(bad[i], &seconds), KMS_E_BAD_REQUEST);
		assert_true(seconds == 77);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clocks_run),
		cmocka_unit_test(known_dates),
		cmocka_unit_test(no_time_and_the_last_time),
		cmocka_unit_test(every_day_of_five_centuries),
		cmocka_unit_test(spans_are_read),
		cmocka_unit_test(what_is_no_span_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
