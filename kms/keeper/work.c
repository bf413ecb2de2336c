/* SPDX-License-Identifier: Apache-2.0 */
/* What every work shares, and adding a slot; see work.h. */
#include "kms/keeper/work_private.h"

#include <stdlib.h>
#include <string.h>

#include "kms/crypto/rand.h"
#include "kms/crypto/shamir.h"
#include "kms/keeper/changes.h"
#include "kms/keeper/conn.h"
#include "kms/keeper/describe.h"
#include "kms/keeper/sealing.h"
#include "kms/keeper/turn.h"
#include "kms/seal/share_text.h"

enum {
	CONFIRM_S = 600 /* how long new shares wait to be confirmed */
};

static void drop_shares(struct work *w)
{
	for (size_t i = 0; i < w->share_n; i++)
		share_done(&w->shares[i]);
	w->share_n = 0;
}

static void drop_holder(struct work *w)
{
	if (w->holder != NULL)
		conn_unref(w->holder);
	w->holder = NULL;
}

void work_free(struct work **w)
{
	if (*w == NULL)
		return;
	drop_shares(*w);
	if ((*w)->timer != NULL)
		event_free((*w)->timer);
	drop_holder(*w);
	root_plan_free(&(*w)->plan);
	task_free(&(*w)->task);
	free(*w);
	*w = NULL;
}

uint64_t work_number(const struct root *r)
{
	return r->work != NULL ? r->work->number : 0;
}

const struct root_ways *work_ways(const struct root *r)
{
	return &r->work->ways;
}

static void forget_unconfirmed(struct keeper *k)
{
	LOG(LOG_LEVEL_WARNING, "shares-unconfirmed",
	    "New shares were not confirmed; nothing was changed.",
	    log_str("operation", op_name(k->root->work->op)));
	root_record(k, k->root->work->op, KMS_E_TIMED_OUT, bytes_of_str(slot_shares));
	work_free(&k->root->work);
}

/* Whoever was given new shares and has gone will not confirm them, and is in nobody's way. */
static bool is_abandoned(const struct work *w)
{
	return w != NULL && w->holder != NULL && w->holder->closed;
}

kms_err work_begin(struct keeper *k, enum op op, struct work **out)
{
	struct root *r = k->root;
	if (is_abandoned(r->work))
		forget_unconfirmed(k);
	if (r->work != NULL)
		return KMS_E_SLOT_WORK;
	struct work *w = calloc(1, sizeof(*w));
	if (w == NULL)
		return KMS_E_NO_MEMORY;
	w->number = ++r->works;
	w->op = op;
	r->work = w;
	*out = w;
	return KMS_OK;
}

kms_err work_take_task(struct work *w, struct task *t)
{
	TRY(task_detach(t, &w->task));
	t->fate = TASK_LATER;
	return KMS_OK;
}

kms_err work_init(struct keeper *k, const struct root_ways *ways)
{
	struct work *w = NULL;
	TRY(work_begin(k, OP_INIT, &w));
	w->ways = *ways;
	return KMS_OK;
}

kms_err work_answer(struct keeper *k, struct answer *out)
{
	const struct work *w = k->root->work;
	size_t n = w != NULL ? w->share_n : 0;
	struct bytes *shares = NULL;
	struct share_text *texts = NULL;
	out->kind = ANSWER_SLOTS;
	TRY(arena_alloc(&k->arena, (n + 1) * sizeof(*shares), &shares));
	TRY(arena_alloc(&k->arena, (n + 1) * sizeof(*texts), &texts));
	for (size_t i = 0; i < n; i++) {
		TRY(share_text_encode(&w->shares[i], &texts[i]));
		shares[i] = bytes_of(texts[i].s, SHARE_TEXT_LEN);
	}
	out->u.slots.shares = shares;
	out->u.slots.share_n = n;
	return describe_slots(k, &out->u.slots.p, &out->u.slots.n);
}

/* Which slot it was; a failure may have named another one. */
static void name_slot(const struct work *w)
{
	struct record *record = &w->task->record;
	if (record->detail.n == 0)
		record->detail = bytes_of_str(w->about);
}

static void finish(struct keeper *k, kms_err e)
{
	struct root *r = k->root;
	struct work *w = r->work;
	struct answer ans = { .kind = ANSWER_SLOTS };
	if (e == KMS_OK)
		e = work_answer(k, &ans);
	if (w->task != NULL) {
		name_slot(w);
		request_finish(k, w->task, e, &ans);
	}
	arena_reset(&k->arena);
	work_free(&r->work);
}

void work_drop(struct keeper *k, kms_err e)
{
	if (k->root->work != NULL)
		finish(k, e);
}

void work_fail(struct keeper *k, kms_err e, struct bytes slot)
{
	struct task *t = k->root->work->task;
	if (t != NULL) {
		t->detail = slot;
		t->record.detail = slot;
	}
	finish(k, e);
}

static void on_expired(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct keeper *k = arg;
	keeper_tick(k);
	forget_unconfirmed(k);
}

/*
 * People must hold their shares before anything depends on them: the shares are answered now, and
 * the change waits until somebody says that they have arrived.
 */
static kms_err present(struct keeper *k)
{
	struct work *w = k->root->work;
	const struct timeval limit = { .tv_sec = CONFIRM_S };
	struct answer ans = { 0 };
	TRY(rand_bytes(w->nonce, sizeof(w->nonce)));
	TRY(work_answer(k, &ans));
	ans.u.slots.confirm = bytes_of(w->nonce, sizeof(w->nonce));
	w->timer = event_new(k->base, -1, 0, on_expired, k);
	if (w->timer == NULL || event_add(w->timer, &limit) != 0)
		return KMS_E_NO_MEMORY;
	w->holder = w->task->conn;
	w->holder->refs++;
	w->task->record.detail = bytes_of_str(RECORD_BEGUN);
	request_finish(k, w->task, KMS_OK, &ans);
	task_free(&w->task);
	arena_reset(&k->arena);
	return KMS_OK;
}

static kms_err submit(struct keeper *k)
{
	struct work *w = k->root->work;
	name_slot(w);
	return changes_submit_plan(k, &w->task, MOVE(w->plan));
}

void work_submit(struct keeper *k)
{
	const struct work *w = k->root->work;
	kms_err e = KMS_OK;
	root_plan_settle(k, w->plan);
	if (w->task->dry_run)
		finish(k, KMS_OK);
	else if (root_plan_prove(k, w->plan) != KMS_OK)
		e = KMS_E_INTERNAL;
	else
		e = w->share_n > 0 ? present(k) : submit(k);
	if (e != KMS_OK)
		finish(k, e);
}

kms_err work_confirm(struct keeper *k, struct task *t, struct bytes nonce)
{
	t->dry_run = false; /* it is the other half of what was asked */
	struct work *w = k->root->work;
	if (w == NULL || w->timer == NULL || w->plan == NULL || w->op != t->record.op ||
	    !bytes_equal(nonce, bytes_of(w->nonce, sizeof(w->nonce))))
		return KMS_E_NO_CEREMONY;
	TRY(work_take_task(w, t));
	(void)event_del(w->timer);
	drop_holder(w);
	drop_shares(w); /* people have them */
	kms_err e = submit(k);
	if (e != KMS_OK)
		finish(k, e);
	return KMS_OK;
}

kms_err work_make_shares(
    struct keeper *k, const struct secret *root, const struct slot *before, struct buf *out_row)
{
	struct work *w = k->root->work;
	AUTO(buf_done) struct buf blob = { 0 };
	struct slot row = { .created_us = k->wall_us,
		.kind = bytes_of_str(slot_shares),
		.name = bytes_of_str(slot_shares) };
	if (w->ways.k == 0)
		return KMS_E_NOT_FOUND;
	if (before != NULL)
		row = *before;
	else
		TRY(rand_bytes(row.id, sizeof(row.id)));
	memcpy(row.instance, k->instance, INSTANCE_ID_LEN);
	TRY(shares_make(root, w->ways.k, w->ways.n, k->instance, w->shares, &blob));
	w->share_n = w->ways.n;
	row.blob = buf_bytes(&blob);
	return slot_encode(&row, root, out_row);
}

/* Shares last: hardware may refuse, and then nobody shall have seen any. */
static kms_err add_shares(struct keeper *k)
{
	struct work *w = k->root->work;
	AUTO(buf_done) struct buf row = { 0 };
	kms_err e = work_make_shares(k, k->root->key, NULL, &row);
	if (e == KMS_E_NOT_FOUND)
		return KMS_OK;
	TRY(e);
	return root_plan_put(w->plan, buf_bytes(&row), 0);
}

static void on_sealed(struct keeper *k, kms_err e, const struct sealed *s)
{
	const struct work *w = k->root->work;
	if (e == KMS_OK)
		e = root_plan_put(w->plan, s->row, s->counter);
	if (e == KMS_OK)
		e = add_shares(k);
	if (e == KMS_OK)
		work_submit(k);
	else
		work_fail(k, e, bytes_of_str(w->ways.section->name));
}

static kms_err check_add(const struct keeper *k, const struct root_ways *ways)
{
	const struct root *r = k->root;
	size_t more = (size_t)(ways->section != NULL) + (size_t)(ways->k > 0);
	if (more == 0)
		return KMS_E_BAD_REQUEST;
	if (ways->k > 0 && !shamir_possible(ways->k, ways->n))
		return KMS_E_SHARE_NUMBERS;
	if (ways->section != NULL &&
	    root_find_name(r, bytes_of_str(ways->section->name)) != ROOT_NO_SLOT)
		return KMS_E_SLOT_EXISTS;
	if (ways->k > 0 && root_find_name(r, bytes_of_str(slot_shares)) != ROOT_NO_SLOT)
		return KMS_E_SLOT_EXISTS;
	return r->rows.slot_n + more > ROOT_SLOTS_MAX ? KMS_E_SLOTS_FULL : KMS_OK;
}

static kms_err start_add(struct keeper *k, struct task *t, const struct root_ways *ways)
{
	struct work *w = k->root->work;
	const char *name = ways->section != NULL ? ways->section->name : slot_shares;
	w->ways = *ways;
	memcpy(w->about, name, strlen(name) + 1);
	TRY(root_plan_new(k, &w->plan));
	if (ways->section != NULL && !t->dry_run)
		TRY(sealing_start(k, ways->section, k->root->key, (struct bytes){ 0 }, on_sealed));
	return work_take_task(w, t);
}

kms_err work_add(struct keeper *k, struct task *t, const struct root_ways *ways)
{
	struct work *w = NULL;
	TRY(check_add(k, ways));
	TRY(work_begin(k, t->record.op, &w));
	kms_err e = start_add(k, t, ways);
	if (e == KMS_OK && ways->section == NULL && !t->dry_run)
		e = add_shares(k);
	if (e != KMS_OK) {
		work_free(&k->root->work);
		t->fate = TASK_ANSWER;
		return e;
	}
	if (ways->section == NULL || t->dry_run)
		work_submit(k);
	return KMS_OK;
}
