/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a crash can leave at the end of a log, and what it can't. A group is one write, flushed
 * before the next is begun; so only the last write can be wanting, and of that any sectors. Who
 * changes a byte leaves no sector empty, who changes an older group leaves later ones behind it.
 */
#include <string.h>

#include "kms/audit/segment_private.h"

enum {
	SECTOR = 512, /* a disk writes these whole or not at all */
	CHUNK = 4096
};

size_t bytes_used(struct bytes x, size_t from)
{
	static const uint8_t zeros[CHUNK];
	size_t n = x.n;

	/* Most of a segment is empty, and a whole one is long. */
	while (n >= from + CHUNK && memcmp(x.p + n - CHUNK, zeros, CHUNK) == 0)
		n -= CHUNK;
	while (n > from && x.p[n - 1] == 0)
		n--;
	return n;
}

static bool is_hole(struct bytes x, size_t from, size_t end)
{
	while (from < end && x.p[from] == 0)
		from++;
	return from == end;
}

/* Is a sector missing between `at` and the frame at `next`? */
static bool has_hole(struct bytes x, size_t at, size_t next)
{
	for (size_t end; at < next; at = end) {
		end = (at / SECTOR + 1) * SECTOR;
		if (is_hole(x, at, end < x.n ? end : x.n))
			return true;
	}
	return false;
}

/* The next frame from `at` on, at any offset; its type, or 0 where there is none. */
static uint8_t find_frame(struct bytes x, size_t *at, size_t *out_used)
{
	for (; *at < x.n; (*at)++) {
		uint8_t type = 0;
		struct bytes payload;
		kms_err e =
		    segment_frame_find(bytes_of(x.p + *at, x.n - *at), &type, &payload, out_used);
		if (e == KMS_OK && type != 0)
			return type;
	}
	return 0;
}

bool tear_explains(struct bytes segment, size_t at)
{
	struct bytes x = bytes_of(segment.p, bytes_used(segment, at));
	size_t next = at, used = 0;
	uint8_t type = find_frame(x, &next, &used);

	if (type == 0)
		return true;
	if (!has_hole(x, at, next))
		return false;
	while (type != 0 && type != SEGMENT_GROUP) {
		next += used;
		type = find_frame(x, &next, &used);
	}
	/* A group frame ends a write: nothing can stand behind it. */
	next += used;
	return type == 0 || find_frame(x, &next, &used) == 0;
}
