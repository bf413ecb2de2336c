/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Groups of changes: gather → store → counter → answer. One group is under way at a time; see
 * changes.h for why and change_plan.c for what a change is.
 */
#include "kms/keeper/changes.h"

#include <stdlib.h>
#include <string.h>

#include "kms/keeper/backup.h"
#include "kms/keeper/change_plan.h"
#include "kms/keeper/counts.h"
#include "kms/keeper/describe.h"
#include "kms/keeper/helper.h"
#include "kms/keeper/journal.h"
#include "kms/keeper/replies.h"
#include "kms/keeper/root.h"
#include "kms/keeper/root_plan.h"
#include "kms/keeper/turn.h"
#include "kms/keeper/work.h"

enum {
	GROUP_MAX = 256,    /* changes that share a transaction and an increment */
	QUEUE_MAX = 16384,  /* changes that wait; beyond, clients are told to come again */
	BEHIND_RETRY_S = 30 /* a counter that lags is tried again so often without changes */
};

TAILQ_HEAD(change_list, change);

struct changes {
	struct change_list queue, group;
	size_t queued;
	enum {
		RESTING,
		STORING,
		COUNTING
	} step;
	uint64_t number; /* of the group's batch */
	uint8_t digest[SET_HASH_LEN];
	uint64_t epoch; /* of the group */
	struct changes_counter counter;
	bool stale; /* several stores have this epoch: changes were made while the counter waited */
	uint64_t retry_us; /* when to try a lagging counter again */
};

kms_err changes_new(struct changes **out)
{
	struct changes *c = calloc(1, sizeof(*c));
	if (c == NULL)
		return KMS_E_NO_MEMORY;
	TAILQ_INIT(&c->queue);
	TAILQ_INIT(&c->group);
	*out = c;
	return KMS_OK;
}

static void drop_all(struct change_list *list)
{
	for (struct change *c; (c = TAILQ_FIRST(list)) != NULL; change_free(&c))
		TAILQ_REMOVE(list, c, entry);
}

void changes_free(struct changes **c)
{
	if (*c == NULL)
		return;
	drop_all(&(*c)->queue);
	drop_all(&(*c)->group);
	free(*c);
	*c = NULL;
}

bool changes_busy(const struct changes *c)
{
	return c->step != RESTING || !TAILQ_EMPTY(&c->queue);
}

struct changes_counter changes_counter(const struct changes *c)
{
	return c->counter;
}

void changes_set_counter(struct changes *c, uint64_t value, bool moved)
{
	c->counter.value = value;
	c->counter.moves += moved;
	c->counter.behind = false;
	c->counter.unchecked = false;
}

void changes_retry_counter(struct changes *c)
{
	c->retry_us = 0;
}

void changes_set_unchecked(struct changes *c, uint64_t now_us)
{
	c->counter.unchecked = true;
	c->counter.behind = false;
	c->retry_us = now_us + (uint64_t)BEHIND_RETRY_S * 1000000;
}

kms_err changes_submit(struct keeper *k, struct task *t, const struct change_want *want)
{
	struct changes *cs = k->changes;
	if (cs->queued >= QUEUE_MAX)
		return KMS_E_TOO_MANY;
	AUTO(change_free) struct change *c = NULL;
	TRY(change_new(want, &c));
	TRY(task_detach(t, &c->task));
	t->fate = TASK_LATER;
	cs->queued++;
	TAILQ_INSERT_TAIL(&cs->queue, c, entry);
	c = NULL; /* the list's */
	return KMS_OK;
}

kms_err changes_submit_plan(struct keeper *k, struct task **t, struct root_plan *plan)
{
	const struct change_want want = { .op = (*t)->record.op };
	AUTO(root_plan_free) struct root_plan *mine = plan;
	AUTO(change_free) struct change *c = NULL;
	TRY(change_new(&want, &c));
	c->plan = MOVE(mine);
	c->task = MOVE(*t);
	k->changes->queued++;
	TAILQ_INSERT_TAIL(&k->changes->queue, c, entry);
	c = NULL; /* the list's */
	return KMS_OK;
}

/* A destruction does not reach into backups: whoever wanted it is told until when. */
static kms_err describe(struct keeper *k, const struct change *c, struct answer *out)
{
	if (c->plan != NULL)
		return work_answer(k, out);
	TRY(describe_key(k, c->key, true, &out->u.key));
	if (c->want.op == OP_KEY_DESTROY)
		out->u.key.backed_up_until_us = backup_holds_until(k);
	return KMS_OK;
}

/* Answers one change and frees it. */
static void answer(struct keeper *k, struct change *c, kms_err e)
{
	struct answer ans = { .kind = ANSWER_KEY };
	bool plan = c->plan != NULL;
	if (e == KMS_OK)
		e = describe(k, c, &ans);
	request_finish(k, c->task, e, &ans);
	change_free(&c);
	arena_reset(&k->arena);
	if (plan)
		work_drop(k, e);
}

static void fill_record(struct changes *cs, struct change *c)
{
	struct record *r = &c->task->record;
	r->epoch = cs->epoch;
	memcpy(r->set_digest, cs->digest, sizeof(r->set_digest));
	if (c->plan != NULL)
		return;
	r->key = c->key->id;
	r->key_class = bytes_of_str(c->key->key_class);
	if (c->want.op == OP_KEY_ROTATE)
		r->version = key_active(c->key) != NULL ? key_active(c->key)->number : 0;
	else if (c->want.op == OP_KEY_CREATE)
		r->version = 1;
	else
		/* 0 as asked: the whole key, also where one version was left of it. */
		r->version = c->want.op == OP_KEY_DESTROY ? c->want.version
		             : c->move_n == 1             ? c->moves[0].version
		                                          : 0;
	r->new_state = c->move_n > 0 && c->want.op != OP_KEY_ROTATE ? c->moves[0].to : STATE_ACTIVE;
}

static void answer_group(struct keeper *k)
{
	struct changes *cs = k->changes;
	cs->step = RESTING;
	for (struct change *c; (c = TAILQ_FIRST(&cs->group)) != NULL;) {
		TAILQ_REMOVE(&cs->group, c, entry);
		fill_record(cs, c);
		answer(k, c, KMS_OK);
	}
}

static void answer_all(struct keeper *k, struct change_list *list, kms_err e)
{
	for (struct change *c; (c = TAILQ_FIRST(list)) != NULL;) {
		TAILQ_REMOVE(list, c, entry);
		answer(k, c, e);
	}
}

/* The first word of a counter that was not asked when the root was opened. */
static bool shows_old_store(const struct keeper *k, const struct call_answer *a)
{
	return k->changes->counter.unchecked && a->err == KMS_OK &&
	       a->counter > k->epoch.base + k->epoch.number;
}

/* The counter's word. The change stands whatever it says: the store is at n+1 already. */
static void on_counter(struct keeper *k, void *arg, struct call_answer *a)
{
	(void)arg;
	struct changes *cs = k->changes;
	if (cs->step != COUNTING)
		return;
	if (shows_old_store(k, a)) {
		LOG(LOG_LEVEL_ERROR, "rollback",
		    "The counter's hardware is back and shows that the store is an old copy.",
		    log_u64("counter", a->counter), log_u64("epoch", k->epoch.number));
		/* Durable, but in a store that nobody should go on with. */
		cs->step = RESTING;
		answer_all(k, &cs->group, KMS_E_ROLLBACK);
		root_seal(k, KMS_E_ROLLBACK);
		return;
	}
	/* Anything but the value that was asked for is somebody else's doing. */
	if (a->err == KMS_OK && a->counter != k->epoch.base + k->epoch.number)
		a->err = KMS_E_COUNTER_BEHIND;
	if (a->err == KMS_OK) {
		changes_set_counter(cs, a->counter, true);
	} else {
		cs->counter.behind = !cs->counter.unchecked;
		cs->retry_us = k->mono_us + (uint64_t)BEHIND_RETRY_S * 1000000;
		LOG(LOG_LEVEL_ERROR, "counter-behind",
		    "The hardware counter could not be moved; the change stands.", log_err(a->err),
		    log_u64("epoch", k->epoch.number));
	}
	answer_group(k);
}

static void move_counter(struct keeper *k)
{
	struct changes *cs = k->changes;
	struct call_task task;
	kms_err e = root_counter_task(k, &k->epoch, CALL_COUNTER_MOVE, &task);
	cs->step = COUNTING;
	if (e == KMS_E_NOT_FOUND) {
		answer_group(k);
		return;
	}
	/* With its target: asked again after a lost answer it does not move twice. */
	task.target = k->epoch.base + k->epoch.number;
	if (e == KMS_OK)
		e = helper_call(k, &task, false, on_counter, NULL);
	if (e != KMS_OK)
		on_counter(k, NULL, &(struct call_answer){ .err = e });
}

void changes_done(struct keeper *k, uint64_t number)
{
	struct changes *cs = k->changes;
	if (cs->step != STORING || number != cs->number)
		return;
	struct change *c;
	TAILQ_FOREACH (c, &cs->group, entry)
		change_apply(k, c);
	move_counter(k);
}

/* True if the group has a change of the same name already: this one waits for the next group. */
static bool in_group(const struct changes *cs, struct bytes name)
{
	const struct change *c;
	TAILQ_FOREACH (c, &cs->group, entry) {
		if (bytes_equal(c->want.key, name))
			return true;
	}
	return false;
}

/* Done before, or asked differently? KMS_E_NOT_FOUND: go on. */
static kms_err look_up(struct keeper *k, struct change *c, uint8_t key[static REPLY_KEY_LEN])
{
	if (c->task->idempotency_key.n == 0 || c->plan != NULL)
		return KMS_E_NOT_FOUND;
	TRY(replies_key(c->task, key));
	TRY(replies_find(k->replies, key, &c->want));
	c->key = ring_find(k->ring, c->want.key);
	return c->key != NULL ? KMS_OK : KMS_E_INTERNAL;
}

static kms_err stage(
    struct keeper *k, struct change *c, const uint8_t *reply_key, struct row_batch *b)
{
	TRY(change_stage(k, c, b));
	if (c->task->idempotency_key.n == 0 || c->plan != NULL)
		return KMS_OK;
	return replies_put(k, b, reply_key, &c->want);
}

/* Takes one change into the group, or answers it. A failure means that staging broke. */
static kms_err take(struct keeper *k, struct change *c, struct row_batch *b)
{
	uint8_t reply_key[REPLY_KEY_LEN] = { 0 };
	kms_err e = look_up(k, c, reply_key);
	bool done = e == KMS_OK;
	if (e == KMS_E_NOT_FOUND)
		e = change_check(k, c);
	if (e != KMS_OK || done || c->task->dry_run) {
		if (c->made != NULL)
			c->key = c->made;
		answer(k, c, e);
		return KMS_OK;
	}
	TAILQ_INSERT_TAIL(&k->changes->group, c, entry);
	return stage(k, c, reply_key, b);
}

static kms_err gather(struct keeper *k, struct row_batch *b)
{
	struct changes *cs = k->changes;
	struct change *c, *next;
	size_t n = 0;
	TRY(replies_prune(k, b));
	for (c = TAILQ_FIRST(&cs->queue); c != NULL && n < GROUP_MAX; c = next) {
		next = TAILQ_NEXT(c, entry);
		if (in_group(cs, c->want.key))
			continue;
		/* It writes every row as memory has it, so nothing else may be on its way. */
		bool alone = c->plan != NULL && c->plan->store_key != NULL;
		if (alone && !TAILQ_EMPTY(&cs->group))
			break;
		TAILQ_REMOVE(&cs->queue, c, entry);
		cs->queued--;
		n++;
		TRY(take(k, c, b));
		if (alone)
			break;
	}
	return KMS_OK;
}

/* A lagging counter stays at n: so does the epoch at n+1. One not asked yet may be there already. */
static kms_err finish_batch(struct keeper *k, struct row_batch *b)
{
	struct changes *cs = k->changes;
	bool waits = cs->counter.behind || cs->counter.unchecked;
	if (!TAILQ_EMPTY(&cs->group)) {
		k->epoch.number += !waits;
		cs->stale = waits;
	}
	cs->epoch = k->epoch.number;
	TRY(counts_finish_batch(k, b));
	rows_digest(k->rows, cs->digest);
	cs->number = ++k->rows_number;
	return KMS_OK;
}

/* The change's first record: on disk before the change is, so none can be without one. */
static kms_err record_begun(struct keeper *k, struct change *c)
{
	struct changes *cs = k->changes;
	const struct record *asked = &c->task->record;
	struct record r = { .identity = asked->identity,
		.source = asked->source,
		.asserted = asked->asserted,
		.op = asked->op,
		.key = c->key != NULL ? c->key->id : (struct key_id){ { 0 } },
		.key_class = bytes_of_str(c->key != NULL ? c->key->key_class : ""),
		.version = c->want.version,
		.epoch = cs->epoch,
		.detail = bytes_of_str(RECORD_BEGUN) };
	memcpy(r.set_digest, cs->digest, sizeof(r.set_digest));
	return turn_record(k, &r);
}

static kms_err record_group(struct keeper *k)
{
	struct change *c;
	TAILQ_FOREACH (c, &k->changes->group, entry)
		TRY(record_begun(k, c));
	turn_flush(k);
	return KMS_OK;
}

static kms_err start_group(struct keeper *k)
{
	struct changes *cs = k->changes;
	AUTO(row_batch_free) struct row_batch *b = NULL;
	TRY(row_batch_new(&b));
	TRY(gather(k, b));
	if (TAILQ_EMPTY(&cs->group) && b->n == 0)
		return KMS_OK;
	TRY(finish_batch(k, b));
	/* Old replies that were deleted are no change of anything. */
	if (!TAILQ_EMPTY(&cs->group))
		cs->step = STORING;
	TRY(record_group(k));
	return journal_put_rows(k->journal, MOVE(b), cs->number);
}

/*
 * The counter answers again. Until the epoch moves, an older store of this same epoch could be put
 * back unnoticed; so it moves now, with a batch that holds nothing else.
 */
static kms_err leave_epoch(struct keeper *k)
{
	struct changes *cs = k->changes;
	AUTO(row_batch_free) struct row_batch *b = NULL;
	TRY(row_batch_new(&b));
	k->epoch.number++;
	TRY(counts_finish_batch(k, b));
	cs->stale = false;
	cs->number = ++k->rows_number;
	cs->step = STORING;
	return journal_put_rows(k->journal, MOVE(b), cs->number);
}

static bool counter_due(const struct keeper *k)
{
	const struct changes *cs = k->changes;
	bool waits = cs->counter.behind || cs->counter.unchecked;
	return waits && k->mono_us >= cs->retry_us;
}

void changes_push(struct keeper *k)
{
	struct changes *cs = k->changes;
	kms_err e = KMS_OK;
	bool waits = cs->counter.behind || cs->counter.unchecked;
	if (cs->step != RESTING || root_state(k->root) != ROOT_UNSEALED ||
	    turn_state(k->turn) != KMS_OK)
		return;
	if (!TAILQ_EMPTY(&cs->queue))
		e = start_group(k);
	else if (counter_due(k))
		move_counter(k);
	else if (cs->stale && !waits && k->epoch.counted)
		e = leave_epoch(k);
	if (e != KMS_OK)
		root_store_failed(k, e);
}

void changes_refuse(struct keeper *k, kms_err e)
{
	struct change *c;
	TAILQ_FOREACH (c, &k->changes->group, entry)
		task_refuse(c->task, e);
	TAILQ_FOREACH (c, &k->changes->queue, entry)
		task_refuse(c->task, e);
}

void changes_fail(struct keeper *k, kms_err e)
{
	struct changes *cs = k->changes;
	if (cs->step == COUNTING) {
		/* The next opening moves the counter. */
		cs->counter.behind = true;
		answer_group(k);
	}
	cs->step = RESTING;
	cs->queued = 0;
	answer_all(k, &cs->group, err_wire(e) == WIRE_STORE_FAILED ? e : KMS_E_STORE_IO);
	answer_all(k, &cs->queue, e);
}
