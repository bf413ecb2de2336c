/* SPDX-License-Identifier: Apache-2.0 */
/* The values of a policy's options, one function a form. */
#include <stdlib.h>
#include <string.h>

#include "kms/policy/parse_private.h"

enum {
	DAYS = 7,
	YEAR_MIN = 1970,
	YEAR_MAX = 2200
};

static const char *const day_names[DAYS] = { "mon", "tue", "wed", "thu", "fri", "sat", "sun" };

const char *parse_number(const char *text, uint64_t max, uint64_t *out)
{
	uint64_t x = 0;
	if (text[0] == '\0' || text[strspn(text, "0123456789")] != '\0')
		return "a whole number is wanted";
	for (const char *p = text; *p != '\0'; p++)
		if (__builtin_mul_overflow(x, (uint64_t)10, &x) ||
		    __builtin_add_overflow(x, (uint64_t)(*p - '0'), &x) || x > max)
			return "the number is too large";
	if (x == 0)
		return "0 is not possible; leave the option out for no limit";
	*out = x;
	return NULL;
}

const char *parse_flag(const char *text, bool *out)
{
	bool yes = strcmp(text, "yes") == 0 || strcmp(text, "true") == 0;
	bool no = strcmp(text, "no") == 0 || strcmp(text, "false") == 0;
	if (!yes && !no)
		return "yes or no is wanted";
	*out = yes;
	return NULL;
}

const char *parse_rate(const char *text, struct rules_role *out)
{
	static const struct {
		const char *unit;
		uint64_t us;
	} units[] = { { "/s", 1000000 }, { "/min", 60000000 } };
	char digits[16] = "";
	uint64_t n = 0;
	size_t slash = strcspn(text, "/");
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (strcmp(text + slash, units[i].unit) != 0 || slash >= sizeof(digits))
			continue;
		memcpy(digits, text, slash);
		const char *wrong = parse_number(digits, units[i].us, &n);
		if (wrong != NULL)
			return wrong;
		out->rate = (uint32_t)n;
		out->rate_us = units[i].us;
		return NULL;
	}
	return "a rate is written as 500/s or 30/min";
}

/* Takes a day's name off the front. */
static bool take_day(const char **at, size_t *out)
{
	for (size_t i = 0; i < DAYS; i++)
		if (strncmp(*at, day_names[i], 3) == 0) {
			*at += 3;
			*out = i;
			return true;
		}
	return false;
}

/* "mon-fri", "sat,sun"; from a later day to an earlier one goes over Sunday. */
static bool take_days(const char **at, uint8_t *out)
{
	*out = 0;
	do {
		size_t from = 0, to = 0;
		*at += **at == ',';
		if (!take_day(at, &from))
			return false;
		to = from;
		if (**at == '-') {
			(*at)++;
			if (!take_day(at, &to))
				return false;
		}
		for (size_t i = from;; i = (i + 1) % DAYS) {
			*out |= (uint8_t)(1U << i);
			if (i == to)
				break;
		}
	} while (**at == ',');
	return true;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* "08:00"; "24:00" is the end of a day. */
static bool take_minute(const char **at, uint16_t *out)
{
	const char *p = *at;
	for (size_t i = 0; i < 5; i++)
		if (i == 2 ? p[i] != ':' : !is_digit(p[i]))
			return false;
	int hour = (p[0] - '0') * 10 + p[1] - '0', minute = (p[3] - '0') * 10 + p[4] - '0';
	if (minute > 59 || hour > 24 || (hour == 24 && minute > 0))
		return false;
	*out = (uint16_t)(hour * 60 + minute);
	*at += 5;
	return true;
}

const char *parse_hours(const char *text, struct rules_role *out)
{
	static const char how[] = "hours are written as \"mon-fri 08:00-20:00\"";
	struct rules_hours h = { .days = 0x7f };
	const char *at = text;
	if (out->hours_n == RULES_HOURS_MAX)
		return "there are too many spans of hours";
	if (!is_digit(*at)) {
		if (!take_days(&at, &h.days) || *at != ' ')
			return how;
		at += strspn(at, " ");
	}
	if (!take_minute(&at, &h.from) || *at++ != '-' || !take_minute(&at, &h.to) || *at != '\0')
		return how;
	if (h.from >= h.to)
		return "the hours end before they begin; write two spans, to 24:00 and from 00:00";
	out->hours[out->hours_n++] = h;
	return NULL;
}

static bool is_leap(int y)
{
	return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

const char *parse_date(const char *text, uint32_t *out)
{
	static const int month_days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	static const char how[] = "a day is written as 2026-12-31";
	if (strlen(text) != 10)
		return how;
	for (size_t i = 0; i < 10; i++)
		if (i == 4 || i == 7 ? text[i] != '-' : !is_digit(text[i]))
			return how;
	int y =
	    (text[0] - '0') * 1000 + (text[1] - '0') * 100 + (text[2] - '0') * 10 + text[3] - '0';
	int m = (text[5] - '0') * 10 + text[6] - '0', d = (text[8] - '0') * 10 + text[9] - '0';
	if (y < YEAR_MIN || y > YEAR_MAX || m < 1 || m > 12 || d < 1 ||
	    d > month_days[m - 1] + (m == 2 && is_leap(y)))
		return "there is no such day";
	uint32_t days = 0;
	for (int i = YEAR_MIN; i < y; i++)
		days += 365 + (uint32_t)is_leap(i);
	for (int i = 1; i < m; i++)
		days += (uint32_t)(month_days[i - 1] + (i == 2 && is_leap(y)));
	*out = days + (uint32_t)d - 1;
	return NULL;
}

const char *parse_glob(const char *text)
{
	size_t n = strlen(text);
	if (n == 0 || n > NAME_MAX_LEN)
		return "a pattern of key names has 1 to 64 characters";
	for (size_t i = 0; i < n; i++) {
		char c = text[i];
		bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c);
		if (!alnum && strchr("*._-", c) == NULL)
			return "a pattern of key names is made of A-Z a-z 0-9 . _ - and *";
	}
	return NULL;
}

const char *parse_word(const char *text)
{
	size_t n = strlen(text);
	if (n == 0 || n > NAME_MAX_LEN)
		return "a name of 1 to 64 characters is wanted";
	for (size_t i = 0; i < n; i++)
		if (text[i] <= ' ' || text[i] > '~' || strchr(",=\"\\", text[i]) != NULL)
			return "a name has no spaces, quotes, commas or equals signs";
	return NULL;
}
