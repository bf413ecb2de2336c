/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The growing end, on the path of every answer: encode, frame, leaf, tree. Nothing is allocated
 * once the buffers have their size. Each step is made before the state moves, so a failure leaves
 * the log where it was.
 */
#include "kms/audit/trail.h"

#include <stdlib.h>
#include <string.h>

#include "kms/audit/trail_private.h"

enum {
	GROUP_FRAME = SEGMENT_FRAME_HEAD + SEGMENT_GROUP_LEN,
	ROOM_MAX = SEGMENT_SIZE_MIN / 4 /* no record that may be written needs more */
};

struct trail {
	struct tree tree;
	uint64_t covered; /* size at the last group frame that was made here */
	uint8_t mac[SHA256_LEN];
	uint8_t instance[INSTANCE_ID_LEN];
	uint32_t size;   /* of segments that begin from now on */
	bool begun;      /* there is a segment */
	uint32_t number; /* of the segment at the end, its size, and where the next frame goes */
	uint32_t number_size;
	uint64_t offset;
	struct mac *key; /* NULL: sealed */
	struct trail_home *home;
	struct trail_group *now;
};

void trail_end_done(struct trail_end *e)
{
	*e = (struct trail_end){ .segment = 0 };
}

kms_err trail_new(struct trail_end *end, const uint8_t instance[static INSTANCE_ID_LEN],
    uint32_t segment_size, struct trail **out)
{
	if (segment_size < SEGMENT_SIZE_MIN)
		return KMS_E_INTERNAL;
	AUTO(trail_free) struct trail *t = calloc(1, sizeof(*t));
	if (t == NULL)
		return KMS_E_NO_MEMORY;
	t->tree = end->tree;
	t->covered = end->tree.size;
	memcpy(t->mac, end->mac, sizeof(t->mac));
	memcpy(t->instance, instance, sizeof(t->instance));
	t->size = segment_size;
	t->begun = !end->fresh;
	t->number = end->segment;
	t->number_size = end->segment_size;
	t->offset = end->offset;
	TRY(home_new(&t->home));
	TRY(home_group(t->home, &t->now));
	trail_end_done(end);
	*out = MOVE(t);
	return KMS_OK;
}

void trail_free(struct trail **t)
{
	if (*t == NULL)
		return;
	mac_free(&(*t)->key);
	trail_group_free(&(*t)->now);
	home_free(&(*t)->home);
	free(*t);
	*t = NULL;
}

void trail_set_instance(struct trail *t, const uint8_t instance[static INSTANCE_ID_LEN])
{
	memcpy(t->instance, instance, sizeof(t->instance));
}

/* The frame around the n bytes that stand behind room for its head. */
static void put_frame_head(uint8_t *frame, uint8_t type, size_t n)
{
	frame[8] = type;
	store_u32(frame, (uint32_t)n);
	store_u32(frame + 4, crc32c(0, bytes_of(frame + 8, 1 + n)));
}

/* `n` bytes were laid out behind what the group has. */
static void advance(struct trail *t, size_t n)
{
	t->now->memory.n += n;
	t->offset += n;
	group_grow(t->now, n);
}

/* Room for it was kept behind the last record, in memory and in the segment. */
static kms_err put_group_frame(struct trail *t)
{
	struct buf *b = &t->now->memory;
	uint8_t mac[SHA256_LEN];

	if (t->key == NULL || t->now->count == 0 || t->covered == t->tree.size)
		return KMS_OK;
	TRY(mac_group(t->key, t->mac, &t->tree, mac));
	CHECK(b->cap - b->n >= GROUP_FRAME && t->offset + GROUP_FRAME <= t->number_size);

	uint8_t *frame = b->p + b->n;
	store_u64(frame + SEGMENT_FRAME_HEAD, t->tree.size);
	memcpy(frame + SEGMENT_FRAME_HEAD + sizeof(uint64_t), mac, sizeof(mac));
	put_frame_head(frame, SEGMENT_GROUP, SEGMENT_GROUP_LEN);
	advance(t, GROUP_FRAME);
	memcpy(t->mac, mac, sizeof(t->mac));
	t->covered = t->tree.size;
	return KMS_OK;
}

kms_err trail_set_key(struct trail *t, const struct secret *audit_key)
{
	AUTO(mac_free) struct mac *key = NULL;

	if (audit_key != NULL)
		TRY(mac_new(audit_key, &key));
	/* Without it they are covered with what comes after the next unseal. */
	if (put_group_frame(t) != KMS_OK && audit_key != NULL)
		return KMS_E_CRYPTO;
	mac_free(&t->key);
	t->key = MOVE(key);
	return KMS_OK;
}

static kms_err encode_head(const struct trail *t, struct segment_head *h, struct buf *out)
{
	size_t start = out->n;

	TRY(segment_head_encode(h, out));
	if (t->key == NULL)
		return KMS_OK;
	kms_err e = mac_head(t->key, bytes_of(out->p + start, out->n - start), h->mac);
	out->n = start;
	TRY(e);
	return segment_head_encode(h, out);
}

/* A new segment; its head is the first piece of the group there. */
static kms_err roll(struct trail *t)
{
	struct trail_group *g = t->now;
	struct segment_head h = {
		.number = t->begun ? t->number + 1 : t->number,
		.size = t->size,
		.tree = t->tree,
	};
	size_t before = g->memory.n;

	memcpy(h.instance, t->instance, sizeof(h.instance));
	memcpy(h.mac_before, t->mac, sizeof(h.mac_before));
	TRY(group_begin_piece(g, h.number, 0));
	kms_err e = encode_head(t, &h, &g->memory);
	if (e != KMS_OK) {
		g->n--;
		return e;
	}
	group_grow(g, g->memory.n - before);
	t->begun = true;
	t->number = h.number;
	t->number_size = h.size;
	t->offset = g->memory.n - before;
	return KMS_OK;
}

/* Makes the place where the next frame goes: in a segment that holds it, in a piece. */
static kms_err make_place(struct trail *t, size_t room)
{
	TRY(buf_reserve(&t->now->memory, SEGMENT_HEAD_MAX + room));
	if (!t->begun || t->offset + room > t->number_size)
		return roll(t);
	return t->now->n > 0 ? KMS_OK : group_begin_piece(t->now, t->number, t->offset);
}

/* The record behind room for its frame's head. out's n is the record's; nothing is in use yet. */
static kms_err lay_out(struct trail *t, const struct record *r, struct bytes *out)
{
	struct buf *b = &t->now->memory;
	size_t start = b->n;

	b->n += SEGMENT_FRAME_HEAD;
	kms_err e = record_encode(r, b);
	size_t n = b->n - start - SEGMENT_FRAME_HEAD;
	b->n = start;
	TRY(e);
	put_frame_head(b->p + start, SEGMENT_RECORD, n);
	*out = bytes_of(b->p + start + SEGMENT_FRAME_HEAD, n);
	return KMS_OK;
}

kms_err trail_append(struct trail *t, struct record *r)
{
	uint8_t leaf[SHA256_LEN];
	struct bytes encoded;

	size_t room = record_room(r);
	/* Refused before a new segment is begun for it. */
	if (room > ROOM_MAX)
		return KMS_E_INTERNAL;
	TRY(make_place(t, SEGMENT_FRAME_HEAD + room + GROUP_FRAME));
	r->seq = t->tree.size;
	TRY(lay_out(t, r, &encoded));
	TRY(tree_leaf(encoded, leaf));
	TRY(tree_append(&t->tree, leaf));

	if (t->now->count++ == 0)
		t->now->first = r->seq;
	advance(t, SEGMENT_FRAME_HEAD + encoded.n);
	return KMS_OK;
}

size_t trail_pending(const struct trail *t)
{
	return t->now->count;
}

kms_err trail_root(const struct trail *t, uint64_t *out_size, uint8_t out[static 32])
{
	TRY(tree_root(&t->tree, out));
	*out_size = t->tree.size;
	return KMS_OK;
}

kms_err trail_take(struct trail *t, struct trail_group **out)
{
	AUTO(trail_group_free) struct trail_group *next = NULL;

	if (t->now->count == 0)
		return KMS_E_NOT_FOUND;
	TRY(home_group(t->home, &next));
	TRY(put_group_frame(t));
	group_close(t->now);
	*out = t->now;
	t->now = MOVE(next);
	return KMS_OK;
}
