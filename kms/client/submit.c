/* SPDX-License-Identifier: Apache-2.0 */
/* The operations, many at a time: requests go into the buffer, answers come as they come. */
#include "kms/client/calls.h"

static enum kms_code submit(struct kms *c, struct call *call, uint64_t *out_id)
{
	return call_fail(c, conn_submit(c, &call->request, &call->want, out_id));
}

enum kms_code kms_submit_status(struct kms *c, uint64_t *out_id)
{
	struct call call = call_begin(c, OP_STATUS, ANSWER_STATUS);

	return submit(c, &call, out_id);
}

enum kms_code kms_submit_issue(struct kms *c, const char *key, const struct kms_context *context,
    uint32_t count, bool wrapped_only, uint64_t *out_id)
{
	struct call call;

	kms_err e = call_issue(c, key, context, count, &call);
	if (e != KMS_OK)
		return call_fail(c, e);
	call.request.wrapped_only = wrapped_only;
	return submit(c, &call, out_id);
}

enum kms_code kms_submit_batch(struct kms *c, enum kms_batch_op op, const char *key,
    const struct kms_task *tasks, size_t n, uint64_t *out_id)
{
	struct call call;

	kms_err e = call_batch(c, op, key, tasks, n, &call);
	return e == KMS_OK ? submit(c, &call, out_id) : call_fail(c, e);
}

enum kms_code kms_submit_random(struct kms *c, uint32_t n, uint64_t *out_id)
{
	struct call call = call_random(c, n);

	return submit(c, &call, out_id);
}

enum kms_code kms_submit_audit_read(
    struct kms *c, uint64_t from, uint32_t limit, bool wait, uint64_t *out_id)
{
	struct call call = call_audit(c, from, limit, wait);

	return submit(c, &call, out_id);
}

enum kms_code kms_flush(struct kms *c)
{
	c->detail[0] = '\0';
	return call_fail(c, conn_send(c));
}

enum kms_code kms_wait(struct kms *c, int timeout_ms, uint64_t *out_id, struct kms_result **out)
{
	struct kms_result *r = NULL;

	kms_err e = conn_next(c, timeout_ms, out_id, &r);
	if (e != KMS_OK)
		return call_fail(c, e);
	return r != NULL ? call_result(c, r, out) : KMS_CODE_OK;
}
