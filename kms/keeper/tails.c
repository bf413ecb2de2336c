/* SPDX-License-Identifier: Apache-2.0 */
/* See tails.h. A read goes: waiting list → chores thread → answer. */
#include "kms/keeper/tails.h"

#include <stdlib.h>
#include <sys/queue.h>

#include "kms/audit/segment.h"
#include "kms/keeper/chores.h"
#include "kms/keeper/turn.h"

enum {
	WAITING_MAX = 128,            /* readers at once */
	WAIT_US = 30 * 1000000,       /* then a reader that waits is answered with nothing */
	BYTES_MAX = FRAME_MAX * 3 / 4 /* of the records in one answer */
};

struct tail {
	TAILQ_ENTRY(tail) entry;
	struct task *task;
	uint64_t from, end; /* records of [from, end) */
	uint64_t since_us;
	uint32_t limit;
	int dir_fd;
	struct buf text; /* the records one behind the other, each with its length before it */
	uint32_t n;
};

TAILQ_HEAD(tail_list, tail);

struct tails {
	struct tail_list waiting;
	uint32_t n; /* of all readers, those with the chores thread too */
};

kms_err tails_new(struct tails **out)
{
	struct tails *t = calloc(1, sizeof(*t));
	if (t == NULL)
		return KMS_E_NO_MEMORY;
	TAILQ_INIT(&t->waiting);
	*out = t;
	return KMS_OK;
}

static void tail_free(struct tail **t)
{
	if (*t == NULL)
		return;
	task_free(&(*t)->task);
	buf_done(&(*t)->text);
	free(*t);
	*t = NULL;
}

void tails_free(struct tails **t)
{
	if (*t == NULL)
		return;
	for (struct tail *x; (x = TAILQ_FIRST(&(*t)->waiting)) != NULL; tail_free(&x))
		TAILQ_REMOVE(&(*t)->waiting, x, entry);
	free(*t);
	*t = NULL;
}

/* The last segment whose first record is not behind `from`. */
static kms_err find_segment(const struct tail *t, uint32_t *out_number, uint32_t *out_end)
{
	uint32_t low = 0, high = 0;
	TRY(segments_range(t->dir_fd, &low, &high));
	*out_end = high;
	while (high - low > 1) {
		uint32_t middle = low + (high - low) / 2;
		AUTO(segment_view_free) struct segment_view *v = NULL;
		/* The newest one may still be empty: made ahead, without a head. */
		kms_err e = segment_view_open(t->dir_fd, middle, &v);
		if (e == KMS_OK && segment_view_head(v)->tree.size <= t->from)
			low = middle;
		else
			high = middle;
	}
	*out_number = low;
	return KMS_OK;
}

static bool is_full(const struct tail *t)
{
	return t->n == t->limit || t->from + t->n >= t->end || t->text.n >= BYTES_MAX;
}

static kms_err read_segment(struct tail *t, const struct segment_view *v)
{
	uint64_t at = 0, seq = segment_view_head(v)->tree.size;
	while (!is_full(t)) {
		uint8_t type = 0;
		struct bytes payload;
		TRY(segment_view_next(v, &at, &type, &payload));
		if (type == 0)
			break;
		if (type != SEGMENT_RECORD)
			continue;
		if (seq++ < t->from)
			continue;
		TRY(buf_put_var(&t->text, payload));
		t->n++;
	}
	return KMS_OK;
}

/* In the chores thread. */
static kms_err read_records(void *arg)
{
	struct tail *t = arg;
	uint32_t number = 0, end = 0;
	if (t->from >= t->end)
		return KMS_OK;
	TRY(find_segment(t, &number, &end));
	for (; number < end && !is_full(t); number++) {
		AUTO(segment_view_free) struct segment_view *v = NULL;
		TRY(segment_view_open(t->dir_fd, number, &v));
		TRY(read_segment(t, v));
	}
	return KMS_OK;
}

static kms_err list_records(struct keeper *k, const struct tail *t, struct answer *out)
{
	struct bytes *list = NULL;
	struct reader in = reader_of(buf_bytes(&t->text));
	TRY(arena_alloc(&k->arena, t->n * sizeof(*list), &list));
	for (uint32_t i = 0; i < t->n; i++)
		list[i] = read_var(&in);
	out->kind = ANSWER_RECORDS;
	out->u.records.p = list;
	out->u.records.n = t->n;
	out->u.records.first = t->from;
	out->u.records.size = turn_durable(k->turn);
	return KMS_OK;
}

static void answer(struct keeper *k, void *arg, kms_err e)
{
	AUTO(tail_free) struct tail *t = arg;
	struct answer ans = { .kind = ANSWER_ERROR };
	k->tails->n--;
	if (e == KMS_OK)
		e = list_records(k, t, &ans);
	request_finish(k, t->task, e, &ans);
	arena_reset(&k->arena);
}

static void drop(void *arg)
{
	struct tail *t = arg;
	tail_free(&t);
}

static void start(struct keeper *k, struct tail *t)
{
	t->end = turn_durable(k->turn);
	kms_err e = chores_run(k->chores, read_records, answer, drop, t);
	if (e != KMS_OK)
		answer(k, t, e);
}

kms_err tails_read(struct keeper *k, struct task *t, uint64_t from, uint32_t limit, bool wait)
{
	struct tails *ts = k->tails;
	if (ts->n >= WAITING_MAX)
		return KMS_E_TOO_MANY;
	AUTO(tail_free) struct tail *x = calloc(1, sizeof(*x));
	if (x == NULL)
		return KMS_E_NO_MEMORY;
	TRY(task_detach(t, &x->task));
	x->dir_fd = k->audit_dir;
	x->from = from;
	x->limit = limit;
	x->since_us = wait ? k->mono_us : 0;
	t->fate = TASK_LATER;
	ts->n++;
	TAILQ_INSERT_TAIL(&ts->waiting, x, entry);
	x = NULL; /* the list's */
	return KMS_OK;
}

static bool is_due(const struct keeper *k, const struct tail *t)
{
	if (t->since_us == 0 || k->mono_us - t->since_us > WAIT_US)
		return true;
	return turn_durable(k->turn) > t->from && turn_news(k->turn) > t->from;
}

void tails_push(struct keeper *k)
{
	struct tail *t, *next;
	for (t = TAILQ_FIRST(&k->tails->waiting); t != NULL; t = next) {
		next = TAILQ_NEXT(t, entry);
		if (!is_due(k, t))
			continue;
		TAILQ_REMOVE(&k->tails->waiting, t, entry);
		start(k, t);
	}
}

void tails_fail(struct keeper *k, kms_err e)
{
	for (struct tail *t; (t = TAILQ_FIRST(&k->tails->waiting)) != NULL;) {
		TAILQ_REMOVE(&k->tails->waiting, t, entry);
		answer(k, t, e);
	}
}
