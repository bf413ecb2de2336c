/* SPDX-License-Identifier: Apache-2.0 */
/* What the operations share: making a request out of the caller's arguments, asking, refusing. */
#pragma once

#include "kms/base/base.h"
#include "kms/client/conn.h"

/* A request and what must come back for it. */
struct call {
	struct request request;
	struct want want;
};

/* Begins a request on c: whose it is and why. Everything made for the request before is gone. */
struct call call_begin(struct kms *c, enum op op, enum answer_kind kind);
/* Borrow of a string; empty for NULL. */
struct bytes call_text(const char *s);
/* Borrows the pairs, in c's scratch. NULL is an empty one. KMS_E_BAD_CONTEXT, KMS_E_NO_MEMORY. */
MUST_USE kms_err call_context(struct kms *c, const struct kms_context *from, struct pairs *out);
MUST_USE kms_err call_issue(struct kms *c, const char *key, const struct kms_context *context,
    uint32_t count, struct call *out);
MUST_USE kms_err call_batch(struct kms *c, enum kms_batch_op op, const char *key,
    const struct kms_task *tasks, size_t n, struct call *out);
struct call call_random(struct kms *c, uint32_t n);
struct call call_audit(struct kms *c, uint64_t from, uint32_t limit, bool wait);

/* Keeps the error for kms_last_error() and returns its code. KMS_OK leaves it as it was. */
enum kms_code call_fail(struct kms *c, kms_err e);
/* Asks, once more after a lost connection. An answer that is an error becomes c's error. */
enum kms_code call_do(struct kms *c, struct call *call, struct kms_result **out);
/* A request without fields. */
enum kms_code call_plain(struct kms *c, enum op op, enum answer_kind kind, struct kms_result **out);
/* Gives the result to the caller, or its error to c, and frees it then. */
enum kms_code call_result(struct kms *c, struct kms_result *r, struct kms_result **out);
