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
#include "kms/keeper/restore.h"
#include "kms/keeper/root_private.h"
#include "kms/keeper/turn.h"
#include "kms/keeper/unfinished.h"
#include "kms/seal/slots.h"

enum {
	FEED_LEN = 64 /* bytes of the hardware's randomness that the DRBG gets */
};

static void try_slot(struct keeper *k);
static void next_slot(struct keeper *k, kms_err e);

/* Steps end here when nothing opened: sealed, and an operator can try again. */
static void give_up(struct keeper *k, kms_err e)
{
	/* What a backup's head holds looks like a store's. */
	if (e == KMS_E_STORE_CORRUPT && restore_name(k->root).n > 0)
		e = KMS_E_BACKUP_DAMAGED;
	root_fail(k, ROOT_SEALED, e);
}

static bool may_accept(struct root *r, kms_err e)
{
	if (r->accept && r->accepted == KMS_OK)
		r->accepted = e;
	return r->accept;
}

/* What an operator has accepted is made true: the store goes on from where it is now. */
static kms_err write_accepted(struct keeper *k)
{
	struct root *r = k->root;
	AUTO(row_batch_free) struct row_batch *b = NULL;
	TRY(row_batch_new(&b));
	TRY(restore_stage(k, b));
	turn_root(k->turn, &r->epoch.audit_size, r->epoch.audit_root);
	TRY(rows_finish(k->rows, b, &r->epoch));
	const struct row_batch *batch = b;
	/* Nobody is served yet, so the loop may wait for this one commit. */
	TRY(row_batch_apply(r->store, &batch, 1));
	LOG(LOG_LEVEL_WARNING, "restore-accepted",
	    "What would have been refused was accepted by an operator.", log_err(r->accepted),
	    log_u64("epoch", r->epoch.number));
	for (size_t i = 0; i < r->waiter_n; i++)
		r->waiters[i]->record.detail = bytes_of_str(err_name(r->accepted));
	return KMS_OK;
}

static void finish(struct keeper *k)
{
	kms_err e = k->root->accepted != KMS_OK ? write_accepted(k) : KMS_OK;
	if (e == KMS_OK)
		root_finish(k);
	else
		give_up(k, e);
}

static void on_random(struct keeper *k, void *arg, struct call_answer *a)
{
	if (!root_opening_is(k->root, arg))
		return;
	/* Additional input only: without it the DRBG is as good as the kernel's. */
	if (a->err == KMS_OK)
		rand_feed(buf_bytes(&a->data));
	finish(k);
}

static void ask_random(struct keeper *k)
{
	struct call_task task;
	kms_err e = root_slot_task(k, k->root->current, CALL_RANDOM, &task);
	task.blob = (struct bytes){ 0 };
	task.n = FEED_LEN;
	if (e != KMS_OK ||
	    helper_call(k, &task, false, on_random, root_opening_mark(k->root)) != KMS_OK)
		finish(k);
}

/* An older store, or a counter that is not there: only a person may say that this is meant. */
static void refuse_or_accept(struct keeper *k, kms_err e, uint64_t counter)
{
	struct root *r = k->root;
	if (!may_accept(r, e)) {
		if (r->current < r->rows.slot_n)
			r->last[r->current].err = e;
		give_up(k, e);
		return;
	}
	r->epoch.counted = e == KMS_E_ROLLBACK;
	if (e == KMS_E_ROLLBACK)
		r->epoch.number = counter - r->epoch.base;
	changes_set_counter(k->changes, counter, false);
	ask_random(k);
}

/*
 * The counter's hardware does not answer. Where the root came from elsewhere we serve all the same,
 * since one dead chip must not stop everything; the counter is asked again and again, and if it
 * then shows that the store is old, everything is sealed.
 */
static void go_on_unchecked(struct keeper *k, kms_err e)
{
	if (k->root->current == root_counter_slot(k->root, &k->root->epoch)) {
		next_slot(k, e);
		return;
	}
	LOG(LOG_LEVEL_ERROR, "counter-unchecked",
	    "The hardware counter can't be read, so nothing but the log says that the store is the "
	    "newest.",
	    log_err(e));
	changes_set_unchecked(k->changes, k->mono_us);
	ask_random(k);
}

static void on_moved(struct keeper *k, void *arg, struct call_answer *a)
{
	const struct root *r = k->root;
	if (!root_opening_is(k->root, arg))
		return;
	if (a->err != KMS_OK) {
		go_on_unchecked(k, a->err);
		return;
	}
	if (a->counter != r->epoch.base + r->epoch.number) {
		refuse_or_accept(k, KMS_E_COUNTER_GONE, a->counter);
		return;
	}
	changes_set_counter(k->changes, a->counter, true);
	ask_random(k);
}

static void move_counter(struct keeper *k, uint64_t target)
{
	struct call_task task;
	kms_err e = root_counter_task(k, &k->root->epoch, CALL_COUNTER_MOVE, &task);
	task.target = target;
	if (e == KMS_OK)
		e = helper_call(k, &task, false, on_moved, root_opening_mark(k->root));
	if (e != KMS_OK)
		give_up(k, e);
}

/*
 * The rule against an old copy of the store: it may be as old as the counter, or one change
 * ahead of it (a crash between the commit and the increment, which is made up for now).
 */
static void on_counter(struct keeper *k, void *arg, struct call_answer *a)
{
	const struct root *r = k->root;
	if (!root_opening_is(k->root, arg))
		return;
	uint64_t store = r->epoch.base + r->epoch.number;
	if (a->err == KMS_E_COUNTER_GONE) {
		refuse_or_accept(k, a->err, 0);
	} else if (a->err != KMS_OK) {
		go_on_unchecked(k, a->err);
	} else if (a->counter == store) {
		changes_set_counter(k->changes, a->counter, false);
		ask_random(k);
	} else if (a->counter + 1 == store) {
		move_counter(k, store);
	} else {
		refuse_or_accept(
		    k, a->counter > store ? KMS_E_ROLLBACK : KMS_E_COUNTER_GONE, a->counter);
	}
}

/*
 * The log must hold what the store saw of it, and what it holds must be ours. One that was cut or
 * lost may be accepted: the store then follows what there is.
 */
static kms_err check_log(struct keeper *k)
{
	struct root *r = k->root;
	TRY(trail_verify(k->audit_dir, r->keys.audit_key));
	if (restore_knows_log(k, &r->epoch))
		return KMS_OK;
	if (!may_accept(r, KMS_E_AUDIT_CORRUPT))
		return KMS_E_AUDIT_CORRUPT;
	LOG(LOG_LEVEL_WARNING, "log-lost",
	    "The log that the store knew is not here: what it held beyond the store is not known.",
	    log_u64("records", r->epoch.audit_size));
	r->epoch.audit_size = 0;
	return KMS_OK;
}

/* The store must hold what the log says was done: an old copy is found without a counter too. */
static kms_err check_store(struct keeper *k)
{
	struct root *r = k->root;
	uint64_t done = 0;
	TRY(trail_epoch_since(k->audit_dir, r->epoch.audit_size, &done));
	if (done <= r->epoch.number)
		return KMS_OK;
	if (!may_accept(r, KMS_E_ROLLBACK))
		return KMS_E_ROLLBACK;
	r->epoch.number = done;
	return KMS_OK;
}

/* Its hardware has just not answered when its slot was tried: it need not be waited for again. */
static bool is_silent(const struct root *r, size_t i)
{
	if (i >= r->current || !r->last[i].tried)
		return false;
	return r->last[i].err == KMS_E_HARDWARE_TIMEOUT || r->last[i].err == KMS_E_TPM_UNREACHABLE;
}

static kms_err check_counter(struct keeper *k)
{
	struct root *r = k->root;
	struct call_task task;
	struct slot s;
	size_t i = root_counter_slot(r, &r->epoch);
	if (r->epoch.counted && i == ROOT_NO_SLOT) {
		refuse_or_accept(k, KMS_E_COUNTER_GONE, 0);
		return KMS_OK;
	}
	/* An old row did not name it: from now on it does. */
	if (i != ROOT_NO_SLOT && slot_decode(buf_bytes(&r->rows.slots[i]), &s) == KMS_OK)
		memcpy(r->epoch.counter_slot, s.id, sizeof(s.id));
	kms_err e = root_counter_task(k, &r->epoch, CALL_COUNTER_READ, &task);
	if (e == KMS_E_NOT_FOUND) {
		changes_set_counter(k->changes, 0, false);
		ask_random(k);
		return KMS_OK;
	}
	if (e == KMS_OK && is_silent(r, i))
		e = r->last[i].err;
	if (e == KMS_E_SLOT_CONFIG || e == KMS_E_HARDWARE_TIMEOUT || e == KMS_E_TPM_UNREACHABLE) {
		go_on_unchecked(k, e);
		return KMS_OK;
	}
	TRY(e);
	return helper_call(k, &task, false, on_counter, root_opening_mark(k->root));
}

/* A restored store is older by intent, and which hardware counts for it is not known yet. */
static void begin_anew(struct keeper *k)
{
	struct root *r = k->root;
	r->accept = true;
	r->accepted = KMS_E_ROLLBACK;
	r->epoch.counted = false;
	r->epoch.base = 0;
	turn_set_instance(k);
}

static kms_err open_with_root(struct keeper *k)
{
	struct root *r = k->root;
	struct bytes instance = bytes_of(k->instance, INSTANCE_ID_LEN);
	TRY(keyring_decode(buf_bytes(&r->rows.keyring), r->key, instance, &r->keys));
	bool restoring = restore_name(r).n > 0;
	if (restoring)
		TRY(restore_fill_store(k));
	TRY(root_make_ring(k));
	TRY(load_keys(k, r->store, &r->epoch));
	if (restoring)
		begin_anew(k);
	TRY(check_log(k));
	if (r->accept)
		TRY(restore_apply_log(k));
	TRY(check_store(k));
	if (!restoring)
		TRY(unfinished_record(k, r->epoch.audit_size));
	return check_counter(k);
}

void root_open_with(struct keeper *k, size_t i)
{
	struct root *r = k->root;
	r->current = i;
	r->key_waits = r->store_with_journal;
	if (r->key_waits)
		return;
	r->state = ROOT_OPENING;
	r->opening++;
	r->last[i].tried = true;
	r->last[i].err = KMS_OK;
	kms_err e = root_open_files(k);
	if (e == KMS_OK)
		e = open_with_root(k);
	if (e != KMS_OK)
		give_up(k, e);
}

/* The first slot of hardware from `i` on that is asked for. */
static size_t find_slot(const struct root *r, size_t i)
{
	for (; i < r->rows.slot_n; i++) {
		struct bytes row = buf_bytes(&r->rows.slots[i]);
		if (root_slot_is(row, bytes_of_str(r->only)) && !root_slot_is_shares(row))
			break;
	}
	return i;
}

/* Each try that fails leaves a record of its own; the one that opens is in that of the opening. */
static void note_try(struct keeper *k, kms_err e)
{
	struct root *r = k->root;
	char name[NAME_MAX_LEN + 1] = "";
	struct bytes slot = root_slot_name(r, r->current);
	r->last[r->current].tried = true;
	r->last[r->current].err = e;
	if (e == KMS_OK)
		return;
	memcpy(name, slot.p, slot.n);
	LOG(LOG_LEVEL_WARNING, "slot-failed", "A slot did not open the root.",
	    log_str("slot", name), log_err(e));
	root_record(k, OP_UNSEAL, e, slot);
}

static void next_slot(struct keeper *k, kms_err e)
{
	struct root *r = k->root;
	note_try(k, e);
	secret_free(&r->key);
	keyring_done(&r->keys);
	r->current = find_slot(r, r->current + 1);
	if (r->current < r->rows.slot_n)
		try_slot(k);
	else
		give_up(k, e);
}

static void on_unsealed(struct keeper *k, void *arg, struct call_answer *a)
{
	struct root *r = k->root;
	if (!root_opening_is(k->root, arg))
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
	note_try(k, KMS_OK);
	secret_free(&r->key);
	r->key = MOVE(a->root);
	e = open_with_root(k);
	if (e != KMS_OK)
		give_up(k, e);
}

static void try_slot(struct keeper *k)
{
	struct call_task task;
	kms_err e = root_slot_task(k, k->root->current, CALL_UNSEAL, &task);
	if (e == KMS_OK)
		e = helper_call(k, &task, false, on_unsealed, root_opening_mark(k->root));
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
	r->opening++;
	root_publish(k);
	kms_err e = root_open_files(k);
	if (e != KMS_OK)
		root_fail(k, ROOT_BROKEN, e);
	else if (r->rows.keyring.n == 0)
		stay_uninitialised(k);
	else if (r->rows.slot_n == 0)
		give_up(k, KMS_E_STORE_CORRUPT);
	else if (find_slot(r, 0) == r->rows.slot_n)
		give_up(k, r->only[0] == '\0' ? KMS_E_SHARES_NEEDED : KMS_E_NOT_FOUND);
	else {
		r->current = find_slot(r, 0);
		try_slot(k);
	}
}

void root_unseal(struct keeper *k, struct task *t, struct bytes name, bool accept)
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
	size_t n = name.n > SLOT_SPEC_MAX ? SLOT_SPEC_MAX : name.n;
	memmove(r->only, name.p == NULL ? (const uint8_t *)"" : name.p, n);
	r->only[n] = '\0';
	r->accept = accept;
	if (r->store_with_journal)
		r->open_when_closed = true;
	else if (r->state != ROOT_UNSEALED)
		begin(k);
}
