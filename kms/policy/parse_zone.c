/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A zone's offsets as a table, asked of the C library a day at a time and narrowed down to the
 * second, so that what decides reads no file and no environment.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "kms/policy/parse_private.h"

enum {
	DAY_S = 86400
};

/* 2020 to 2060: a policy that old is read anew. */
static const int64_t first_s = 1577836800, last_s = 2840140800;

static bool name_ok(const char *zone)
{
	static const char letters[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/";
	return zone[0] != '/' && zone[strspn(zone, letters)] == '\0';
}

static bool is_known(const char *zone)
{
	char path[128] = "/usr/share/zoneinfo/";
	size_t n = strlen(path);
	memcpy(path + n, zone, strlen(zone) + 1);
	return access(path, R_OK) == 0;
}

static int32_t ahead_at(int64_t s)
{
	struct tm t;
	time_t at = (time_t)s;
	return localtime_r(&at, &t) != NULL ? (int32_t)t.tm_gmtoff : 0;
}

static kms_err add(struct rules *r, int64_t from_s, int32_t ahead_s)
{
	struct rules_zone_step *more = reallocarray(r->steps, r->step_n + 1, sizeof(*more));
	if (more == NULL)
		return KMS_E_NO_MEMORY;
	r->steps = more;
	r->steps[r->step_n++] = (struct rules_zone_step){ .from_s = from_s, .ahead_s = ahead_s };
	return r->step_n < RULES_ZONE_MAX ? KMS_OK : KMS_E_BAD_POLICY;
}

/* The second between low and high at which the offset becomes that of high. */
static int64_t find_change(int64_t low, int64_t high)
{
	int32_t after = ahead_at(high);
	while (high - low > 1) {
		int64_t middle = low + (high - low) / 2;
		if (ahead_at(middle) == after)
			high = middle;
		else
			low = middle;
	}
	return high;
}

static kms_err fill(struct rules *r)
{
	int32_t now = ahead_at(first_s);
	TRY(add(r, first_s, now));
	for (int64_t s = first_s + DAY_S; s < last_s; s += DAY_S) {
		int32_t then = ahead_at(s);
		if (then == now)
			continue;
		TRY(add(r, find_change(s - DAY_S, s), then));
		now = then;
	}
	return KMS_OK;
}

static void set_zone(const char *zone)
{
	/* One thread, and whoever had set it gets it back. */
	if (zone == NULL)
		(void)unsetenv("TZ"); /* NOLINT(concurrency-mt-unsafe) */
	else
		(void)setenv("TZ", zone, 1); /* NOLINT(concurrency-mt-unsafe) */
	tzset();
}

kms_err parse_zone(struct rules *r)
{
	char before[128] = "";
	if (r->zone[0] == '\0' || strcmp(r->zone, "UTC") == 0)
		return KMS_OK;
	if (!name_ok(r->zone) || !is_known(r->zone))
		return KMS_E_BAD_POLICY;
	const char *was = getenv("TZ"); /* NOLINT(concurrency-mt-unsafe) */
	bool keep = was != NULL && strlen(was) < sizeof(before);
	if (keep)
		memcpy(before, was, strlen(was) + 1);
	set_zone(r->zone);
	kms_err e = fill(r);
	set_zone(keep ? before : NULL);
	return e;
}
