/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes requests, asks, and turns what comes back into a code and a result. The place where a
 * lost connection is met with a second try; nothing below this file tries twice.
 */
#include "kms/client/calls.h"

#include <string.h>
#include <sys/random.h>

#include "kms/client/error.h"

enum {
	HARDWARE_TIMES = 4,    /* deadlines that one task on hardware may take */
	LONG_TIMES = 20,       /* and several slots one after the other, or a whole backup */
	AUDIT_WAIT_MS = 30000, /* kmsd holds a waiting read for so long */
};

enum {
	IS_CHANGE = 1,   /* carries an idempotency key */
	IS_HARDWARE = 2, /* waits for a TPM: a change moves its counter */
	IS_LONG = 4,     /* on all slots, or on every row */
};

static const uint8_t traits[OP_COUNT] = {
	[OP_INIT] = IS_CHANGE | IS_LONG,
	[OP_UNSEAL] = IS_LONG,
	[OP_SLOT_CHECK] = IS_HARDWARE,
	[OP_KEY_CREATE] = IS_CHANGE | IS_HARDWARE,
	[OP_KEY_ROTATE] = IS_CHANGE | IS_HARDWARE,
	[OP_KEY_SUSPEND] = IS_CHANGE | IS_HARDWARE,
	[OP_KEY_RESUME] = IS_CHANGE | IS_HARDWARE,
	[OP_KEY_DEACTIVATE] = IS_CHANGE | IS_HARDWARE,
	[OP_KEY_COMPROMISE] = IS_CHANGE | IS_HARDWARE,
	[OP_KEY_DESTROY] = IS_CHANGE | IS_HARDWARE,
	[OP_KEY_CANCEL_DESTROY] = IS_CHANGE | IS_HARDWARE,
	[OP_SLOT_ADD] = IS_CHANGE | IS_LONG,
	[OP_SLOT_REMOVE] = IS_CHANGE | IS_LONG,
	[OP_ROOT_ROTATE] = IS_CHANGE | IS_LONG,
	[OP_BACKUP_CREATE] = IS_CHANGE | IS_LONG,
	[OP_BACKUP_LIST] = IS_LONG,
	[OP_BACKUP_VERIFY] = IS_LONG,
	[OP_BACKUP_RESTORE] = IS_CHANGE | IS_LONG,
	[OP_BACKUP_REHEARSED] = IS_CHANGE | IS_HARDWARE,
};

/* ---- Making requests ---------------------------------------------------------------------- */

struct bytes call_text(const char *s)
{
	return s != NULL ? bytes_of_str(s) : bytes_of(NULL, 0);
}

/* Over the deadline of an answer that is there at once. */
static uint32_t extra_ms(const struct kms *c, enum op op)
{
	if ((traits[op] & IS_LONG) != 0)
		return (LONG_TIMES - 1) * c->deadline_ms;
	return (traits[op] & IS_HARDWARE) != 0 ? (HARDWARE_TIMES - 1) * c->deadline_ms : 0;
}

struct call call_begin(struct kms *c, enum op op, enum answer_kind kind)
{
	arena_reset(&c->scratch);
	c->detail[0] = '\0';
	return (struct call){
		.request = { .op = op,
		    .asserted = bytes_of_str(c->asserted),
		    .subject = bytes_of_str(c->subject),
		    .purpose = bytes_of_str(c->purpose) },
		.want = { .kind = kind, .extra_ms = extra_ms(c, op) },
	};
}

kms_err call_context(struct kms *c, const struct kms_context *from, struct pairs *out)
{
	struct pair *pairs;

	*out = (struct pairs){ .n = 0 };
	if (from == NULL || from->n == 0)
		return KMS_OK;
	if (from->n > CONTEXT_MAX_PAIRS)
		return KMS_E_BAD_CONTEXT;

	TRY(arena_alloc(&c->scratch, from->n * sizeof(*pairs), &pairs));
	for (size_t i = 0; i < from->n; i++) {
		pairs[i].name = call_text(from->pairs[i].name);
		pairs[i].value = bytes_of(from->pairs[i].value.p, from->pairs[i].value.n);
	}
	*out = (struct pairs){ .p = pairs, .n = from->n };
	return KMS_OK;
}

kms_err call_issue(struct kms *c, const char *key, const struct kms_context *context,
    uint32_t count, struct call *out)
{
	*out = call_begin(c, OP_ISSUE, ANSWER_ITEMS);
	if (count > BATCH_MAX)
		return KMS_E_BATCH_TOO_BIG;
	out->want.items = count == 0 ? 1 : count;
	out->request.key = call_text(key);
	out->request.count = count;
	return call_context(c, context, &out->request.context);
}

static kms_err batch_items(struct kms *c, const struct kms_task *tasks, size_t n, struct item *out)
{
	for (size_t i = 0; i < n; i++) {
		out[i].data = bytes_of(tasks[i].data.p, tasks[i].data.n);
		out[i].change_context = tasks[i].new_context != NULL;
		TRY(call_context(c, &tasks[i].context, &out[i].context));
		TRY(call_context(c, tasks[i].new_context, &out[i].new_context));
	}
	return KMS_OK;
}

kms_err call_batch(struct kms *c, enum kms_batch_op op, const char *key,
    const struct kms_task *tasks, size_t n, struct call *out)
{
	static const enum op ops[] = {
		[KMS_WRAP] = OP_WRAP,
		[KMS_UNWRAP] = OP_UNWRAP,
		[KMS_REWRAP] = OP_REWRAP,
		[KMS_MAC] = OP_MAC,
	};
	struct item *items;

	if ((size_t)op >= ARRAY_LEN(ops) || ops[op] == OP_NONE || n == 0)
		return KMS_E_BAD_REQUEST;
	*out = call_begin(c, ops[op], ANSWER_ITEMS);
	if (n > BATCH_MAX)
		return KMS_E_BATCH_TOO_BIG;

	TRY(arena_alloc(&c->scratch, n * sizeof(*items), &items));
	TRY(batch_items(c, tasks, n, items));
	out->want.items = n;
	out->request.key = call_text(key);
	out->request.items = items;
	out->request.item_count = n;
	return KMS_OK;
}

struct call call_random(struct kms *c, uint32_t n)
{
	struct call call = call_begin(c, OP_RANDOM, ANSWER_RANDOM);

	call.request.count = n;
	return call;
}

struct call call_audit(struct kms *c, uint64_t from, uint32_t limit, bool wait)
{
	struct call call = call_begin(c, OP_AUDIT_READ, ANSWER_RECORDS);

	call.request.from = from;
	call.request.count = limit;
	call.request.wait = wait;
	call.want.extra_ms = wait ? AUDIT_WAIT_MS : 0;
	return call;
}

/* ---- Asking ------------------------------------------------------------------------------- */

enum kms_code call_fail(struct kms *c, kms_err e)
{
	return e == KMS_OK ? KMS_CODE_OK : error_set(&c->error, e, c->detail);
}

enum kms_code call_result(struct kms *c, struct kms_result *r, struct kms_result **out)
{
	AUTO(kms_result_free) struct kms_result *mine = r;

	if (mine->answer.kind == ANSWER_ERROR)
		return error_from_answer(&c->error, &mine->answer.error);
	if (out != NULL)
		*out = MOVE(mine);
	return KMS_CODE_OK;
}

/* The same key on both tries, so that a change is done once whatever the first one did. */
static kms_err put_change_key(struct kms *c, struct request *r, uint8_t key[IDEMPOTENCY_LEN])
{
	if ((traits[r->op] & IS_CHANGE) == 0 || r->dry_run)
		return KMS_OK;
	if (c->has_change_key)
		memcpy(key, c->change_key, IDEMPOTENCY_LEN);
	else if (getrandom(key, IDEMPOTENCY_LEN, 0) != IDEMPOTENCY_LEN)
		return KMS_E_INTERNAL;

	c->has_change_key = false;
	r->idempotency_key = bytes_of(key, IDEMPOTENCY_LEN);
	return KMS_OK;
}

static kms_err ask(struct kms *c, struct call *call, struct kms_result **out)
{
	uint64_t id;

	TRY(conn_submit(c, &call->request, &call->want, &id));
	return conn_await(c, id, out);
}

enum kms_code call_do(struct kms *c, struct call *call, struct kms_result **out)
{
	uint8_t key[IDEMPOTENCY_LEN];
	struct kms_result *r = NULL;

	call->want.awaited = true;
	kms_err e = put_change_key(c, &call->request, key);
	if (e == KMS_OK)
		e = ask(c, call, &r);
	if (e == KMS_E_CONNECTION_LOST)
		e = ask(c, call, &r);
	call->request.idempotency_key = bytes_of(NULL, 0); /* it was ours */
	return e == KMS_OK ? call_result(c, r, out) : call_fail(c, e);
}

enum kms_code call_plain(struct kms *c, enum op op, enum answer_kind kind, struct kms_result **out)
{
	struct call call = call_begin(c, op, kind);

	return call_do(c, &call, out);
}
