/* SPDX-License-Identifier: Apache-2.0 */
/*
 * THE SPINE. A request is followed here from top to bottom: message → task → decision →
 * operation → record → answer. Nothing is answered that has not been recorded, refusals included;
 * the one exception is a dead log, which is refused by name.
 */
#include "kms/keeper/request.h"

#include <stdlib.h>
#include <string.h>

#include "kms/base/clock.h"
#include "kms/keeper/metrics.h"
#include "kms/keeper/ops.h"
#include "kms/keeper/turn.h"

static const struct op_entry *find_op(enum op op)
{
	const struct op_entry *entry = (unsigned)op < OP_COUNT ? &ops[op] : NULL;
	return entry != NULL && entry->run != NULL ? entry : NULL;
}

/* Who may do what: the one place where the decision is asked for. */
static kms_err decide(
    struct keeper *k, const struct conn *c, const struct request *r, struct task *t)
{
	const struct ask ask = { .identity = &c->who,
		.op = r->op,
		.key = r->key,
		.asserted = r->asserted,
		.subject = r->subject,
		.purpose = r->purpose,
		.time_us = k->wall_us };
	struct verdict v = policy_decide(&k->policy, &ask);
	if (v.allowed)
		return KMS_OK;
	t->detail = bytes_of_str(v.missing);
	t->record.detail = t->detail;
	return KMS_E_DENIED;
}

static kms_err check_lengths(const struct request *r)
{
	bool idempotency = r->idempotency_key.n == 0 || r->idempotency_key.n == IDEMPOTENCY_LEN;
	if (!idempotency || r->subject.n > SUBJECT_MAX || r->purpose.n > SUBJECT_MAX ||
	    r->asserted.n > SUBJECT_MAX)
		return KMS_E_BAD_REQUEST;
	return KMS_OK;
}

static kms_err run(struct keeper *k, struct task *t, const struct request *r, struct answer *out)
{
	const struct op_entry *entry = find_op(r->op);
	if (entry == NULL)
		return KMS_E_BAD_OPERATION;
	TRY(check_lengths(r));
	TRY(decide(k, t->conn, r, t));
	if (entry->needs_keys)
		TRY(ops_check_open(k));
	return entry->run(k, t, r, out);
}

/* Subjects and purposes that are too long are refused; what goes into the log is cut. */
static struct bytes short_text(struct bytes x)
{
	return bytes_of(x.p, x.n > SUBJECT_MAX ? SUBJECT_MAX : x.n);
}

static struct task task_of(struct keeper *k, struct conn *c, const struct request *r)
{
	return (struct task){ .conn = c,
		.id = r->id,
		.arrived_us = k->mono_us,
		.idempotency_key = r->idempotency_key,
		.dry_run = r->dry_run,
		.record = { .op = r->op,
		    .identity = bytes_of_str(c->who_text),
		    .source = bytes_of_str("unix"),
		    .asserted = short_text(r->asserted),
		    .subject = short_text(r->subject),
		    .purpose = short_text(r->purpose) } };
}

/* While the log can't be written nothing is done and nothing leaves but this. */
static void refuse_unrecorded(struct conn *c, uint64_t id, kms_err e)
{
	const struct answer ans = { .id = id, .kind = ANSWER_ERROR, .error = { .err = e } };
	conn_answer(c, &ans, 0);
	conn_release(c, 0);
}

enum request_outcome request_handle(struct keeper *k, struct conn *c, struct bytes message)
{
	struct request r = { 0 };
	kms_err e = request_decode(message, &k->arena, &r);
	if (e == KMS_E_BAD_FRAME) {
		arena_reset(&k->arena);
		request_refuse_frame(k, c, e);
		return REQUEST_TAKEN;
	}
	struct task t = task_of(k, c, &r);
	struct answer ans = { .kind = ANSWER_ERROR };
	kms_err dead = ops_check_log(k, r.op);
	if (dead != KMS_OK) {
		refuse_unrecorded(c, r.id, dead);
	} else {
		if (e == KMS_OK)
			e = run(k, &t, &r, &ans);
		if (t.fate == TASK_ANSWER || e != KMS_OK)
			request_finish(k, &t, e, &ans);
	}
	arena_reset(&k->arena);
	return t.fate == TASK_PARK && e == KMS_OK ? REQUEST_PARK : REQUEST_TAKEN;
}

/* The record of a task whose outcome is known. */
static kms_err record(struct keeper *k, struct task *t, kms_err e)
{
	/* A batch of one has put its item's result there already. */
	if (e != KMS_OK)
		t->record.result = e;
	if (t->dry_run && t->record.result == KMS_OK)
		t->record.detail = bytes_of_str(RECORD_DRY_RUN);
	t->record.latency_us = (uint32_t)(clock_mono_us() - t->arrived_us);
	metrics_count(k->metrics, t->record.op, t->record.result, t->record.latency_us);
	/* Only status is answered without a log, so that an operator can see why there is none. */
	return k->turn == NULL ? KMS_OK : turn_record(k, &t->record);
}

void request_finish(struct keeper *k, struct task *t, kms_err e, struct answer *ans)
{
	kms_err failed = record(k, t, e);
	if (t->conn == NULL)
		return;
	/* What was done meanwhile is recorded when the log heals; its answer can't wait so long. */
	if (failed == KMS_OK && k->turn != NULL)
		failed = turn_state(k->turn);
	struct answer refusal = { .kind = ANSWER_ERROR };
	if (failed != KMS_OK || e != KMS_OK || ans == NULL) {
		refusal.error.err = failed != KMS_OK ? failed : e;
		refusal.error.detail = t->detail;
		ans = &refusal;
	}
	ans->id = t->id;
	bool now = k->turn == NULL || failed != KMS_OK;
	conn_answer(t->conn, ans, now ? 0 : turn_group(k->turn));
	if (now)
		conn_release(t->conn, 0);
}

/* A connection that can't go on: one record, one last answer. */
static void refuse_and_close(struct keeper *k, struct conn *c, enum op op, kms_err e)
{
	const struct request none = { .op = op };
	struct task t = task_of(k, c, &none);
	c->refs++;
	if (ops_check_log(k, op) == KMS_OK)
		request_finish(k, &t, e, NULL);
	else
		refuse_unrecorded(c, 0, e);
	if (!c->closed)
		conn_close_soon(c);
	conn_unref(c);
}

void request_refuse_frame(struct keeper *k, struct conn *c, kms_err e)
{
	refuse_and_close(k, c, OP_MALFORMED, e);
}

void request_refuse_connection(struct keeper *k, struct conn *c, kms_err e)
{
	refuse_and_close(k, c, OP_CONNECT, e);
}

/* Moves a string of the request behind its copy. */
static void keep(struct bytes *x, uint8_t **at)
{
	if (x->n > 0)
		memcpy(*at, x->p, x->n);
	x->p = *at;
	*at += x->n;
}

kms_err task_detach(const struct task *t, struct task **out)
{
	const struct record *r = &t->record;
	size_t n = r->identity.n + r->asserted.n + r->subject.n + r->purpose.n + r->key_class.n +
	           t->idempotency_key.n;
	struct task *copy = malloc(sizeof(*copy) + n);
	if (copy == NULL)
		return KMS_E_NO_MEMORY;
	*copy = *t;
	uint8_t *at = (uint8_t *)(copy + 1);
	keep(&copy->record.identity, &at);
	keep(&copy->record.asserted, &at);
	keep(&copy->record.subject, &at);
	keep(&copy->record.purpose, &at);
	keep(&copy->record.key_class, &at);
	keep(&copy->idempotency_key, &at);
	/* Source and detail are static. */
	if (copy->conn != NULL) {
		copy->conn->refs++;
		copy->conn->pending++;
	}
	*out = copy;
	return KMS_OK;
}

static void drop_conn(struct task *t)
{
	struct conn *c = MOVE(t->conn);
	if (c == NULL)
		return;
	c->pending--;
	/* One that was to close waited for this. */
	if (c->closing && !c->closed)
		conn_close_soon(c);
	conn_unref(c);
}

void task_refuse(struct task *t, kms_err e)
{
	if (t->conn == NULL)
		return;
	refuse_unrecorded(t->conn, t->id, e);
	drop_conn(t);
}

void task_free(struct task **t)
{
	if (*t == NULL)
		return;
	drop_conn(*t);
	free(*t);
	*t = NULL;
}
