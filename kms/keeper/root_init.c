/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making the root, once in the life of an instance: hardware's randomness first, then a random
 * root, sealed, and opened again by a process that has seen nothing of it, then shares, before
 * the first row that depends on it is written.
 */
#include <string.h>

#include "kms/keeper/changes.h"
#include "kms/keeper/helper.h"
#include "kms/keeper/root_private.h"
#include "kms/keeper/sealing.h"
#include "kms/keeper/turn.h"
#include "kms/keeper/work.h"

enum {
	FEED_LEN = 64
};

/* What there is after a failed commit is read anew, a moment later. */
static void give_up(struct keeper *k, kms_err e)
{
	root_rows_done(&k->root->rows);
	root_fail(k, ROOT_UNINITIALISED, e);
	root_reopen_later(k);
}

static kms_err put_slots(struct keeper *k, struct row_batch *b)
{
	const struct root_rows *rows = &k->root->rows;
	for (size_t i = 0; i < rows->slot_n; i++) {
		struct bytes row = buf_bytes(&rows->slots[i]);
		struct slot s;
		TRY(slot_decode(row, &s));
		TRY(rows_put(k->rows, b, TABLE_SLOT, bytes_of(s.id, sizeof(s.id)), row));
	}
	return KMS_OK;
}

static kms_err put_root_rows(struct keeper *k, struct row_batch *b)
{
	struct root *r = k->root;
	AUTO(buf_done) struct buf ring = { 0 };
	uint8_t owner[4];
	store_u32(owner, r->rows.owner_uid);
	TRY(keyring_encode(&r->keys, r->key, bytes_of(k->instance, INSTANCE_ID_LEN), &ring));
	TRY(rows_put(
	    k->rows, b, TABLE_META, bytes_of_str("owner"), bytes_of(owner, sizeof(owner))));
	TRY(put_slots(k, b));
	TRY(rows_put(k->rows, b, TABLE_ROOT, bytes_of_str("keyring"), buf_bytes(&ring)));
	turn_root(k->turn, &r->epoch.audit_size, r->epoch.audit_root);
	TRY(rows_finish(k->rows, b, &r->epoch));
	return buf_put(&r->rows.keyring, buf_bytes(&ring));
}

static kms_err write_store(struct keeper *k)
{
	struct root *r = k->root;
	AUTO(row_batch_free) struct row_batch *b = NULL;
	TRY(keyring_make(&r->keys));
	TRY(root_make_ring(k));
	TRY(rows_adopt(k->rows, r->store));
	TRY(row_batch_new(&b));
	TRY(put_root_rows(k, b));
	/* Into the file itself: without its WAL it shall not pass for one without a root. */
	b->purge = true;
	const struct row_batch *batch = b;
	/* Nobody is served yet, so the loop may wait for this one commit. */
	TRY(row_batch_apply(r->store, &batch, 1));
	r->rows.owner_known = true;
	return KMS_OK;
}

static kms_err add_row(struct root_rows *rows, struct bytes row)
{
	CHECK(rows->slot_n < ROOT_SLOTS_MAX);
	buf_clear(&rows->slots[rows->slot_n]);
	return buf_put(&rows->slots[rows->slot_n++], row);
}

static kms_err add_shares(struct keeper *k)
{
	AUTO(buf_done) struct buf row = { 0 };
	kms_err e = work_make_shares(k, k->root->key, NULL, &row);
	if (e == KMS_E_NOT_FOUND)
		return KMS_OK;
	TRY(e);
	return add_row(&k->root->rows, buf_bytes(&row));
}

/* Everything that opens it is there. */
static void complete(struct keeper *k)
{
	struct root *r = k->root;
	kms_err e = add_shares(k);
	if (e == KMS_OK)
		e = write_store(k);
	if (e != KMS_OK) {
		give_up(k, e);
		return;
	}
	changes_set_counter(k->changes, r->epoch.base, false);
	r->current = 0;
	r->last[0].tried = true;
	r->last[0].err = KMS_OK;
	root_finish(k);
}

static kms_err take_sealed(struct keeper *k, const struct sealed *sealed)
{
	struct root *r = k->root;
	struct slot s;
	TRY(slot_decode(sealed->row, &s));
	r->epoch = (struct epoch){ .base = sealed->counter, .counted = sealed->counter > 0 };
	if (r->epoch.counted)
		memcpy(r->epoch.counter_slot, s.id, sizeof(s.id));
	return add_row(&r->rows, sealed->row);
}

static void on_sealed(struct keeper *k, kms_err e, const struct sealed *sealed)
{
	if (e == KMS_OK)
		e = take_sealed(k, sealed);
	if (e == KMS_OK)
		complete(k);
	else
		give_up(k, e);
}

static kms_err make_root(struct keeper *k)
{
	struct root *r = k->root;
	secret_free(&r->key);
	TRY(secret_new(KEY_BITS_LEN, &r->key));
	return rand_bytes(secret_fill(r->key), KEY_BITS_LEN);
}

static void on_random(struct keeper *k, void *arg, struct call_answer *a)
{
	struct root *r = k->root;
	if (!root_opening_is(r, arg))
		return;
	kms_err e = a->err;
	if (e == KMS_OK) {
		rand_feed(buf_bytes(&a->data));
		e = make_root(k);
	}
	if (e == KMS_OK)
		e = sealing_start(k, work_ways(r)->section, r->key, (struct bytes){ 0 }, on_sealed);
	if (e != KMS_OK)
		give_up(k, e);
}

/* Shares alone: the randomness is the kernel's, and nothing counts. */
static kms_err begin_without_hardware(struct keeper *k)
{
	k->root->epoch = (struct epoch){ 0 };
	TRY(make_root(k));
	complete(k);
	return KMS_OK;
}

static kms_err begin(struct keeper *k, uint32_t owner, const struct root_ways *ways)
{
	struct root *r = k->root;
	TRY(root_open_files(k));
	/* An earlier try may have been durable although it was told to have failed. */
	if (r->rows.keyring.n > 0)
		return KMS_E_INITIALISED;
	r->rows.owner_uid = owner;
	TRY(work_init(k, ways));
	if (ways->section == NULL)
		return begin_without_hardware(k);
	struct call_task task = root_task_for(k, ways->section, CALL_RANDOM, (struct bytes){ 0 });
	task.n = FEED_LEN;
	return helper_call(k, &task, false, on_random, root_opening_mark(r));
}

void root_init(struct keeper *k, struct task *t, const struct root_ways *ways)
{
	struct root *r = k->root;
	uint32_t owner = t->conn->who.uid;
	CHECK(r->state == ROOT_UNINITIALISED);
	root_add_waiter(k, t);
	r->state = ROOT_OPENING;
	r->opening++;
	root_publish(k);
	kms_err e = begin(k, owner, ways);
	if (e != KMS_OK)
		give_up(k, e);
}
