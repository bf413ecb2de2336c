/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Idempotency: which changes were asked for with which key in the last 24 hours, so that one that
 * is asked again is done once. Kept in the store with the change itself, in the same transaction.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/keeper/changes.h"
#include "kms/keeper/keeper.h"

struct replies;

enum {
	REPLY_KEY_LEN = 32
};

MUST_USE kms_err replies_new(struct replies **out);
void replies_free(struct replies **r);
void replies_forget(struct replies *r);
/* The row's key: a hash of who asked and the idempotency key. */
MUST_USE kms_err replies_key(const struct task *t, uint8_t out[static REPLY_KEY_LEN]);
/*
 * KMS_OK: this very change was done. KMS_E_NOT_FOUND: never asked. KMS_E_CONFLICT: the same key
 * came with another request.
 */
MUST_USE kms_err replies_find(const struct replies *r, const uint8_t key[static REPLY_KEY_LEN],
    const struct change_want *want);
/* Remembers it, in memory and in the batch. */
MUST_USE kms_err replies_put(struct keeper *k, struct row_batch *b,
    const uint8_t key[static REPLY_KEY_LEN], const struct change_want *want);
/* Every reply that is remembered, into a batch. As rows_put. */
MUST_USE kms_err replies_put_all(struct keeper *k, struct row_batch *b);
/* A row of the store, while it is loaded. */
MUST_USE kms_err replies_load(struct replies *r, struct bytes key, struct bytes row);
/* Deletes a few that are older than a day. */
MUST_USE kms_err replies_prune(struct keeper *k, struct row_batch *b);
