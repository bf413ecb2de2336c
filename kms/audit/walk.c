/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a segment with the tree at hand: sequence numbers, the sizes in group frames and, with
 * the key, MACs. Whole frames that contradict it are damage that no crash leaves.
 */
#include <string.h>

#include "kms/audit/segment_private.h"
#include "kms/audit/trail_private.h"

struct walk walk_of(const struct segment_view *v, struct mac *key)
{
	const struct segment_head *h = segment_view_head(v);
	struct walk w = { .view = v, .tree = h->tree, .covered = h->tree.size, .key = key };

	memcpy(w.mac, h->mac_before, sizeof(w.mac));
	return w;
}

static kms_err take_record(struct walk *w, struct bytes payload)
{
	uint8_t leaf[SHA256_LEN];
	uint64_t seq = 0;

	TRY(record_seq(payload, &seq));
	if (seq != w->tree.size)
		return KMS_E_AUDIT_CORRUPT;
	TRY(tree_leaf(payload, leaf));
	return tree_append(&w->tree, leaf);
}

static kms_err take_group(struct walk *w, struct bytes payload)
{
	struct reader r = reader_of(payload);
	uint64_t size = read_u64(&r);
	uint8_t mac[SHA256_LEN], ours[SHA256_LEN];

	read_into(&r, mac, sizeof(mac));
	if (!reader_done(&r) || size != w->tree.size || size == w->covered)
		return KMS_E_AUDIT_CORRUPT;
	if (w->key != NULL) {
		TRY(mac_group(w->key, w->mac, &w->tree, ours));
		if (!equal_ct(ours, mac, sizeof(mac)))
			return KMS_E_AUDIT_CORRUPT;
	}
	memcpy(w->mac, mac, sizeof(w->mac));
	w->covered = size;
	return KMS_OK;
}

kms_err walk_next(struct walk *w)
{
	uint8_t type = 0;
	struct bytes payload = { 0 };
	uint64_t pos = w->pos;

	kms_err e = segment_view_next(w->view, &pos, &type, &payload);
	w->broken = e != KMS_OK;
	w->ended = e == KMS_OK && type == 0;
	if (e == KMS_OK && type == SEGMENT_RECORD)
		e = take_record(w, payload);
	else if (e == KMS_OK && type == SEGMENT_GROUP)
		e = take_group(w, payload);
	if (w->broken || e == KMS_OK)
		w->pos = pos;
	return e;
}

kms_err walk_to_end(struct walk *w)
{
	while (!w->ended)
		TRY(walk_next(w));
	return KMS_OK;
}

kms_err open_if_begun(int dir_fd, uint32_t number, struct segment_view **out, bool *out_torn)
{
	AUTO(segment_view_free) struct segment_view *v = NULL;

	*out = NULL;
	*out_torn = false;
	TRY(segment_view_map(dir_fd, number, &v));
	kms_err e = segment_view_read_head(v, number);
	if (e == KMS_E_NOT_FOUND)
		return KMS_OK;
	if (e == KMS_E_AUDIT_CORRUPT && tear_explains(v->map, 0)) {
		*out_torn = true;
		return KMS_OK;
	}
	/* One that the journal is just beginning is whole when it is looked at again. */
	if (e == KMS_E_AUDIT_CORRUPT)
		e = segment_view_read_head(v, number);
	TRY(e);
	*out = MOVE(v);
	return KMS_OK;
}
