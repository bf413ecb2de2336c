/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes of keys on their way: sealed rows and epoch n+1 to the store, then the hardware's
 * counter, then memory and the answer. Changes that arrive while a group is under way form the
 * next group, so a slow chip costs a wait, not a queue. In one group each key changes once.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/keeper/keeper.h"
#include "kms/keeper/request.h"

struct changes;
struct root_plan;

MUST_USE kms_err changes_new(struct changes **out);
/* Answers nobody: the loop has ended. */
void changes_free(struct changes **c);
/* What is to be changed; strings are copied. op says which fields count. */
struct change_want {
	enum op op; /* OP_KEY_CREATE, _ROTATE, _SUSPEND … _DESTROY */
	struct bytes key, key_class, reason;
	enum algorithm algorithm;
	uint64_t rotate_every_s;
	uint32_t version;
};
/* Queues a change; t is detached and answered when it is durable, or refused. */
MUST_USE kms_err changes_submit(struct keeper *k, struct task *t, const struct change_want *want);
/*
 * Queues a change of the ways to open the root; takes plan and *t, which becomes NULL. The answer is
 * work_answer's, and the work at hand ends with it. KMS_E_TOO_MANY, KMS_E_NO_MEMORY: *t stays.
 */
MUST_USE kms_err changes_submit_plan(struct keeper *k, struct task **t, struct root_plan *plan);
/* At the end of each turn: starts the next group if none is under way. */
void changes_push(struct keeper *k);
/* The journal's word about a batch. */
void changes_done(struct keeper *k, uint64_t number);
/* Everybody who waits is answered with e; what was begun goes on. */
void changes_refuse(struct keeper *k, kms_err e);
/*
 * Nothing more is done: the store failed, or the keeper is sealed or stops. What is durable is
 * answered as done; of what is with the journal the outcome is unknown; the rest ends with e.
 */
void changes_fail(struct keeper *k, kms_err e);
/* True while a group is under way or queued. */
bool changes_busy(const struct changes *c);
/* The hardware's counter as last seen, whether it lags, and how often we moved it. */
struct changes_counter {
	uint64_t value, moves;
	bool behind;
	bool unchecked; /* it has not been read since we opened the root */
};
struct changes_counter changes_counter(const struct changes *c);
void changes_set_counter(struct changes *c, uint64_t value, bool moved);
/* Its hardware answers again: what lags is made up for at the end of this turn. */
void changes_retry_counter(struct changes *c);
/* Its hardware does not answer: asked again from now on. */
void changes_set_unchecked(struct changes *c, uint64_t now_us);
