/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making the root, once in the life of an instance: hardware's randomness first, then a random
 * root, sealed, and opened again by a process that has seen nothing of it, before the first row
 * that depends on it is written.
 */
#include <string.h>

#include "kms/keeper/changes.h"
#include "kms/keeper/helper.h"
#include "kms/keeper/root_private.h"
#include "kms/keeper/turn.h"
#include "kms/seal/slots.h"

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

static kms_err put_root_rows(struct keeper *k, struct row_batch *b)
{
	struct root *r = k->root;
	AUTO(buf_done) struct buf ring = { 0 };
	uint8_t owner[4];
	struct slot s;
	store_u32(owner, r->rows.owner_uid);
	TRY(slot_decode(buf_bytes(&r->rows.slots[0]), &s));
	TRY(keyring_encode(&r->keys, r->key, bytes_of(k->instance, INSTANCE_ID_LEN), &ring));
	TRY(rows_put(
	    k->rows, b, TABLE_META, bytes_of_str("owner"), bytes_of(owner, sizeof(owner))));
	TRY(rows_put(
	    k->rows, b, TABLE_SLOT, bytes_of(s.id, sizeof(s.id)), buf_bytes(&r->rows.slots[0])));
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
	const struct row_batch *batch = b;
	/* Nobody is served yet, so the loop may wait for this one commit. */
	TRY(row_batch_apply(r->store, &batch, 1));
	r->rows.owner_known = true;
	return KMS_OK;
}

static void on_proved(struct keeper *k, void *arg, struct call_answer *a)
{
	(void)arg;
	struct root *r = k->root;
	kms_err e = a->err;
	if (r->state != ROOT_OPENING)
		return;
	if (e == KMS_OK && a->root == NULL)
		e = KMS_E_HARDWARE_HELPER;
	if (e == KMS_OK && !secret_equal(r->key, secret_bytes(a->root)))
		e = KMS_E_INTEGRITY;
	if (e == KMS_OK)
		e = write_store(k);
	if (e != KMS_OK) {
		give_up(k, e);
		return;
	}
	changes_set_counter(k->changes, r->epoch.base, false);
	r->last[0].tried = true;
	r->last[0].err = KMS_OK;
	root_finish(k);
}

/* The slot as the store will hold it. */
static kms_err make_slot(struct keeper *k, struct bytes blob)
{
	struct root *r = k->root;
	struct slot s = { .created_us = k->wall_us,
		.kind = bytes_of_str("tpm"),
		.name = bytes_of_str("tpm"),
		.blob = blob };
	TRY(rand_bytes(s.id, sizeof(s.id)));
	memcpy(s.instance, k->instance, INSTANCE_ID_LEN);
	buf_clear(&r->rows.slots[0]);
	r->rows.slot_n = 1;
	r->current = 0;
	return slot_encode(&s, r->key, &r->rows.slots[0]);
}

static void on_sealed(struct keeper *k, void *arg, struct call_answer *a)
{
	(void)arg;
	struct root *r = k->root;
	if (r->state != ROOT_OPENING)
		return;
	kms_err e = a->err;
	if (e == KMS_OK) {
		r->epoch = (struct epoch){ .base = a->counter };
		e = make_slot(k, buf_bytes(&a->data));
	}
	if (e == KMS_OK) {
		const struct call_task task = root_task(k, CALL_UNSEAL);
		e = helper_call(k, &task, true, on_proved, NULL);
	}
	if (e != KMS_OK)
		give_up(k, e);
}

static kms_err make_root(struct keeper *k, struct bytes feed)
{
	struct root *r = k->root;
	rand_feed(feed);
	TRY(secret_new(KEY_BITS_LEN, &r->key));
	TRY(rand_bytes(secret_fill(r->key), KEY_BITS_LEN));
	struct call_task task = root_task_for(k, CALL_SEAL, (struct bytes){ 0 });
	task.root = r->key;
	return helper_call(k, &task, false, on_sealed, NULL);
}

static void on_random(struct keeper *k, void *arg, struct call_answer *a)
{
	(void)arg;
	if (k->root->state != ROOT_OPENING)
		return;
	kms_err e = a->err;
	if (e == KMS_OK)
		e = make_root(k, buf_bytes(&a->data));
	if (e != KMS_OK)
		give_up(k, e);
}

static kms_err begin(struct keeper *k, uint32_t owner)
{
	struct root *r = k->root;
	TRY(root_open_files(k));
	/* An earlier try may have been durable although it was told to have failed. */
	if (r->rows.keyring.n > 0)
		return KMS_E_INITIALISED;
	r->rows.owner_uid = owner;
	struct call_task task = root_task_for(k, CALL_RANDOM, (struct bytes){ 0 });
	task.n = FEED_LEN;
	return helper_call(k, &task, false, on_random, NULL);
}

void root_init(struct keeper *k, struct task *t)
{
	struct root *r = k->root;
	uint32_t owner = t->conn->who.uid;
	CHECK(r->state == ROOT_UNINITIALISED);
	root_add_waiter(k, t);
	r->state = ROOT_OPENING;
	root_publish(k);
	kms_err e = begin(k, owner);
	if (e != KMS_OK)
		give_up(k, e);
}
