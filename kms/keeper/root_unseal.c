/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening: one slot after the other until one gives the root; then the keyring, the rows, the log,
 * the hardware's counter, fresh randomness. Each function is one step and names the next.
 */
#include <string.h>

#include "kms/audit/trail.h"
#include "kms/keeper/changes.h"
#include "kms/keeper/helper.h"
#include "kms/keeper/load.h"
#include "kms/keeper/root_private.h"
#include "kms/keeper/turn.h"
#include "kms/seal/slots.h"

enum {
	FEED_LEN = 64 /* bytes of the hardware's randomness that the DRBG gets */
};

static void try_slot(struct keeper *k);

/* Steps end here when nothing opened: sealed, and an operator can try again. */
static void give_up(struct keeper *k, kms_err e)
{
	root_fail(k, ROOT_SEALED, e);
}

/* As give_up; it is the slot's own hardware that spoils it. */
static void give_up_slot(struct keeper *k, kms_err e)
{
	k->root->last[k->root->current].err = e;
	give_up(k, e);
}

static void on_random(struct keeper *k, void *arg, struct call_answer *a)
{
	(void)arg;
	if (k->root->state != ROOT_OPENING)
		return;
	/* Additional input only: without it the DRBG is as good as the kernel's. */
	if (a->err == KMS_OK)
		rand_feed(buf_bytes(&a->data));
	root_finish(k);
}

static void ask_random(struct keeper *k)
{
	struct call_task task = root_task(k, CALL_RANDOM);
	task.blob = (struct bytes){ 0 };
	task.n = FEED_LEN;
	if (helper_call(k, &task, false, on_random, NULL) != KMS_OK)
		root_finish(k);
}

static void on_moved(struct keeper *k, void *arg, struct call_answer *a)
{
	(void)arg;
	if (k->root->state != ROOT_OPENING)
		return;
	if (a->err != KMS_OK) {
		give_up_slot(k, a->err);
		return;
	}
	const struct root *r = k->root;
	if (a->counter != r->epoch.base + r->epoch.number) {
		give_up_slot(k, KMS_E_COUNTER_GONE);
		return;
	}
	changes_set_counter(k->changes, a->counter, true);
	ask_random(k);
}

/*
 * The rule against an old copy of the store: it may be as old as the counter, or one change
 * ahead of it (a crash between the commit and the increment, which is made up for now).
 */
static void on_counter(struct keeper *k, void *arg, struct call_answer *a)
{
	(void)arg;
	struct root *r = k->root;
	if (r->state != ROOT_OPENING)
		return;
	uint64_t store = r->epoch.base + r->epoch.number;
	if (a->err != KMS_OK) {
		give_up_slot(k, a->err);
	} else if (a->counter == store) {
		changes_set_counter(k->changes, a->counter, false);
		ask_random(k);
	} else if (a->counter + 1 == store) {
		struct call_task task = root_task(k, CALL_COUNTER_MOVE);
		task.target = store;
		if (helper_call(k, &task, false, on_moved, NULL) != KMS_OK)
			give_up(k, KMS_E_NO_MEMORY);
	} else {
		give_up_slot(k, a->counter > store ? KMS_E_ROLLBACK : KMS_E_COUNTER_GONE);
	}
}

/* The log must hold what the store saw of it, and what it holds must be ours. */
static kms_err check_log(struct keeper *k)
{
	struct root *r = k->root;
	uint8_t root_hash[SHA256_LEN];
	TRY(trail_verify(k->audit_dir, r->keys.audit_key));
	if (r->epoch.audit_size == 0)
		return KMS_OK;
	TRY(trail_root_at(k->audit_dir, r->epoch.audit_size, root_hash));
	bool same = memcmp(root_hash, r->epoch.audit_root, SHA256_LEN) == 0;
	return same ? KMS_OK : KMS_E_AUDIT_CORRUPT;
}

/* The store must hold what the log says was done: an old copy is found without a counter too. */
static kms_err check_store(struct keeper *k)
{
	const struct root *r = k->root;
	uint64_t done = 0;
	TRY(trail_epoch_since(k->audit_dir, r->epoch.audit_size, &done));
	return done > r->epoch.number ? KMS_E_ROLLBACK : KMS_OK;
}

static kms_err open_with_root(struct keeper *k)
{
	struct root *r = k->root;
	struct bytes instance = bytes_of(k->instance, INSTANCE_ID_LEN);
	TRY(keyring_decode(buf_bytes(&r->rows.keyring), r->key, instance, &r->keys));
	secret_free(&r->key);
	TRY(root_make_ring(k));
	TRY(load_keys(k, r->store, &r->epoch));
	TRY(check_log(k));
	TRY(check_store(k));
	const struct call_task task = root_task(k, CALL_COUNTER_READ);
	return helper_call(k, &task, false, on_counter, NULL);
}

/* The first slot from `i` on that is asked for. */
static size_t find_slot(const struct root *r, size_t i)
{
	while (i < r->rows.slot_n &&
	       !root_slot_is(buf_bytes(&r->rows.slots[i]), bytes_of_str(r->only)))
		i++;
	return i;
}

static void next_slot(struct keeper *k, kms_err e)
{
	struct root *r = k->root;
	r->last[r->current].tried = true;
	r->last[r->current].err = e;
	r->current = find_slot(r, r->current + 1);
	if (r->current < r->rows.slot_n)
		try_slot(k);
	else
		give_up(k, e);
}

static void on_unsealed(struct keeper *k, void *arg, struct call_answer *a)
{
	(void)arg;
	struct root *r = k->root;
	if (r->state != ROOT_OPENING)
		return;
	kms_err e = a->err;
	if (e == KMS_OK && a->root == NULL)
		e = KMS_E_HARDWARE_HELPER;
	if (e == KMS_OK)
		e = slot_prove(buf_bytes(&r->rows.slots[r->current]), a->root);
	if (e != KMS_OK) {
		next_slot(k, e);
		return;
	}
	r->last[r->current].tried = true;
	r->last[r->current].err = KMS_OK;
	r->key = MOVE(a->root);
	e = open_with_root(k);
	if (e != KMS_OK)
		give_up(k, e);
}

static void try_slot(struct keeper *k)
{
	const struct root *r = k->root;
	struct slot s;
	kms_err e = slot_decode(buf_bytes(&r->rows.slots[r->current]), &s);
	if (e == KMS_OK && !bytes_equal(s.kind, bytes_of_str("tpm")))
		e = KMS_E_SLOT_KIND;
	if (e == KMS_OK) {
		const struct call_task task = root_task(k, CALL_UNSEAL);
		e = helper_call(k, &task, false, on_unsealed, NULL);
	}
	if (e != KMS_OK)
		next_slot(k, e);
}

/* No root yet: everything is ready for `init`. */
static void stay_uninitialised(struct keeper *k)
{
	root_fail(k, ROOT_UNINITIALISED, KMS_E_NOT_INITIALISED);
}

static void begin(struct keeper *k)
{
	struct root *r = k->root;
	r->state = ROOT_OPENING;
	root_publish(k);
	kms_err e = root_open_files(k);
	if (e != KMS_OK)
		root_fail(k, ROOT_BROKEN, e);
	else if (r->rows.keyring.n == 0)
		stay_uninitialised(k);
	else if (find_slot(r, 0) == r->rows.slot_n)
		give_up(k, r->rows.slot_n == 0 ? KMS_E_STORE_CORRUPT : KMS_E_NOT_FOUND);
	else {
		r->current = find_slot(r, 0);
		try_slot(k);
	}
}

void root_unseal(struct keeper *k, struct task *t, struct bytes name)
{
	struct root *r = k->root;
	if (r->state == ROOT_UNSEALED && t != NULL) {
		struct answer done = { .kind = ANSWER_DONE };
		request_finish(k, t, KMS_OK, &done);
		task_free(&t);
		return;
	}
	root_add_waiter(k, t);
	if (r->state == ROOT_OPENING)
		return;
	/* Only now: `name` may be this very field. */
	size_t n = name.n > NAME_MAX_LEN ? NAME_MAX_LEN : name.n;
	memmove(r->only, name.p == NULL ? (const uint8_t *)"" : name.p, n);
	r->only[n] = '\0';
	if (r->store_with_journal)
		r->open_when_closed = true;
	else if (r->state != ROOT_UNSEALED)
		begin(k);
}
