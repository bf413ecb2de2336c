/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the log ends, after whatever ended the last run. Only the last segment is read: its head
 * holds the tree's edge. What a crash left behind the end is overwritten with zeros before anything new
 * is written: a frame of then, whole and well-placed, would pass for one of now.
 */
#include "kms/audit/trail.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "kms/audit/segment_private.h"
#include "kms/audit/trail_private.h"

/* Zeros over [from, to) of a segment. */
static kms_err wipe_tail(int dir_fd, uint32_t number, uint64_t from, uint64_t to)
{
	char name[SEGMENT_NAME_MAX];

	segment_name(number, name);
	AUTO(segment_fd_close) int fd = openat(dir_fd, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return KMS_E_AUDIT_IO;
	TRY(segment_put_zeros(fd, from, to - from));
	return fdatasync(fd) == 0 ? KMS_OK : segment_errno();
}

static kms_err wipe_whole(int dir_fd, uint32_t number, uint64_t *dropped)
{
	AUTO(segment_view_free) struct segment_view *v = NULL;

	TRY(segment_view_map(dir_fd, number, &v));
	uint64_t used = bytes_used(v->map, 0);
	*dropped += used;
	return wipe_tail(dir_fd, number, 0, used);
}

/*
 * The last segment that was begun; NULL: none. Behind it are segments made ahead, and at most one,
 * the next, that a crash left half begun: *out_torn is its number, or one past the last.
 */
static kms_err find_last(
    int dir_fd, uint32_t first, uint32_t end, struct segment_view **out, uint32_t *out_torn)
{
	bool torn = false;
	uint32_t torn_at = end;

	*out = NULL;
	for (uint32_t number = end; number > first && *out == NULL; number--) {
		/* Before a segment is begun the one below it is on disk to its end. */
		if (torn_at != end && torn_at != number)
			return KMS_E_AUDIT_CORRUPT;
		TRY(open_if_begun(dir_fd, number - 1, out, &torn));
		if (torn && torn_at != end)
			return KMS_E_AUDIT_CORRUPT;
		if (torn)
			torn_at = number - 1;
	}
	if (*out == NULL && torn_at != end && torn_at != first)
		return KMS_E_AUDIT_CORRUPT;
	*out_torn = torn_at;
	return KMS_OK;
}

/* From where the walk stopped on there must be zeros, or what a crash explains. */
static kms_err check_tail(struct walk *w, kms_err e, uint64_t *out_dropped)
{
	struct bytes map = w->view->map;
	size_t used = bytes_used(map, w->pos);

	if (e != KMS_OK && !w->broken)
		return e;
	if (used > w->pos && !tear_explains(map, w->pos))
		return KMS_E_AUDIT_CORRUPT;
	*out_dropped = used - w->pos;
	return KMS_OK;
}

static kms_err end_of(const struct walk *w, struct trail_end *out)
{
	const struct segment_head *h = segment_view_head(w->view);
	uint64_t left = h->size - w->pos;

	/* Behind a record that no group covers we always leave room for a group frame. */
	if (w->tree.size != w->covered && left < SEGMENT_FRAME_HEAD + SEGMENT_GROUP_LEN)
		return KMS_E_AUDIT_CORRUPT;
	out->tree = w->tree;
	out->segment = h->number;
	out->segment_size = h->size;
	out->offset = w->pos;
	memcpy(out->mac, w->mac, sizeof(out->mac));
	return KMS_OK;
}

static kms_err recover_segment(int dir_fd, const struct segment_view *v, struct trail_end *out)
{
	struct walk w = walk_of(v, NULL);
	uint64_t dropped = 0;

	kms_err e = walk_to_end(&w);
	if (e != KMS_OK && e != KMS_E_AUDIT_CORRUPT)
		return e;
	TRY(check_tail(&w, e, &dropped));
	TRY(end_of(&w, out));
	out->dropped += dropped;
	if (dropped == 0)
		return KMS_OK;
	return wipe_tail(dir_fd, segment_view_head(v)->number, w.pos, w.pos + dropped);
}

kms_err trail_recover(int dir_fd, struct trail_end *out)
{
	AUTO(segment_view_free) struct segment_view *v = NULL;
	struct trail_end found = { .segment = 0 };
	uint32_t first = 0, end = 0, torn = 0;

	TRY(segments_range(dir_fd, &first, &end));
	TRY(find_last(dir_fd, first, end, &v, &torn));
	/* Later segments are never alone: the first one begins before they are made. */
	if (v == NULL && first > 0)
		return KMS_E_AUDIT_CORRUPT;
	found.fresh = v == NULL;
	if (v != NULL)
		TRY(recover_segment(dir_fd, v, &found));
	if (torn != end)
		TRY(wipe_whole(dir_fd, torn, &found.dropped));
	*out = found;
	return KMS_OK;
}
