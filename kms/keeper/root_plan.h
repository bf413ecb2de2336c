/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ways to open the root as they shall be: a change of the store like that of a key, staged
 * in one transaction and applied to memory when it is durable.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/keeper/keeper.h"
#include "kms/keeper/root_store.h"

struct root_plan {
	struct buf slots[ROOT_SLOTS_MAX]; /* rows; those of the store that are not here go */
	size_t slot_n;
	uint64_t
	    counters[ROOT_SLOTS_MAX + 1]; /* of rows that were put: their hardware's; 0: none */
	struct buf keyring;               /* empty: as it is */
	struct secret *key;               /* a new root; NULL: the one there is */
	struct secret *store_key; /* a new one: every row is sealed anew; NULL: the one there is */
	bool counter_changes;     /* the three that follow count */
	bool counted;             /* the hardware of counter_slot has a counter … */
	uint64_t counter;         /* … which stands here */
	uint8_t counter_slot[16];
};

/* As everything is now. KMS_E_NO_MEMORY. */
MUST_USE kms_err root_plan_new(const struct keeper *k, struct root_plan **out);
/* Wipes. Takes NULL. */
void root_plan_free(struct root_plan **p);
/* Takes the slot of this name out, if it is there. */
void root_plan_drop_name(const struct keeper *k, struct root_plan *p, struct bytes name);
/* Takes slot `i` out, and its counter with it. */
void root_plan_drop(const struct keeper *k, struct root_plan *p, size_t i);
/*
 * Adds a row, or puts it in the place of the one with its id. counter: of its hardware, 0 for none.
 * KMS_E_SLOTS_FULL, KMS_E_NO_MEMORY.
 */
MUST_USE kms_err root_plan_put(struct root_plan *p, struct bytes row, uint64_t counter);
/* Nothing more comes: where nothing counts, the first slot that can does from now on. */
void root_plan_settle(const struct keeper *k, struct root_plan *p);
/* Every row must be of the root that is to be. KMS_E_INTEGRITY. */
MUST_USE kms_err root_plan_prove(const struct keeper *k, const struct root_plan *p);
/* Puts what differs into a batch, and the counter into k->epoch. As change_stage. */
MUST_USE kms_err root_plan_stage(struct keeper *k, const struct root_plan *p, struct row_batch *b);
/* It is durable: memory follows. Can't fail. */
void root_plan_apply(struct keeper *k, struct root_plan *p);
