/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Local time by the table that the policy brings: no zone file, no environment, no clock. Days are
 * counted from 1970-01-01, a Thursday.
 */
#include <stdlib.h>

#include "kms/policy/rules.h"

enum {
	DAY_S = 86400,
	THURSDAY = 3
};

static int64_t ahead_at(const struct rules *r, int64_t s)
{
	if (r->step_n == 0)
		return 0;
	size_t low = 0, high = r->step_n;
	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;
		if (r->steps[middle].from_s <= s)
			low = middle;
		else
			high = middle;
	}
	return r->steps[low].ahead_s;
}

static bool is_holiday(const struct rules *r, uint32_t day)
{
	size_t low = 0, high = r->holiday_n;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (r->holidays[middle] == day)
			return true;
		if (r->holidays[middle] < day)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

/* A clock that stands before 1970 is taken for 1970. */
static int64_t local_s(const struct rules *r, uint64_t wall_us)
{
	int64_t s = (int64_t)(wall_us / 1000000);
	s += ahead_at(r, s);
	return s < 0 ? 0 : s;
}

struct rules_local rules_local(const struct rules *r, uint64_t wall_us)
{
	int64_t s = local_s(r, wall_us);
	uint32_t day = (uint32_t)(s / DAY_S);
	return (struct rules_local){ .day = day,
		.minute = (uint16_t)(s % DAY_S / 60),
		.weekday = (uint8_t)((day + THURSDAY) % 7),
		.holiday = is_holiday(r, day) };
}
