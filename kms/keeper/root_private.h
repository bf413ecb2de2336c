/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files root*.c, sealing.c and ceremony.c, and by nobody else. */
#pragma once

#include "kms/keeper/keyring.h"
#include "kms/keeper/root.h"
#include "kms/seal/slots.h"

enum {
	ROOT_WAITERS_MAX = 64,        /* people who asked to open at the same time */
	ROOT_CACHE = 512,             /* key versions that keep expanded keys */
	ROOT_NO_SLOT = ROOT_SLOTS_MAX /* a place that no slot has */
};

struct root {
	enum root_state state;
	kms_err why; /* of being sealed or broken; KMS_OK: an operator's wish, or nothing yet */
	struct root_rows rows; /* slots in the order in which they are tried */
	struct {
		bool tried;
		kms_err err;
	} last[ROOT_SLOTS_MAX];
	char only[SLOT_SPEC_MAX + 1]; /* name or kind of the slots to try; empty: all */
	uint64_t
	    opening; /* numbers each opening, and each end of one: answers for others are dropped */
	size_t current;     /* the slot being tried, then the one that opened */
	struct secret *key; /* the root itself, while opening and unsealed */
	bool accept;        /* of this opening: an operator wants what the rules would refuse … */
	kms_err accepted;   /* … and this is what */
	bool store_with_journal; /* it must be closed there before it can be opened here */
	bool closing;            /* that was asked for */
	bool open_when_closed;
	bool key_waits; /* r->key, by way of `current`, opens everything when it is closed */
	struct event *reopen_event;
	unsigned tries; /* openings that failed one after the other for a passing reason */
	struct task *waiters[ROOT_WAITERS_MAX];
	size_t waiter_n;
	struct ceremony *ceremony; /* people with shares; NULL: none under way */
	struct restore *restore;   /* a backup that the next opening restores; NULL: none */
	struct work *work;         /* a change of the slots; NULL: none under way */
	uint64_t works;            /* how many there were */
	/* While opening: */
	struct store *store;
	struct keyring keys;
	struct epoch epoch;
};

/* A record of the keeper's own about a slot. */
void root_record(struct keeper *k, enum op op, kms_err e, struct bytes slot);
/* Tells policy, parent and log of the present state. */
void root_publish(struct keeper *k);
/* Adds a waiter, or answers it at once if there are too many. */
void root_add_waiter(struct keeper *k, struct task *t);
/* Opens the store and the log as far as they are not open yet. */
MUST_USE kms_err root_open_files(struct keeper *k);
/* The root is in r->key, by way of slot `i`: everything else is opened with it. Takes over. */
void root_open_with(struct keeper *k, size_t i);
/* Everything is checked and in memory: unsealed from here on. */
void root_finish(struct keeper *k);
/* Opens by itself after a moment: what is there is read anew. */
void root_reopen_later(struct keeper *k);
/* The rows of a backup's head were taken: sealed until somebody opens its root. */
void root_begin_restore(struct keeper *k);
/* Opening ended with an error. The state becomes `state`. */
void root_fail(struct keeper *k, enum root_state state, kms_err e);
/* Makes an empty ring and rows under the store key of root->keys. */
MUST_USE kms_err root_make_ring(struct keeper *k);

/*
 * For tasks of an opening: what to pass along, and whether an answer that comes with it is still
 * wanted. Sealing, failing and beginning anew all make earlier answers unwanted.
 */
void *root_opening_mark(const struct root *r);
bool root_opening_is(const struct root *r, const void *mark);

/* root_slots.c */
/* True if the slot has this name or kind, or name is empty. */
bool root_slot_is(struct bytes row, struct bytes name);
/* True if people open it, and no hardware. */
bool root_slot_is_shares(struct bytes row);
/* The place of the slot with this id or name; ROOT_NO_SLOT. */
size_t root_find_id(const struct root *r, const uint8_t id[static 16]);
size_t root_find_name(const struct root *r, struct bytes name);
/* The place of the slot that has the counter of `e`; ROOT_NO_SLOT where nothing counts. */
size_t root_counter_slot(const struct root *r, const struct epoch *e);
/* "?" for one that can't be read, "" for none. Borrows. */
struct bytes root_slot_name(const struct root *r, size_t i);
/* Sorts the rows: hardware in the order of kms.conf, what it does not name, shares. */
void root_sort_slots(const struct keeper *k, struct root_rows *rows);
/* A task for slot `i`. KMS_E_SLOT_CONFIG, KMS_E_SLOT_KIND, and slot_decode's errors. */
MUST_USE kms_err root_slot_task(
    const struct keeper *k, size_t i, enum call_op op, struct call_task *out);
