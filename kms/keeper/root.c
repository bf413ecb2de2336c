/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The states of the root and what they share; opening is root_unseal.c's, making root_init.c's,
 * the slots are root_slots.c's and work.c's.
 * Whatever goes wrong on the way ends in root_fail, and from there an operator can try again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kms/keeper/backup.h"
#include "kms/keeper/ceremony.h"
#include "kms/keeper/changes.h"
#include "kms/keeper/counts.h"
#include "kms/keeper/describe.h"
#include "kms/keeper/journal.h"
#include "kms/keeper/replies.h"
#include "kms/keeper/restore.h"
#include "kms/keeper/root_private.h"
#include "kms/keeper/server.h"
#include "kms/keeper/tails.h"
#include "kms/keeper/turn.h"
#include "kms/keeper/work.h"

enum {
	REOPEN_S = 1 /* after a failure of the store we try again by ourselves */
};

kms_err root_new(struct root **out)
{
	struct root *r = calloc(1, sizeof(*r));
	if (r == NULL)
		return KMS_E_NO_MEMORY;
	r->state = ROOT_BROKEN;
	r->why = KMS_E_STOPPING;
	r->current = ROOT_NO_SLOT;
	*out = r;
	return KMS_OK;
}

/* What is only there while opening. */
static void drop_opening(struct root *r)
{
	r->opening++;
	if (r->store != NULL)
		store_close(&r->store);
	keyring_done(&r->keys);
	r->accept = false;
	r->accepted = KMS_OK;
	r->key_waits = false;
}

void root_free(struct root **r)
{
	if (*r == NULL)
		return;
	drop_opening(*r);
	secret_free(&(*r)->key);
	ceremony_free(&(*r)->ceremony);
	work_free(&(*r)->work);
	restore_free(&(*r)->restore);
	root_rows_done(&(*r)->rows);
	for (size_t i = 0; i < (*r)->waiter_n; i++)
		task_free(&(*r)->waiters[i]);
	if ((*r)->reopen_event != NULL)
		event_free((*r)->reopen_event);
	free(*r);
	*r = NULL;
}

enum root_state root_state(const struct root *r)
{
	return r->state;
}

const char *root_state_text(const struct root *r)
{
	static const char *const names[] = { [ROOT_BROKEN] = "store_failed",
		[ROOT_UNINITIALISED] = "uninitialised",
		[ROOT_SEALED] = "sealed",
		[ROOT_OPENING] = "opening",
		[ROOT_UNSEALED] = "unsealed" };
	return names[r->state];
}

kms_err root_why(const struct root *r)
{
	switch (r->state) {
	case ROOT_BROKEN: return r->why;
	case ROOT_UNINITIALISED: return KMS_E_NOT_INITIALISED;
	case ROOT_OPENING: return KMS_E_STOPPING;
	case ROOT_SEALED: return err_wire(r->why) == WIRE_STORE_FAILED ? r->why : KMS_E_SEALED;
	case ROOT_UNSEALED: break;
	}
	return KMS_OK;
}

kms_err root_last(const struct root *r)
{
	return r->why;
}

kms_err root_may_init(const struct root *r)
{
	if (r->state == ROOT_UNINITIALISED)
		return KMS_OK;
	return r->state == ROOT_BROKEN || r->state == ROOT_OPENING ? root_why(r)
	                                                           : KMS_E_INITIALISED;
}

void *root_opening_mark(const struct root *r)
{
	return (void *)(uintptr_t)r->opening; /* NOLINT(performance-no-int-to-ptr): a number */
}

bool root_opening_is(const struct root *r, const void *mark)
{
	return r->state == ROOT_OPENING && r->opening == (uint64_t)(uintptr_t)mark;
}

void root_add_waiter(struct keeper *k, struct task *t)
{
	struct root *r = k->root;
	if (t == NULL)
		return;
	if (r->waiter_n == ROOT_WAITERS_MAX) {
		request_finish(k, t, KMS_E_TOO_MANY, NULL);
		task_free(&t);
		return;
	}
	r->waiters[r->waiter_n++] = t;
}

/* The keeper's own record of an opening that nobody asked for. */
static void record_own(struct keeper *k, enum op op, kms_err e)
{
	struct task own = { .arrived_us = k->mono_us,
		.record = { .op = op,
		    .identity = bytes_of_str("kmsd"),
		    .epoch = k->epoch.number,
		    .detail = op == OP_UNSEAL && e == KMS_OK
		                  ? root_slot_name(k->root, k->root->current)
		                  : (struct bytes){ 0 } } };
	if (k->turn != NULL)
		request_finish(k, &own, e, NULL);
}

void root_refuse(struct keeper *k, kms_err e)
{
	for (size_t i = 0; i < k->root->waiter_n; i++)
		task_refuse(k->root->waiters[i], e);
}

static void answer_waiters(struct keeper *k, kms_err e)
{
	struct root *r = k->root;
	if (r->waiter_n == 0 && r->state != ROOT_UNINITIALISED)
		record_own(k, OP_UNSEAL, e);
	for (size_t i = 0; i < r->waiter_n; i++) {
		struct answer ans = { .kind = ANSWER_DONE };
		kms_err failed = e;
		if (e == KMS_OK && r->waiters[i]->record.op == OP_INIT)
			failed = work_answer(k, &ans);
		if (e == KMS_OK && r->waiters[i]->record.detail.n == 0)
			r->waiters[i]->record.detail = root_slot_name(r, r->current);
		request_finish(k, r->waiters[i], failed, &ans);
		task_free(&r->waiters[i]);
		arena_reset(&k->arena);
	}
	r->waiter_n = 0;
	work_free(&r->work);
}

/* "sealed: The TPM cannot be reached." */
static void tell_state(struct keeper *k)
{
	char text[LINK_TEXT_MAX + 1];
	const struct root *r = k->root;
	bool open = r->state == ROOT_UNSEALED || r->state == ROOT_OPENING || r->why == KMS_OK;
	(void)snprintf(text, sizeof(text), "%s%s%s", root_state_text(r), open ? "" : ": ",
	    open ? "" : err_text(r->why));
	keeper_tell_state(k, text);
}

void root_publish(struct keeper *k)
{
	struct root *r = k->root;
	k->policy.owner_known = r->rows.owner_known;
	k->policy.owner_uid = r->rows.owner_uid;
	/* Who owned it, only its rows can say. */
	k->policy.initialised = r->rows.keyring.n > 0 && restore_name(r).n == 0;
	tell_state(k);
}

kms_err root_open_files(struct keeper *k)
{
	struct root *r = k->root;
	if (r->store == NULL) {
		struct root_rows rows = { 0 };
		TRY(root_store_open(k->config, &r->store, &rows));
		root_rows_done(&r->rows);
		r->rows = rows;
		if (restore_name(r).n > 0)
			TRY(restore_take_doors(k));
		root_sort_slots(k, &r->rows);
	}
	memcpy(k->instance, r->rows.instance, INSTANCE_ID_LEN);
	if (k->turn != NULL)
		return KMS_OK;
	TRY(turn_new(k, &k->turn));
	record_own(k, OP_START, KMS_OK);
	return KMS_OK;
}

kms_err root_make_ring(struct keeper *k)
{
	ring_free(&k->ring);
	rows_free(&k->rows);
	replies_forget(k->replies);
	TRY(rows_new(k->root->keys.store_key, &k->rows));
	return ring_new(ROOT_CACHE, &k->ring);
}

static void drop_keys(struct keeper *k)
{
	counts_forget(k->counts);
	replies_forget(k->replies);
	ring_free(&k->ring);
	rows_free(&k->rows);
	if (k->turn != NULL)
		CHECK(turn_set_key(k, NULL) == KMS_OK);
	secret_free(&k->root->key);
	drop_opening(k->root);
}

void root_finish(struct keeper *k)
{
	struct root *r = k->root;
	kms_err e = turn_set_key(k, r->keys.audit_key);
	if (e == KMS_OK)
		e = journal_give_store(k->journal, MOVE(r->store));
	if (e != KMS_OK) {
		root_fail(k, ROOT_SEALED, e);
		return;
	}
	r->store_with_journal = true;
	r->tries = 0;
	(void)event_del(r->reopen_event);
	drop_opening(r);
	ceremony_free(&r->ceremony);
	restore_free(&r->restore);
	k->epoch = r->epoch;
	r->state = ROOT_UNSEALED;
	r->why = KMS_OK;
	LOG(LOG_LEVEL_NOTICE, "unsealed", "The root is open; keys can be used.",
	    log_u64("keys", ring_count(k->ring)), log_u64("epoch", k->epoch.number));
	root_publish(k);
	answer_waiters(k, KMS_OK);
	backup_look(k);
}

void root_begin_restore(struct keeper *k)
{
	struct root *r = k->root;
	memcpy(k->instance, r->rows.instance, INSTANCE_ID_LEN);
	(void)event_del(r->reopen_event);
	r->state = ROOT_SEALED;
	r->why = KMS_OK;
	memset(r->last, 0, sizeof(r->last));
	root_publish(k);
}

void root_reopen_later(struct keeper *k)
{
	const struct timeval later = { .tv_sec = REOPEN_S };
	(void)event_add(k->root->reopen_event, &later);
}

/* What may pass by itself. An auth value, a PCR, a rollback or damage does not: those want a person. */
static bool may_pass(kms_err e)
{
	switch (e) {
	case KMS_E_STORE_IO:
	case KMS_E_STORE_FULL:
	case KMS_E_STORE_LOCKED:
	case KMS_E_AUDIT_IO:
	case KMS_E_AUDIT_FULL:
	case KMS_E_NO_MEMORY:
	case KMS_E_TPM_UNREACHABLE:
	case KMS_E_TPM_BUSY:
	case KMS_E_TOKEN_MISSING:
	case KMS_E_TOKEN_FAILED:
	case KMS_E_TOKEN_MODULE:
	case KMS_E_HARDWARE_TIMEOUT:
	case KMS_E_HARDWARE_HELPER: return true;
	default: return false;
	}
}

/* Disks are tried again soon, hardware ever more seldom. */
static void try_later(struct keeper *k, kms_err e)
{
	static const time_t waits[] = { 5, 10, 20, 40, 60 };
	struct root *r = k->root;
	if (!may_pass(e))
		return;
	bool soon = err_wire(e) == WIRE_STORE_FAILED;
	size_t i = r->tries < ARRAY_LEN(waits) ? r->tries : ARRAY_LEN(waits) - 1;
	const struct timeval later = { .tv_sec = soon ? REOPEN_S : waits[i] };
	r->tries++;
	(void)event_add(r->reopen_event, &later);
}

void root_fail(struct keeper *k, enum root_state state, kms_err e)
{
	struct root *r = k->root;
	drop_keys(k);
	r->state = state;
	r->why = e;
	if (state == ROOT_UNINITIALISED && e == KMS_E_NOT_INITIALISED)
		LOG(LOG_LEVEL_NOTICE, "uninitialised", "There is no root key yet.", log_err(e));
	else
		LOG(LOG_LEVEL_ERROR, "still-sealed", "The root could not be opened.", log_err(e));
	root_publish(k);
	answer_waiters(k, e);
	try_later(k, e);
}

static void on_reopen(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct keeper *k = arg;
	keeper_tick(k);
	if (k->root->state != ROOT_UNSEALED)
		root_unseal(k, NULL, (struct bytes){ 0 }, false);
}

/* Where the store's bytes are: nowhere yet, so this can wait; with a store open, UNINITIALISED. */
void root_start(struct keeper *k)
{
	struct root *r = k->root;
	r->reopen_event = event_new(k->base, -1, 0, on_reopen, k);
	if (r->reopen_event == NULL) {
		root_fail(k, ROOT_BROKEN, KMS_E_NO_MEMORY);
		return;
	}
	root_unseal(k, NULL, (struct bytes){ 0 }, false);
}

/* From unsealed to sealed. The journal writes what it has, then closes the store. */
static void close_all(struct keeper *k, kms_err answer_with)
{
	struct root *r = k->root;
	/* First the change that may be durable: its new shares must still reach people. */
	changes_fail(k, answer_with);
	work_drop(k, answer_with);
	backup_seal(k, answer_with);
	tails_fail(k, answer_with);
	drop_keys(k);
	ceremony_free(&r->ceremony);
	if (r->store_with_journal && !r->closing && journal_close_store(k->journal) != KMS_OK)
		keeper_stop(k);
	r->closing = r->store_with_journal;
}

/* What was reserved and not used is given back. Without it counters only say more than was. */
static void settle_counts(struct keeper *k)
{
	AUTO(row_batch_free) struct row_batch *b = NULL;
	if (k->root->state != ROOT_UNSEALED || counts_settle(k, &b) != KMS_OK)
		return;
	kms_err e = journal_put_rows(k->journal, MOVE(b), ++k->rows_number);
	if (e != KMS_OK)
		LOG(LOG_LEVEL_WARNING, "counters", "Counters of uses could not be settled.",
		    log_err(e));
}

void root_stop(struct keeper *k)
{
	changes_fail(k, KMS_E_STOPPING);
	record_own(k, OP_STOP, KMS_OK);
	settle_counts(k);
	turn_close(k);
}

void root_seal(struct keeper *k, kms_err why)
{
	struct root *r = k->root;
	/* Nothing opens again by itself what a person has closed. */
	(void)event_del(r->reopen_event);
	r->open_when_closed = false;
	settle_counts(k);
	r->state = ROOT_SEALED;
	r->why = why;
	LOG(LOG_LEVEL_NOTICE, "sealed", "Every key in memory was forgotten.", log_err(why));
	close_all(k, KMS_E_SEALED);
	root_publish(k);
	if (r->waiter_n > 0)
		answer_waiters(k, KMS_E_SEALED);
	server_resume_parked(k->server);
}

void root_store_failed(struct keeper *k, kms_err e)
{
	struct root *r = k->root;
	if (r->state != ROOT_UNSEALED)
		return;
	r->state = ROOT_SEALED;
	r->why = err_wire(e) == WIRE_STORE_FAILED ? e : KMS_E_STORE_IO;
	LOG(LOG_LEVEL_ERROR, "store-failed", "The store failed; it is opened again and read.",
	    log_err(e));
	close_all(k, r->why);
	root_publish(k);
	root_reopen_later(k);
	server_resume_parked(k->server);
}

void root_store_closed(struct keeper *k)
{
	struct root *r = k->root;
	r->store_with_journal = false;
	r->closing = false;
	if (r->key_waits) {
		root_open_with(k, r->current);
		return;
	}
	if (r->open_when_closed) {
		r->open_when_closed = false;
		root_unseal(k, NULL, bytes_of_str(r->only), r->accept);
	}
}
