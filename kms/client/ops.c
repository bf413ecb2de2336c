/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operations, one at a time: each is its request and nothing more. Those of the root, its
 * slots and backups: ops_admin.c.
 */
#include "kms/client/calls.h"
#include "kms/client/error.h"

enum kms_code kms_status(struct kms *c, struct kms_result **out)
{
	return call_plain(c, OP_STATUS, ANSWER_STATUS, out);
}

enum kms_code kms_whoami(struct kms *c, struct kms_result **out)
{
	return call_plain(c, OP_WHOAMI, ANSWER_WHOAMI, out);
}

enum kms_code kms_metrics(struct kms *c, struct kms_result **out)
{
	return call_plain(c, OP_METRICS, ANSWER_METRICS, out);
}

enum kms_code kms_key_create(
    struct kms *c, const struct kms_key_spec *spec, struct kms_result **out)
{
	struct call call = call_begin(c, OP_KEY_CREATE, ANSWER_KEY);

	call.request.key = call_text(spec->key);
	call.request.key_class = call_text(spec->key_class);
	call.request.algorithm = call_text(spec->algorithm);
	call.request.rotate_every_s = spec->rotate_every_s;
	call.request.dry_run = spec->dry_run;
	return call_do(c, &call, out);
}

enum kms_code kms_key_list(
    struct kms *c, const char *after, uint32_t limit, struct kms_result **out)
{
	struct call call = call_begin(c, OP_KEY_LIST, ANSWER_KEYS);

	call.request.key = call_text(after);
	call.request.count = limit;
	return call_do(c, &call, out);
}

enum kms_code kms_key_show(struct kms *c, const char *key, struct kms_result **out)
{
	struct call call = call_begin(c, OP_KEY_SHOW, ANSWER_KEY);

	call.request.key = call_text(key);
	return call_do(c, &call, out);
}

enum kms_code kms_key_change(
    struct kms *c, enum kms_key_op op, const struct kms_key_ref *ref, struct kms_result **out)
{
	static const enum op ops[] = {
		[KMS_KEY_ROTATE] = OP_KEY_ROTATE,
		[KMS_KEY_SUSPEND] = OP_KEY_SUSPEND,
		[KMS_KEY_RESUME] = OP_KEY_RESUME,
		[KMS_KEY_DEACTIVATE] = OP_KEY_DEACTIVATE,
		[KMS_KEY_COMPROMISE] = OP_KEY_COMPROMISE,
		[KMS_KEY_DESTROY] = OP_KEY_DESTROY,
		[KMS_KEY_CANCEL_DESTROY] = OP_KEY_CANCEL_DESTROY,
	};

	if ((size_t)op >= ARRAY_LEN(ops) || ops[op] == OP_NONE)
		return error_set(&c->error, KMS_E_BAD_REQUEST, "no such change of a key");
	struct call call = call_begin(c, ops[op], ANSWER_KEY);
	call.request.key = call_text(ref->key);
	call.request.version = ref->version;
	call.request.reason = call_text(ref->reason);
	call.request.dry_run = ref->dry_run;
	return call_do(c, &call, out);
}

enum kms_code kms_issue(struct kms *c, const char *key, const struct kms_context *context,
    uint32_t count, bool wrapped_only, struct kms_result **out)
{
	struct call call;

	kms_err e = call_issue(c, key, context, count, &call);
	if (e != KMS_OK)
		return call_fail(c, e);
	call.request.wrapped_only = wrapped_only;
	return call_do(c, &call, out);
}

enum kms_code kms_batch(struct kms *c, enum kms_batch_op op, const char *key,
    const struct kms_task *tasks, size_t n, struct kms_result **out)
{
	struct call call;

	kms_err e = call_batch(c, op, key, tasks, n, &call);
	return e == KMS_OK ? call_do(c, &call, out) : call_fail(c, e);
}

/* A batch of one, whose error is the call's. */
static enum kms_code one(struct kms *c, enum kms_batch_op op, const char *key,
    const struct kms_task *task, struct kms_result **out)
{
	AUTO(kms_result_free) struct kms_result *r = NULL;
	size_t n;

	enum kms_code code = kms_batch(c, op, key, task, 1, &r);
	if (code != KMS_CODE_OK)
		return code;
	const struct kms_item *item = kms_result_items(r, &n);
	if (item->code != KMS_CODE_OK) {
		c->error = *item->error;
		return item->code;
	}
	*out = MOVE(r);
	return KMS_CODE_OK;
}

static struct kms_task task_of(struct kms_bytes data, const struct kms_context *context)
{
	struct kms_task task = { .data = data };

	if (context != NULL)
		task.context = *context;
	return task;
}

enum kms_code kms_wrap(struct kms *c, const char *key, struct kms_bytes plaintext,
    const struct kms_context *context, struct kms_result **out)
{
	struct kms_task task = task_of(plaintext, context);

	return one(c, KMS_WRAP, key, &task, out);
}

enum kms_code kms_unwrap(struct kms *c, const char *key, struct kms_bytes wrapped,
    const struct kms_context *context, struct kms_result **out)
{
	struct kms_task task = task_of(wrapped, context);

	return one(c, KMS_UNWRAP, key, &task, out);
}

enum kms_code kms_rewrap(struct kms *c, const char *key, struct kms_bytes wrapped,
    const struct kms_context *context, const struct kms_context *new_context,
    struct kms_result **out)
{
	struct kms_task task = task_of(wrapped, context);

	task.new_context = new_context;
	return one(c, KMS_REWRAP, key, &task, out);
}

enum kms_code kms_mac(struct kms *c, const char *key, struct kms_bytes data,
    const struct kms_context *context, struct kms_result **out)
{
	struct kms_task task = task_of(data, context);

	return one(c, KMS_MAC, key, &task, out);
}

enum kms_code kms_random(struct kms *c, uint32_t n, struct kms_result **out)
{
	struct call call = call_random(c, n);

	return call_do(c, &call, out);
}

enum kms_code kms_audit_read(
    struct kms *c, uint64_t from, uint32_t limit, bool wait, struct kms_result **out)
{
	struct call call = call_audit(c, from, limit, wait);

	return call_do(c, &call, out);
}
