/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our own back-off for PINs: not every token locks itself, and one that does is lost for good after a
 * few tries. After each wrong PIN the slot rests twice as long, up to an hour; this survives a
 * restart, in a small file beside the store. It protects tokens from us, not from who can write
 * that folder, and so is not sealed.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/keeper/keeper.h"

struct backoff;

/* Reads what was written by an earlier process; a file that makes no sense is as none. */
MUST_USE kms_err backoff_new(const struct keeper *k, struct backoff **out);
void backoff_free(struct backoff **b);
/* KMS_OK, or KMS_E_PIN_WAIT while the slot of this name rests. */
MUST_USE kms_err backoff_check(const struct keeper *k, const char *slot);
/* How a task with that slot's hardware ended. */
void backoff_note(struct keeper *k, const char *slot, kms_err e);
