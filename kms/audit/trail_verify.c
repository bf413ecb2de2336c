/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the log says, checked at unseal: MACs of its last segment, and the root that the store
 * remembers. The journal may be writing records meanwhile, so a half frame at the end is no news.
 */
#include "kms/audit/trail.h"

#include <stdlib.h>
#include <string.h>

#include "kms/audit/segment_private.h"
#include "kms/audit/trail_private.h"

/* The last begun segment whose first sequence number is at most `size`; NULL: none. */
static kms_err find_segment(int dir_fd, uint64_t size, struct segment_view **out)
{
	uint32_t first = 0, end = 0;
	bool torn = false;

	*out = NULL;
	TRY(segments_range(dir_fd, &first, &end));
	for (uint32_t number = end; number > first; number--) {
		AUTO(segment_view_free) struct segment_view *v = NULL;
		TRY(open_if_begun(dir_fd, number - 1, &v, &torn));
		if (v == NULL || segment_view_head(v)->tree.size > size)
			continue;
		*out = MOVE(v);
		return KMS_OK;
	}
	return KMS_OK;
}

static bool is_zero(const uint8_t mac[static SHA256_LEN])
{
	static const uint8_t zeros[SHA256_LEN];

	return memcmp(mac, zeros, sizeof(zeros)) == 0;
}

static kms_err check_head(const struct segment_view *v, struct mac *key)
{
	const struct segment_head *h = segment_view_head(v);
	uint8_t ours[SHA256_LEN];

	/* Written while sealed: the next group's MAC covers what it says. */
	if (is_zero(h->mac))
		return KMS_OK;
	TRY(mac_head(key, bytes_of(v->map.p, v->head_len), ours));
	return equal_ct(ours, h->mac, sizeof(ours)) ? KMS_OK : KMS_E_AUDIT_CORRUPT;
}

/* A frame that is being written looks torn, and is whole when it is looked at again. */
static kms_err walk_all(struct walk *w)
{
	for (;;) {
		kms_err e = walk_to_end(w);
		if (e == KMS_OK || !w->broken)
			return e;
		if (tear_explains(w->view->map, w->pos))
			return KMS_OK;
		TRY(walk_next(w));
	}
}

kms_err trail_verify(int dir_fd, const struct secret *audit_key)
{
	AUTO(segment_view_free) struct segment_view *v = NULL;
	AUTO(mac_free) struct mac *key = NULL;

	TRY(find_segment(dir_fd, UINT64_MAX, &v));
	if (v == NULL)
		return KMS_OK;
	TRY(mac_new(audit_key, &key));
	TRY(check_head(v, key));
	struct walk w = walk_of(v, key);
	return walk_all(&w);
}

kms_err trail_root_at(int dir_fd, uint64_t size, uint8_t out[static 32])
{
	AUTO(segment_view_free) struct segment_view *v = NULL;

	TRY(find_segment(dir_fd, size, &v));
	if (v == NULL && size > 0)
		return KMS_E_AUDIT_CORRUPT;
	if (v == NULL)
		return tree_root(&(struct tree){ .size = 0 }, out);
	struct walk w = walk_of(v, NULL);
	while (w.tree.size < size && !w.ended)
		TRY(walk_next(&w));
	if (w.tree.size != size)
		return KMS_E_AUDIT_CORRUPT;
	return tree_root(&w.tree, out);
}

/* Reads records into; too large for a stack. */
struct look {
	uint64_t from;
	trail_visit *visit;
	void *arg;
	struct record record;
	struct record_item items[BATCH_MAX];
};

static void look_free(struct look **l)
{
	free(*l);
	*l = NULL;
}

static kms_err look_at(struct look *l, struct bytes payload)
{
	uint64_t seq = 0;

	TRY(record_seq(payload, &seq));
	if (seq < l->from)
		return KMS_OK;
	TRY(record_decode(payload, l->items, &l->record));
	return l->visit(l->arg, &l->record);
}

/* Up to the end, or to a frame that is being written just now. */
static kms_err look_through(struct look *l, const struct segment_view *v)
{
	uint64_t pos = 0;
	uint8_t type = 0;
	struct bytes payload;

	while (segment_view_next(v, &pos, &type, &payload) == KMS_OK && type != 0)
		if (type == SEGMENT_RECORD)
			TRY(look_at(l, payload));
	return KMS_OK;
}

kms_err trail_read_since(int dir_fd, uint64_t from, trail_visit *visit, void *arg)
{
	AUTO(look_free) struct look *l = calloc(1, sizeof(*l));
	AUTO(segment_view_free) struct segment_view *v = NULL;
	bool torn = false;

	if (l == NULL)
		return KMS_E_NO_MEMORY;
	l->from = from;
	l->visit = visit;
	l->arg = arg;
	TRY(find_segment(dir_fd, from, &v));
	while (v != NULL) {
		uint32_t next = segment_view_head(v)->number + 1;
		TRY(look_through(l, v));
		segment_view_free(&v);
		kms_err e = open_if_begun(dir_fd, next, &v, &torn);
		if (e != KMS_OK && e != KMS_E_NOT_FOUND)
			return e;
	}
	return KMS_OK;
}

static kms_err take_epoch(void *arg, const struct record *r)
{
	uint64_t *highest = arg;
	bool begun = bytes_equal(r->detail, bytes_of_str(RECORD_BEGUN));

	if (!begun && r->result == KMS_OK && r->epoch > *highest)
		*highest = r->epoch;
	return KMS_OK;
}

kms_err trail_epoch_since(int dir_fd, uint64_t from, uint64_t *out_epoch)
{
	uint64_t highest = 0;

	TRY(trail_read_since(dir_fd, from, take_epoch, &highest));
	*out_epoch = highest;
	return KMS_OK;
}
