/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The work at hand on the ways to open the root: making the first ones, adding one, removing one, a
 * new root. One at a time, because each begins with how they are. Its steps wait for hardware;
 * it ends in one change of the store (root_plan.h), or it has changed nothing.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/keeper/keeper.h"
#include "kms/keeper/request.h"
#include "kms/keeper/root.h"
#include "kms/seal/shares.h"

struct slot;
struct work;

/* Takes NULL. Wipes shares that were made. */
void work_free(struct work **w);
/* Tells one work from the next; 0: none is at hand. */
uint64_t work_number(const struct root *r);
/* Ends the work at hand without a change; its task is answered with e. */
void work_drop(struct keeper *k, kms_err e);
/* The slots as they are, with the shares that were made, as the answer. KMS_E_NO_MEMORY. */
MUST_USE kms_err work_answer(struct keeper *k, struct answer *out);

/*
 * Each begins work; t is detached where it succeeds. KMS_E_SLOT_WORK while other work is at hand.
 * With t->dry_run everything is asked that can be asked without a change.
 */
/* KMS_E_SLOT_EXISTS, KMS_E_SLOTS_FULL, KMS_E_SHARE_NUMBERS. */
MUST_USE kms_err work_add(struct keeper *k, struct task *t, const struct root_ways *ways);
/* KMS_E_NOT_FOUND; KMS_E_LAST_SLOT later, if nothing else opens. */
MUST_USE kms_err work_remove(
    struct keeper *k, struct task *t, struct bytes name, bool rely_on_shares);
/* leave_out: names of slots that may be unreachable. KMS_E_NOT_FOUND for one that is not there. */
MUST_USE kms_err work_rotate(struct keeper *k, struct task *t, const struct request *r);
/* The shares of work that waits have reached people. KMS_E_NO_CEREMONY for another nonce. */
MUST_USE kms_err work_confirm(struct keeper *k, struct task *t, struct bytes nonce);
/* For root_init.c: work without a task of its own. */
MUST_USE kms_err work_init(struct keeper *k, const struct root_ways *ways);
const struct root_ways *work_ways(const struct root *r);
/*
 * Makes shares of a root, if the work asks for some, and appends the row of their slot. Those made
 * go into the answer. KMS_E_NOT_FOUND: it asks for none. shares_make's errors.
 */
MUST_USE kms_err work_make_shares(
    struct keeper *k, const struct secret *root, const struct slot *before, struct buf *out_row);
