/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of sealed rows: rows on a store of the test's own, a small instance in it, what a fresh
 * reading finds, and what somebody who has the file puts there past the seal.
 */
#pragma once

#include "kms/store/rows.h"
#include "tests/unit/store_help.h"

enum {
	TRIED_SLOTS = 8
};

struct tried {
	struct bench bench;
	struct secret *key;
	struct rows *rows;
	struct epoch epoch;
};

static const struct epoch first_epoch = {
	.number = 7, .base = 100, .audit_size = 5000, .audit_root = { 1, 2, 3 }
};

static inline struct rows *rows_of(const struct secret *key)
{
	struct rows *r = NULL;

	assert_int_equal(rows_new(key, &r), KMS_OK);
	return r;
}

static inline struct secret *key_of(uint8_t fill)
{
	uint8_t bits[KEY_BITS_LEN];
	struct secret *key = NULL;

	memset(bits, fill, sizeof(bits));
	assert_int_equal(secret_from(bytes_of(bits, sizeof(bits)), &key), KMS_OK);
	return key;
}

static inline int set_up(void **state)
{
	static struct tried t;

	t = (struct tried){ .epoch = first_epoch };
	if (secret_init(TRIED_SLOTS, true) != KMS_OK)
		return -1;
	bench_make(&t.bench);
	t.key = key_of(0x4b);
	t.rows = rows_of(t.key);
	*state = &t;
	return 0;
}

static inline int tear_down(void **state)
{
	struct tried *t = *state;

	rows_free(&t->rows);
	bench_done(&t->bench);
	secret_free(&t->key);
	secret_done();
	return 0;
}

static inline struct row_batch *batch_of(void)
{
	struct row_batch *b = NULL;

	assert_int_equal(row_batch_new(&b), KMS_OK);
	return b;
}

static inline void put(struct tried *t, struct row_batch *b, enum store_table table,
    const char *key, const char *value)
{
	assert_int_equal(
	    rows_put(t->rows, b, table, bytes_of_str(key), bytes_of_str(value)), KMS_OK);
}

static inline void apply(struct tried *t, struct row_batch **b)
{
	const struct row_batch *one = *b;

	assert_int_equal(rows_finish(t->rows, *b, &t->epoch), KMS_OK);
	assert_int_equal(row_batch_apply(t->bench.store, &one, 1), KMS_OK);
	row_batch_free(b);
}

static inline void put_now(
    struct tried *t, enum store_table table, const char *key, const char *value)
{
	struct row_batch *b = batch_of();

	put(t, b, table, key, value);
	apply(t, &b);
}

static inline void delete_now(struct tried *t, enum store_table table, const char *key)
{
	struct row_batch *b = batch_of();

	assert_int_equal(rows_delete(t->rows, b, table, bytes_of_str(key)), KMS_OK);
	apply(t, &b);
}

/* A small instance: some row in every table. */
static inline void fill(struct tried *t)
{
	struct row_batch *b = batch_of();

	put(t, b, TABLE_META, "instance", "0123456789abcdef");
	put(t, b, TABLE_SLOT, "slot", "the slot's bytes");
	put(t, b, TABLE_ROOT, "keyring", "wrapped keys");
	put(t, b, TABLE_KEY, "key-1", "a master key");
	put(t, b, TABLE_KEY, "key-2", "another one");
	put(t, b, TABLE_VERSION, "key-1", "its version");
	put(t, b, TABLE_COUNT, "key-1", "counters");
	put(t, b, TABLE_REPLY, "asked", "answered");
	apply(t, &b);
}

/* "5 key-1=a master key;" for each row, in the order of the visits. */
static inline kms_err tell(void *arg, enum store_table table, struct bytes key, struct bytes value)
{
	struct buf *out = arg;

	TRY(buf_put_u8(out, (uint8_t)('0' + (int)table)));
	TRY(buf_put(out, bytes_of_str(" ")));
	TRY(buf_put(out, key));
	TRY(buf_put(out, bytes_of_str("=")));
	TRY(buf_put(out, value));
	return buf_put(out, bytes_of_str(";"));
}

/* As another process would find it, later. */
static inline kms_err load_fresh(
    struct tried *t, const struct secret *key, struct buf *out, struct epoch *out_epoch)
{
	AUTO(rows_free) struct rows *r = rows_of(key);

	return rows_load(r, t->bench.store, tell, out, out_epoch);
}

static inline kms_err load_error(struct tried *t)
{
	AUTO(buf_done) struct buf told = { 0 };
	struct epoch e = { .number = 1 };
	kms_err err = load_fresh(t, t->key, &told, &e);

	if (err != KMS_OK)
		assert_int_equal(e.number, 1); /* outputs stay as they were */
	return err;
}

/* The row's value as it stands in the store. */
static inline struct buf stored(struct tried *t, enum store_table table, const char *key)
{
	struct buf b = { 0 };

	assert_int_equal(get_bytes(t->bench.store, table, bytes_of_str(key), &b), KMS_OK);
	return b;
}

/* What somebody with access to the file does: a row of any bytes, past the seal. */
static inline void meddle(
    struct tried *t, enum store_table table, const char *key, struct bytes value)
{
	assert_int_equal(
	    store_write_one(t->bench.store, write_of(table, bytes_of_str(key), value)), KMS_OK);
}
