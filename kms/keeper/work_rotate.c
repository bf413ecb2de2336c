/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A new root: every slot seals it and proves it, shares are made anew, the keyring is wrapped
 * under it; then all of this becomes durable in one change, so a crash leaves the old root or
 * the new one. The store's rows are sealed under the keyring's keys, so they stay as they are,
 * unless a new store key is wanted as well.
 */
#include <string.h>

#include "kms/crypto/rand.h"
#include "kms/keeper/sealing.h"
#include "kms/keeper/work_private.h"

static void seal_next(struct keeper *k);

static bool may_be_left_out(const struct work *w, struct bytes name)
{
	for (size_t i = 0; i < w->name_n; i++)
		if (bytes_equal(name, bytes_of_str(w->names[i])))
			return true;
	return false;
}

/* Slot `at` of the store can't take the new root: it goes, if that was said, or nothing changes. */
static void leave_out(struct keeper *k, kms_err e)
{
	struct root *r = k->root;
	struct work *w = r->work;
	struct slot s;
	struct bytes name = { 0 };
	if (slot_decode(buf_bytes(&r->rows.slots[w->at]), &s) == KMS_OK)
		name = s.name;
	if (!may_be_left_out(w, name)) {
		work_fail(k, e, name);
		return;
	}
	root_plan_drop_name(k, w->plan, name);
	w->at++;
	seal_next(k);
}

static void on_sealed(struct keeper *k, kms_err e, const struct sealed *s)
{
	struct work *w = k->root->work;
	if (e != KMS_OK) {
		leave_out(k, e);
		return;
	}
	e = root_plan_put(w->plan, s->row, s->counter);
	if (e != KMS_OK) {
		work_fail(k, e, (struct bytes){ 0 });
		return;
	}
	w->at++;
	seal_next(k);
}

/* The working keys stay what they are; only what wraps them is new. */
static kms_err wrap_keyring(struct keeper *k, struct work *w)
{
	AUTO(keyring_done) struct keyring keys = { 0 };
	struct bytes instance = bytes_of(k->instance, INSTANCE_ID_LEN);
	struct root *r = k->root;
	TRY(keyring_decode(buf_bytes(&r->rows.keyring), r->key, instance, &keys));
	if (w->renew_store) {
		TRY(secret_new(KEY_BITS_LEN, &w->plan->store_key));
		TRY(rand_bytes(secret_fill(w->plan->store_key), KEY_BITS_LEN));
		secret_free(&keys.store_key);
		TRY(secret_from(secret_bytes(w->plan->store_key), &keys.store_key));
	}
	return keyring_encode(&keys, w->plan->key, instance, &w->plan->keyring);
}

static kms_err renew_shares(struct keeper *k, struct work *w, const struct slot *before)
{
	AUTO(buf_done) struct buf row = { 0 };
	struct shares_info info;
	TRY(shares_info(before->blob, &info));
	w->ways = (struct root_ways){ .k = info.k, .n = info.n };
	TRY(work_make_shares(k, w->plan->key, before, &row));
	return root_plan_put(w->plan, buf_bytes(&row), 0);
}

static kms_err complete(struct keeper *k)
{
	struct root *r = k->root;
	struct slot s;
	size_t i = root_find_name(r, bytes_of_str(slot_shares));
	if (r->work->plan->slot_n == 0)
		return KMS_E_LAST_SLOT;
	TRY(wrap_keyring(k, r->work));
	if (i == ROOT_NO_SLOT)
		return KMS_OK;
	if (may_be_left_out(r->work, bytes_of_str(slot_shares))) {
		root_plan_drop_name(k, r->work->plan, bytes_of_str(slot_shares));
		return r->work->plan->slot_n > 0 ? KMS_OK : KMS_E_LAST_SLOT;
	}
	TRY(slot_decode(buf_bytes(&r->rows.slots[i]), &s));
	return renew_shares(k, r->work, &s);
}

/* Slot `at` and those behind it. */
static void seal_next(struct keeper *k)
{
	struct root *r = k->root;
	struct work *w = r->work;
	struct slot s;
	while (w->at < r->rows.slot_n && root_slot_is_shares(buf_bytes(&r->rows.slots[w->at])))
		w->at++;
	if (w->at == r->rows.slot_n) {
		kms_err e = complete(k);
		if (e == KMS_OK)
			work_submit(k);
		else
			work_fail(k, e, (struct bytes){ 0 });
		return;
	}
	struct bytes row = buf_bytes(&r->rows.slots[w->at]);
	kms_err e = slot_decode(row, &s);
	const struct config_slot *c = e == KMS_OK ? config_find_slot(k->config, s.name) : NULL;
	if (e == KMS_OK && c == NULL)
		e = KMS_E_SLOT_CONFIG;
	if (e == KMS_OK)
		e = sealing_start(k, c, w->plan->key, row, on_sealed);
	if (e != KMS_OK)
		leave_out(k, e);
}

static kms_err take_names(struct keeper *k, struct work *w, const struct request *r)
{
	for (size_t i = 0; i < r->leave_out_n; i++) {
		if (root_find_name(k->root, r->leave_out[i]) == ROOT_NO_SLOT)
			return KMS_E_NOT_FOUND;
		if (w->name_n == ROOT_SLOTS_MAX)
			return KMS_E_BAD_REQUEST;
		memcpy(w->names[w->name_n++], r->leave_out[i].p, r->leave_out[i].n);
	}
	return KMS_OK;
}

static kms_err start(struct keeper *k, struct work *w, struct task *t, const struct request *r)
{
	TRY(take_names(k, w, r));
	w->renew_store = r->renew_store;
	TRY(root_plan_new(k, &w->plan));
	TRY(secret_new(KEY_BITS_LEN, &w->plan->key));
	TRY(rand_bytes(secret_fill(w->plan->key), KEY_BITS_LEN));
	return work_take_task(w, t);
}

kms_err work_rotate(struct keeper *k, struct task *t, const struct request *r)
{
	struct work *w = NULL;
	TRY(work_begin(k, t->record.op, &w));
	kms_err e = start(k, w, t, r);
	if (e != KMS_OK) {
		work_free(&k->root->work);
		return e;
	}
	if (t->dry_run)
		work_submit(k);
	else
		seal_next(k);
	return KMS_OK;
}
