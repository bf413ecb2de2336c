/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by work.c, work_remove.c and work_rotate.c, and by nobody else. */
#pragma once

#include "kms/keeper/root_plan.h"
#include "kms/keeper/root_private.h"
#include "kms/keeper/work.h"

struct work {
	uint64_t number;
	struct task *task; /* NULL: the waiters of the root are told */
	enum op op;
	struct root_ways ways;
	bool rely_on_shares, renew_store;
	char about[NAME_MAX_LEN + 1]; /* the slot that comes or goes, for the audit log */
	char names[ROOT_SLOTS_MAX][NAME_MAX_LEN + 1]; /* slots that may be left out */
	size_t name_n;
	size_t at;                       /* the slot at hand */
	struct root_plan *plan;          /* what is to become of it all */
	struct share shares[SHARES_MAX]; /* that were made */
	size_t share_n;
	uint8_t nonce[16];   /* names them, when they are confirmed */
	struct event *timer; /* until then; NULL: nothing waits */
	struct conn
	    *holder; /* who was given the shares and has not confirmed them; holds a reference */
};

/* Begins work of the root's own. KMS_E_SLOT_WORK, KMS_E_NO_MEMORY. */
MUST_USE kms_err work_begin(struct keeper *k, enum op op, struct work **out);
/* Keeps a detached copy of the task, which the work answers. */
MUST_USE kms_err work_take_task(struct work *w, struct task *t);
/* Ends the work at hand: its task is answered with e. slot: whose fault it is, may be empty. */
void work_fail(struct keeper *k, kms_err e, struct bytes slot);
/*
 * Its plan is complete: makes it durable and answers. Where shares were made they are answered
 * first and wait for work_confirm; where nothing shall change everything is answered at once.
 */
void work_submit(struct keeper *k);
