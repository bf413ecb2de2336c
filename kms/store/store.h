/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store: rows of opaque bytes in a few tables, changed in transactions. The interface that
 * the journal writes through; backends (SQLite today) are named only where a program starts.
 * A store belongs to one thread at a time and may be handed on.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/base/types.h"

enum {
	STORE_SCHEMA = 1,       /* the version that this code writes */
	STORE_KEY_MAX = 64,     /* bytes of a row's key */
	STORE_VALUE_MAX = 65536 /* bytes of a row's value */
};

/* On disk: only append. META, SLOT, ROOT are readable while sealed; the others are sealed rows. */
enum store_table {
	TABLE_META = 1,    /* "instance", "owner"… */
	TABLE_SLOT = 2,    /* slot id → slot */
	TABLE_ROOT = 3,    /* "keyring" → working keys under the root */
	TABLE_EPOCH = 4,   /* "epoch" → epoch, set hash, log position */
	TABLE_KEY = 5,     /* key id → master key */
	TABLE_VERSION = 6, /* key id, version → state and sealed bits */
	TABLE_COUNT = 7,   /* key id, version → counters */
	TABLE_REPLY = 8,   /* requester, idempotency key → the answer given */
	TABLE_COUNT_OF = 9
};

/* One change: a value to put, or a row to delete (value.p == NULL). */
struct store_write {
	enum store_table table;
	struct bytes key, value;
};

/* What a scan calls for each row; a failure stops it and is returned. Borrowed for the call. */
typedef kms_err store_visit(
    void *arg, enum store_table table, struct bytes key, struct bytes value);

struct store;

/* What a backend is. */
struct store_backend {
	const char *name;
	kms_err (*begin)(struct store *s);
	kms_err (*put)(struct store *s, const struct store_write *w);
	kms_err (*commit)(struct store *s); /* durable when it returns */
	void (*rollback)(struct store *s);
	kms_err (*get)(
	    struct store *s, enum store_table t, struct bytes key, store_visit *visit, void *arg);
	kms_err (*scan)(struct store *s, enum store_table t, store_visit *visit, void *arg);
	kms_err (*purge)(struct store *s);
	void (*close)(struct store *s);
};

/* A backend embeds this first. */
struct store {
	const struct store_backend *backend;
};

/*
 * Any failure of begin, put or commit leaves the outcome unknown: roll back, close, open again
 * and read. KMS_E_STORE_IO, KMS_E_STORE_FULL, KMS_E_STORE_LOCKED, KMS_E_STORE_CORRUPT.
 */
MUST_USE kms_err store_begin(struct store *s);
/* Puts or deletes one row inside begin … commit. Deleting what is not there is fine. */
MUST_USE kms_err store_put(struct store *s, const struct store_write *w);
MUST_USE kms_err store_commit(struct store *s);
void store_rollback(struct store *s);
/* Calls visit once; KMS_E_NOT_FOUND without a row. */
MUST_USE kms_err store_get(
    struct store *s, enum store_table t, struct bytes key, store_visit *visit, void *arg);
/* Every row of a table in the order of its keys. */
MUST_USE kms_err store_scan(struct store *s, enum store_table t, store_visit *visit, void *arg);
/* After a destroy: nothing that was deleted or overwritten stays in the store's files. */
MUST_USE kms_err store_purge(struct store *s);
void store_close(struct store **s);
