/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of the store: a SQLite store in a folder of the test's own, and rows as plain strings. */
#pragma once

#include "kms/base/buf.h"
#include "kms/store/sqlite.h"
#include "tests/unit/folder.h"

/* Numbers that look random and are the same in each run (xorshift64). */
struct dice {
	uint64_t state; /* not 0 */
};

/* One of 0 … n - 1. */
static inline uint32_t dice_roll(struct dice *d, uint32_t n)
{
	d->state ^= d->state << 13;
	d->state ^= d->state >> 7;
	d->state ^= d->state << 17;
	return (uint32_t)(d->state >> 32) % n;
}

struct bench {
	struct folder folder;
	char path[2 * FOLDER_PATH]; /* of the store's file */
	struct store *store;
};

static inline void bench_open(struct bench *b)
{
	CHECK(sqlite_store_open(b->path, &b->store) == KMS_OK);
}

static inline void bench_make(struct bench *b)
{
	folder_make(&b->folder);
	folder_file(&b->folder, "store.db", b->path);
	bench_open(b);
}

static inline void bench_close(struct bench *b)
{
	if (b->store != NULL)
		store_close(&b->store);
}

static inline void bench_reopen(struct bench *b)
{
	bench_close(b);
	bench_open(b);
}

static inline void bench_done(struct bench *b)
{
	bench_close(b);
	folder_done(&b->folder);
}

/* Set-up and tear-down of one test: *state is its bench. */
static inline int bench_set_up(void **state)
{
	static struct bench b;

	b = (struct bench){ .store = NULL };
	bench_make(&b);
	*state = &b;
	return 0;
}

static inline int bench_tear_down(void **state)
{
	bench_done(*state);
	return 0;
}

static inline struct store_write write_of(enum store_table t, struct bytes key, struct bytes value)
{
	return (struct store_write){ .table = t, .key = key, .value = value };
}

/* A transaction of one write; on a failure it has rolled back. */
static inline kms_err store_write_one(struct store *s, struct store_write w)
{
	kms_err e = store_begin(s);

	if (e == KMS_OK)
		e = store_put(s, &w);
	if (e == KMS_OK)
		e = store_commit(s);
	if (e != KMS_OK)
		store_rollback(s);
	return e;
}

static inline kms_err put_one(
    struct store *s, enum store_table t, const char *key, const char *value)
{
	return store_write_one(s, write_of(t, bytes_of_str(key), bytes_of_str(value)));
}

static inline kms_err delete_one(struct store *s, enum store_table t, const char *key)
{
	return store_write_one(s, write_of(t, bytes_of_str(key), (struct bytes){ 0 }));
}

static inline kms_err keep_value(
    void *arg, enum store_table t, struct bytes key, struct bytes value)
{
	(void)t;
	(void)key;
	return buf_put(arg, value);
}

/* Appends the value of a row. */
static inline kms_err get_bytes(
    struct store *s, enum store_table t, struct bytes key, struct buf *out)
{
	return store_get(s, t, key, keep_value, out);
}

/* True if the row is there and has this value. */
static inline bool row_is(struct store *s, enum store_table t, const char *key, const char *value)
{
	AUTO(buf_done) struct buf b = { 0 };

	return get_bytes(s, t, bytes_of_str(key), &b) == KMS_OK &&
	       bytes_equal(buf_bytes(&b), bytes_of_str(value));
}

static inline bool row_absent(struct store *s, enum store_table t, const char *key)
{
	AUTO(buf_done) struct buf b = { 0 };

	return get_bytes(s, t, bytes_of_str(key), &b) == KMS_E_NOT_FOUND;
}
