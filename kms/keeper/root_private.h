/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by root.c, root_unseal.c and root_init.c, and by nobody else. */
#pragma once

#include "kms/keeper/keyring.h"
#include "kms/keeper/root.h"

enum {
	ROOT_WAITERS_MAX = 64, /* people who asked to open at the same time */
	ROOT_CACHE = 512       /* key versions that keep expanded keys */
};

struct root {
	enum root_state state;
	kms_err why; /* of being sealed or broken; KMS_OK: an operator's wish, or nothing yet */
	struct root_rows rows;
	struct {
		bool tried;
		kms_err err;
	} last[ROOT_SLOTS_MAX];
	char only[NAME_MAX_LEN + 1]; /* name or kind of the slots to try; empty: all */
	size_t current;              /* the slot being tried, then the one that opened */
	bool store_with_journal;     /* it must be closed there before it can be opened here */
	bool open_when_closed;
	struct event *reopen_event;
	unsigned tries; /* openings that failed one after the other for a passing reason */
	struct task *waiters[ROOT_WAITERS_MAX];
	size_t waiter_n;
	/* While opening: */
	struct store *store;
	struct secret *key; /* the root itself */
	struct keyring keys;
	struct epoch epoch;
};

/* True if the slot has this name or kind, or name is empty. */
bool root_slot_is(struct bytes row, struct bytes name);
/* Tells policy, parent and log of the present state. */
void root_publish(struct keeper *k);
/* Adds a waiter, or answers it at once if there are too many. */
void root_add_waiter(struct keeper *k, struct task *t);
/* Opens the store and the log as far as they are not open yet. */
MUST_USE kms_err root_open_files(struct keeper *k);
/* Everything is checked and in memory: unsealed from here on. */
void root_finish(struct keeper *k);
/* Opens by itself after a moment: what is there is read anew. */
void root_reopen_later(struct keeper *k);
/* Opening ended with an error. The state becomes `state`. */
void root_fail(struct keeper *k, enum root_state state, kms_err e);
/* Makes an empty ring and rows under the store key of root->keys. */
MUST_USE kms_err root_make_ring(struct keeper *k);
/* A task for `blob`. */
struct call_task root_task_for(const struct keeper *k, enum call_op op, struct bytes blob);
