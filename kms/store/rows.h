/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealed rows: what the store's backend can't read, and how a row that was put back, added or
 * removed behind our back is noticed. Works in the loop, which owns the store key; what leaves
 * here for the journal is sealed. Rows that were made in the loop may be handed to one other thread,
 * which can do with them all that takes no struct secret, and free them. Each row is XAES-256-GCM under a key derived from the store
 * key, bound to its table and key. A keyed multiset hash (MSet-Add-Hash: Clarke, Devadas, van
 * Dijk, Gassend, Suh 2003) over all rows is sealed with the epoch in one row of its own.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/base/buf.h"
#include "kms/base/secret.h"
#include "kms/store/store.h"

enum {
	SET_HASH_LEN = 32
};

/* What the epoch row says. */
struct epoch {
	uint64_t number;          /* changes of keys, states, slots, policy */
	uint64_t base;            /* number + base is what the hardware's counter shows */
	bool counted;             /* there is such a counter */
	uint8_t counter_slot[16]; /* id of the slot that has it */
	uint64_t audit_size;      /* records in the log when this was written */
	uint8_t audit_root[32];   /* the log's tree at that size */
};

struct rows;

/* Derives its keys from the store key. KMS_E_NO_MEMORY, KMS_E_CRYPTO. */
MUST_USE kms_err rows_new(const struct secret *store_key, struct rows **out);
void rows_free(struct rows **r);

/*
 * Reads every table but EPOCH, calls visit with the clear value of each row (META, SLOT and ROOT as they
 * are), then checks the set hash and gives the epoch. KMS_E_ROW_ROLLBACK where the rows are not
 * those of the epoch row, KMS_E_STORE_CORRUPT where one doesn't open; then nothing may be used.
 */
MUST_USE kms_err rows_load(
    struct rows *r, struct store *s, store_visit *visit, void *arg, struct epoch *out);
/*
 * Takes the rows that are in the store as the first set; for init, before an epoch row exists.
 * KMS_E_STORE_CORRUPT where a sealed one is there: it can't be of a store key that is new.
 */
MUST_USE kms_err rows_adopt(struct rows *r, struct store *s);

/* Changes on their way to the journal: sealed, self-contained, owned. */
struct row_batch {
	struct store_write *writes;
	size_t n, cap;
	struct buf bytes_of_writes; /* private */
	bool purge;                 /* call store_purge after the commit */
};
void row_batch_free(struct row_batch **b);
MUST_USE kms_err row_batch_new(struct row_batch **out);
/*
 * Seals a value (or takes it as it is for META, SLOT and ROOT) and counts it into the set hash at
 * once: batches reach the disk in the order in which they were made, and one that fails means
 * that the store is read anew. KMS_E_NO_MEMORY, KMS_E_CRYPTO.
 */
MUST_USE kms_err rows_put(
    struct rows *r, struct row_batch *b, enum store_table t, struct bytes key, struct bytes clear);
MUST_USE kms_err rows_delete(
    struct rows *r, struct row_batch *b, enum store_table t, struct bytes key);
/* Ends a batch with the epoch row. */
MUST_USE kms_err rows_finish(struct rows *r, struct row_batch *b, const struct epoch *e);
/* The set hash's public digest (SHA-256 of the keyed sum) as rows_load, rows_adopt or rows_finish left it. */
void rows_digest(const struct rows *r, uint8_t out[static SET_HASH_LEN]);

enum {
	ROWS_BITS_OVERHEAD = 24 + 16
};
/* Seals key bits for a version's row, bound to `bind`; out has ROWS_BITS_OVERHEAD + secret_len bytes. */
MUST_USE kms_err rows_seal_bits(
    struct rows *r, struct bytes bind, const struct secret *bits, uint8_t *out);
/* Opens them straight into a new secret. KMS_E_STORE_CORRUPT. */
MUST_USE kms_err rows_open_bits(
    struct rows *r, struct bytes bind, struct bytes sealed, struct secret **out);
/*
 * Whether they open, without a struct secret: for a thread that checks a copy of the store with rows
 * of its own. The clear bits are on the stack for a moment, and wiped. KMS_E_STORE_CORRUPT.
 */
MUST_USE kms_err rows_check_bits(struct rows *r, struct bytes bind, struct bytes sealed);
/*
 * Writes batches in one transaction (journal thread), then purges if one asks for it. On failure it
 * has rolled back, or the commit stands and the purge is left to the next opening.
 */
MUST_USE kms_err row_batch_apply(struct store *s, const struct row_batch *const *batches, size_t n);
