/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See check.h. Here: segments, heads, frames, records, the tree. What is signed is check_signed.c's.
 */
#include "kms/audit/check.h"

#include <stdlib.h>
#include <string.h>

#include "kms/audit/check_private.h"

static const struct {
	const char *name, *text;
} whys[CHECK_WHY_COUNT] = {
	[CHECK_FINE] = { "fine", "Nothing is wrong." },
	[CHECK_MISSING] = { "missing", "A segment is missing." },
	[CHECK_HEAD] = { "head", "The segment's head was changed, or the file is another one's." },
	[CHECK_CHAIN] = { "chain", "The segment does not continue the one before it." },
	[CHECK_FRAME] = { "frame", "The bytes were changed: they don't fit their checksum." },
	[CHECK_TAIL] = { "tail", "Something stands behind the end of the segment." },
	[CHECK_RECORD] = { "record", "The record can't be read." },
	[CHECK_SEQUENCE] = { "sequence", "A record is missing, or stands in another's place." },
	[CHECK_TIME] = { "time", "The record's time is before that of the record before it." },
	[CHECK_GROUP] = { "group", "A group of records does not end where it says." },
	[CHECK_CHECKPOINT] = { "checkpoint",
	    "A checkpoint can't be read, or says what it can't know." },
	[CHECK_SIGNATURE] = { "signature", "A checkpoint is not signed by a key that was given." },
	[CHECK_ROOT] = { "root", "The records are not those that were signed." },
};

const char *check_why_name(enum check_why w)
{
	return (unsigned)w < CHECK_WHY_COUNT ? whys[w].name : "unknown";
}

const char *check_why_text(enum check_why w)
{
	return (unsigned)w < CHECK_WHY_COUNT ? whys[w].text : "";
}

kms_err check_bad(struct check *c, enum check_why why)
{
	c->fault.why = why;
	c->fault.record = c->tree.size;
	return KMS_E_AUDIT_CORRUPT;
}

static void check_free(struct check **c)
{
	if (*c == NULL)
		return;
	buf_done(&(*c)->edges);
	free((*c)->marks);
	free(*c);
	*c = NULL;
}

static kms_err check_new(const struct check_keys *keys, struct check **out)
{
	AUTO(check_free) struct check *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return KMS_E_NO_MEMORY;
	c->marks = calloc(CHECK_BEHIND_MAX, sizeof(*c->marks));
	if (c->marks == NULL)
		return KMS_E_NO_MEMORY;
	c->keys = keys;
	*out = MOVE(c);
	return KMS_OK;
}

/* The first segment that there is says what stood before it; the others must continue it. */
static kms_err take_head(struct check *c, const struct segment_head *h)
{
	if (!c->begun) {
		c->begun = true;
		c->tree = h->tree;
		c->covered = h->tree.size;
		c->good = h->tree.size;
		c->sum.first = h->tree.size;
		memcpy(c->mac, h->mac_before, sizeof(c->mac));
		return KMS_OK;
	}
	size_t n = tree_edge_len(h->tree.size) * SHA256_LEN;
	if (h->tree.size != c->tree.size)
		return check_bad(c, CHECK_CHAIN);
	if (memcmp(h->tree.edge, c->tree.edge, n) == 0 &&
	    memcmp(h->mac_before, c->mac, sizeof(c->mac)) == 0)
		return KMS_OK;
	/* Which of them was changed, only the last signature can tell. */
	kms_err e = check_bad(c, CHECK_CHAIN);
	c->fault.record = c->good;
	return e;
}

/* Between two runs of kmsd somebody may have set the clock. */
static kms_err take_time(struct check *c, const struct record *r)
{
	if (memcmp(c->boot, r->boot, sizeof(c->boot)) == 0 && r->time_us < c->time_us)
		return check_bad(c, CHECK_TIME);
	memcpy(c->boot, r->boot, sizeof(c->boot));
	c->time_us = r->time_us;
	return KMS_OK;
}

static kms_err take_record(struct check *c, struct bytes payload)
{
	uint8_t leaf[SHA256_LEN];

	if (record_decode(payload, c->items, &c->record) != KMS_OK)
		return check_bad(c, CHECK_RECORD);
	if (c->record.seq != c->tree.size)
		return check_bad(c, CHECK_SEQUENCE);
	TRY(take_time(c, &c->record));
	TRY(tree_leaf(payload, leaf));
	return tree_append(&c->tree, leaf);
}

static kms_err take_group(struct check *c, struct bytes payload)
{
	struct reader r = reader_of(payload);

	if (read_u64(&r) != c->tree.size || c->covered == c->tree.size)
		return check_bad(c, CHECK_GROUP);
	read_into(&r, c->mac, sizeof(c->mac));
	c->covered = c->tree.size;
	c->sum.groups++;
	return check_mark(c);
}

static kms_err take_frame(struct check *c, uint8_t type, struct bytes payload)
{
	switch (type) {
	case SEGMENT_RECORD: return take_record(c, payload);
	case SEGMENT_GROUP: return take_group(c, payload);
	case SEGMENT_CHECKPOINT: return check_checkpoint(c, payload);
	}
	/* Of a newer version: it says nothing about records. */
	return KMS_OK;
}

/* Where no frame begins any more there are zeros, or what a crash left. */
static kms_err take_tail(struct check *c, struct bytes map, uint64_t pos, kms_err e, bool last)
{
	size_t used = bytes_used(map, pos);

	if (used == pos)
		return e == KMS_OK ? KMS_OK : check_bad(c, CHECK_FRAME);
	if (!last || !tear_explains(map, pos))
		return check_bad(c, e == KMS_OK ? CHECK_TAIL : CHECK_FRAME);
	c->sum.torn += used - pos;
	return KMS_OK;
}

static kms_err take_frames(struct check *c, const struct segment_view *v, bool last)
{
	uint64_t pos = 0;
	uint8_t type = 0;
	struct bytes payload;

	for (;;) {
		c->fault.offset = pos == 0 ? v->head_len : pos;
		kms_err e = segment_view_next(v, &pos, &type, &payload);
		if (e != KMS_OK && e != KMS_E_AUDIT_CORRUPT)
			return e;
		if (e != KMS_OK || type == 0)
			return take_tail(c, v->map, c->fault.offset, e, last);
		TRY(take_frame(c, type, payload));
	}
}

static kms_err take_segment(struct check *c, int dir_fd, uint32_t number, bool last)
{
	AUTO(segment_view_free) struct segment_view *v = NULL;

	c->fault.segment = number;
	c->fault.offset = 0;
	kms_err e = segment_view_map(dir_fd, number, &v);
	if (e == KMS_E_NOT_FOUND)
		return check_bad(c, CHECK_MISSING);
	if (e == KMS_E_AUDIT_CORRUPT)
		return check_bad(c, CHECK_HEAD);
	TRY(e);
	e = segment_view_read_head(v, number);
	if (e == KMS_E_NOT_FOUND)
		return check_bad(c, CHECK_MISSING);
	if (e == KMS_E_AUDIT_CORRUPT && last && c->begun && tear_explains(v->map, 0)) {
		c->sum.torn += bytes_used(v->map, 0);
		return KMS_OK;
	}
	if (e == KMS_E_AUDIT_CORRUPT)
		return check_bad(c, CHECK_HEAD);
	TRY(e);
	TRY(take_head(c, &v->head));
	c->sum.segments++;
	return take_frames(c, v, last);
}

/* Of [first, end): one past the last that was begun, or half begun. */
static kms_err find_end(int dir_fd, uint32_t first, uint32_t *end)
{
	for (; *end > first; (*end)--) {
		AUTO(segment_view_free) struct segment_view *v = NULL;
		TRY(segment_view_map(dir_fd, *end - 1, &v));
		if (bytes_used(v->map, 0) > 0)
			return KMS_OK;
	}
	return KMS_OK;
}

/* The last two may both have an end that is torn: a crash half began the second of them. */
static bool may_be_torn(int dir_fd, uint32_t number, uint32_t end)
{
	AUTO(segment_view_free) struct segment_view *v = NULL;

	if (number + 1 == end)
		return true;
	if (number + 2 != end || segment_view_map(dir_fd, end - 1, &v) != KMS_OK)
		return false;
	return segment_view_read_head(v, end - 1) == KMS_E_AUDIT_CORRUPT &&
	       tear_explains(v->map, 0);
}

static kms_err take_folder(struct check *c, int dir_fd)
{
	uint32_t first = 0, end = 0;

	kms_err e = segments_range(dir_fd, &first, &end);
	if (e == KMS_E_AUDIT_CORRUPT)
		return check_bad(c, CHECK_MISSING);
	TRY(e);
	e = find_end(dir_fd, first, &end);
	if (e == KMS_E_AUDIT_CORRUPT) {
		c->fault.segment = end - 1;
		return check_bad(c, CHECK_HEAD);
	}
	TRY(e);
	for (uint32_t number = first; number < end; number++)
		TRY(take_segment(c, dir_fd, number, may_be_torn(dir_fd, number, end)));
	c->sum.size = c->tree.size;
	return tree_root(&c->tree, c->sum.root);
}

kms_err check_folder(
    const struct check_keys *keys, int dir_fd, struct check_sum *out, struct check_fault *out_fault)
{
	AUTO(check_free) struct check *c = NULL;

	TRY(check_new(keys, &c));
	kms_err e = take_folder(c, dir_fd);
	if (e == KMS_E_AUDIT_CORRUPT)
		*out_fault = c->fault;
	TRY(e);
	*out = c->sum;
	return KMS_OK;
}
