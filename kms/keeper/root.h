/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealed or not, and every way from one to the other: opening the store and the log at the start,
 * making the root, opening it with one slot after the other, comparing the store with the
 * hardware's counter, forgetting everything. Each step that asks hardware is a call to kms-seal
 * whose answer resumes here; the loop goes on meanwhile.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/keeper/keeper.h"
#include "kms/keeper/request.h"
#include "kms/keeper/root_store.h"
#include "kms/seal/call.h"

enum {
	SLOT_SPEC_MAX = 128 /* bytes of what a client calls a slot: see config_choose_slot */
};

enum root_state {
	ROOT_BROKEN,        /* the store or the log can't be used; root_why says why */
	ROOT_UNINITIALISED, /* no root yet */
	ROOT_SEALED,
	ROOT_OPENING, /* a slot is being tried, or the root is being made */
	ROOT_UNSEALED
};

/* A slot as it stands in the store, and how its last try ended. */
struct root_slot {
	struct bytes row; /* slots.h */
	kms_err last;
	bool tried;
};

struct root;

MUST_USE kms_err root_new(struct root **out);
/* Wipes. */
void root_free(struct root **r);
enum root_state root_state(const struct root *r);
/* "uninitialised", "sealed", "opening", "unsealed", "store_failed". */
const char *root_state_text(const struct root *r);
/* The error that says why keys can't be used now. */
kms_err root_why(const struct root *r);
/* The last reason for being sealed, KMS_OK for none. */
kms_err root_last(const struct root *r);
/* Borrows; returns how many. */
size_t root_slots(const struct root *r, struct root_slot out[static ROOT_SLOTS_MAX]);
/* A task for the hardware of a section. */
struct call_task root_task_for(
    const struct keeper *k, const struct config_slot *c, enum call_op op, struct bytes blob);
/*
 * A task for the slot that has the counter of `e`. KMS_E_NOT_FOUND where nothing counts,
 * KMS_E_SLOT_CONFIG if kms.conf says nothing of that slot.
 */
MUST_USE kms_err root_counter_task(
    const struct keeper *k, const struct epoch *e, enum call_op op, struct call_task *out);

/* At start: opens store and log, then the root if there is one. */
void root_start(struct keeper *k);
/* KMS_OK if there is a slot of this name or kind; KMS_E_NOT_FOUND, or why there is none. */
MUST_USE kms_err root_has_slot(const struct root *r, struct bytes name);
/*
 * Tries the slots, or those of this name or kind; `t` (detached, may be NULL) is answered when it
 * is decided. accept: an older store or a counter that is gone is what the operator wants.
 */
void root_unseal(struct keeper *k, struct task *t, struct bytes name, bool accept);
/* KMS_OK where there is no root yet and none is being made. */
MUST_USE kms_err root_may_init(const struct root *r);
/* What is to open the root: hardware of a section, shares k of n, or both. */
struct root_ways {
	const struct config_slot *section; /* NULL: none */
	uint32_t k, n;                     /* 0: no shares */
};
/* Makes the root and its first slots; `t` as above. */
void root_init(struct keeper *k, struct task *t, const struct root_ways *ways);
/* Forgets every key. KMS_OK as why: an operator wanted it. */
void root_seal(struct keeper *k, kms_err why);
/* Who waits for an opening is answered with e now; the opening goes on. */
void root_refuse(struct keeper *k, kms_err e);
/* The keeper ends: settles counters, records the stop, hands the last group to the journal. */
void root_stop(struct keeper *k);
/* The store failed under way: forget, close, and open again by ourselves after a moment. */
void root_store_failed(struct keeper *k, kms_err e);
/* The journal has closed the store. */
void root_store_closed(struct keeper *k);
