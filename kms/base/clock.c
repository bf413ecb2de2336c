/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two clocks and their text. Dates are computed here and not by gmtime_r, which opens the
 * time zone's file at its first call; the keeper's sandbox has no such file.
 */
#include "kms/base/clock.h"

#include <string.h>
#include <time.h>

enum {
	US_PER_SECOND = 1000000,
	SECONDS_PER_DAY = 86400
};

struct date {
	unsigned year, month, day, hour, minute, second, us;
};

struct unit {
	const char *name;
	uint64_t seconds;
};

/* systemd.time(7), without the parts of a second: our spans are whole seconds. */
static const struct unit units[] = {
	{ "", 1 },
	{ "s", 1 },
	{ "sec", 1 },
	{ "second", 1 },
	{ "seconds", 1 },
	{ "m", 60 },
	{ "min", 60 },
	{ "minute", 60 },
	{ "minutes", 60 },
	{ "h", 3600 },
	{ "hr", 3600 },
	{ "hour", 3600 },
	{ "hours", 3600 },
	{ "d", 86400 },
	{ "day", 86400 },
	{ "days", 86400 },
	{ "w", 604800 },
	{ "week", 604800 },
	{ "weeks", 604800 },
	{ "M", 2629800 }, /* 30.4375 days */
	{ "month", 2629800 },
	{ "months", 2629800 },
	{ "y", 31557600 }, /* 365.25 days */
	{ "year", 31557600 },
	{ "years", 31557600 },
};

static uint64_t read_clock(clockid_t id)
{
	struct timespec t;

	CHECK(clock_gettime(id, &t) == 0);
	return (uint64_t)t.tv_sec * US_PER_SECOND + (uint64_t)t.tv_nsec / 1000;
}

uint64_t clock_wall_us(void)
{
	return read_clock(CLOCK_REALTIME);
}

uint64_t clock_mono_us(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

/*
 * The Gregorian calendar repeats every 400 years (146,097 days). Years begin in March here, so
 * that the leap day is the last one and month lengths follow one line: (153 m + 2) / 5.
 */
static struct date date_of(uint64_t us)
{
	uint64_t seconds = us / US_PER_SECOND;
	unsigned rest = (unsigned)(seconds % SECONDS_PER_DAY);
	uint64_t days = seconds / SECONDS_PER_DAY + 719468; /* since 0000-03-01 */
	uint64_t era = days / 146097;
	unsigned d = (unsigned)(days % 146097);
	unsigned y = (d - d / 1460 + d / 36524 - d / 146096) / 365;
	unsigned in_year = d - (365 * y + y / 4 - y / 100);
	unsigned m = (5 * in_year + 2) / 153; /* 0 is March */

	return (struct date){
		.year = (unsigned)era * 400 + y + (m >= 10 ? 1 : 0),
		.month = m < 10 ? m + 3 : m - 9,
		.day = in_year - (153 * m + 2) / 5 + 1,
		.hour = rest / 3600,
		.minute = rest / 60 % 60,
		.second = rest % 60,
		.us = (unsigned)(us % US_PER_SECOND),
	};
}

/* Writes the digits of x, padded to `width`, and the character after them. Returns the end. */
static char *put_number(char *p, unsigned x, unsigned width, char then)
{
	char digits[10];
	unsigned n = 0;

	do {
		digits[n++] = (char)('0' + x % 10);
		x /= 10;
	} while (x > 0 || n < width);
	while (n > 0)
		*p++ = digits[--n];
	*p++ = then;
	return p;
}

/* "2026-03-01", a separator, "14:05:09" and `then`: 22 bytes at most, for the year 586524. */
static char *put_date(char *p, struct date d, char between, char then)
{
	p = put_number(p, d.year, 4, '-');
	p = put_number(p, d.month, 2, '-');
	p = put_number(p, d.day, 2, between);
	p = put_number(p, d.hour, 2, ':');
	p = put_number(p, d.minute, 2, ':');
	return put_number(p, d.second, 2, then);
}

void clock_format(uint64_t wall_us, char out[static CLOCK_TEXT_LEN])
{
	if (wall_us == 0) {
		memcpy(out, "-", sizeof("-"));
		return;
	}
	memcpy(put_date(out, date_of(wall_us), ' ', ' '), "UTC", sizeof("UTC"));
}

void clock_format_json(uint64_t wall_us, char out[static CLOCK_TEXT_LEN])
{
	out[0] = '\0';
	if (wall_us == 0)
		return;

	struct date d = date_of(wall_us);
	*put_number(put_date(out, d, 'T', '.'), d.us, 6, 'Z') = '\0';
}

static const char *skip_spaces(const char *p)
{
	return p + strspn(p, " \t");
}

static kms_err parse_number(const char **p, uint64_t *out)
{
	uint64_t x = 0;
	size_t digits = strspn(*p, "0123456789");

	if (digits == 0)
		return KMS_E_BAD_REQUEST;
	for (size_t i = 0; i < digits; i++) {
		if (__builtin_mul_overflow(x, (uint64_t)10, &x) ||
		    __builtin_add_overflow(x, (uint64_t)((*p)[i] - '0'), &x))
			return KMS_E_BAD_REQUEST;
	}
	*p += digits;
	*out = x;
	return KMS_OK;
}

static kms_err parse_unit(const char **p, uint64_t *out_seconds)
{
	size_t n = strspn(*p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");

	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (strlen(units[i].name) == n && memcmp(units[i].name, *p, n) == 0) {
			*p += n;
			*out_seconds = units[i].seconds;
			return KMS_OK;
		}
	}
	return KMS_E_BAD_REQUEST;
}

kms_err clock_parse_span(const char *text, uint64_t *out_seconds)
{
	const char *p = skip_spaces(text);
	uint64_t total = 0;

	do {
		uint64_t count, unit, part;

		TRY(parse_number(&p, &count));
		p = skip_spaces(p);
		TRY(parse_unit(&p, &unit));
		p = skip_spaces(p);
		if (__builtin_mul_overflow(count, unit, &part) ||
		    __builtin_add_overflow(total, part, &total))
			return KMS_E_BAD_REQUEST;
	} while (*p != '\0');

	*out_seconds = total;
	return KMS_OK;
}
