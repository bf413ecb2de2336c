/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows as a store may give them, behind the seal and before it. The first byte chooses the kind.
 * What decodes must encode to the same bytes: there is one way to write a row.
 */
#include <string.h>

#include "kms/keys/key.h"
#include "kms/store/epoch.h"
#include "kms/store/rows.h"

enum {
	SLOTS = 8
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void same(struct bytes row, const struct buf *again)
{
	CHECK(bytes_equal(row, buf_bytes(again)));
}

static void fuzz_key(struct bytes row)
{
	AUTO(buf_done) struct buf again = { 0 };
	struct key k = { .n = 0 };

	if (key_decode(row, &k) != KMS_OK)
		return;
	CHECK(key_encode(&k, &again) == KMS_OK);
	same(row, &again);
}

static void fuzz_version(struct bytes row)
{
	AUTO(buf_done) struct buf again = { 0 };
	struct key_version v = { .number = 0 };
	struct bytes sealed = { 0 };

	if (version_decode(row, &v, &sealed) != KMS_OK)
		return;
	CHECK(version_encode(&v, sealed, &again) == KMS_OK);
	same(row, &again);
}

static void fuzz_counts(struct bytes row)
{
	AUTO(buf_done) struct buf again = { 0 };
	struct key_counts c;

	if (counts_decode(row, &c) != KMS_OK)
		return;
	CHECK(counts_encode(&c, &again) == KMS_OK);
	same(row, &again);
}

static void fuzz_epoch(struct bytes row)
{
	struct epoch e;
	uint8_t set_hash[SET_HASH_LEN], again[EPOCH_LEN];

	if (epoch_decode(row, &e, set_hash) != KMS_OK)
		return;
	epoch_encode(&e, set_hash, again);
	/* One of format 1 is written as one of today. */
	CHECK(row.p[0] < EPOCH_FORMAT || bytes_equal(row, bytes_of(again, sizeof(again))));
}

/* Keys of this run alone. */
static struct rows *make_rows(void)
{
	AUTO(secret_free) struct secret *key = NULL;
	struct rows *r = NULL;

	CHECK(secret_init(SLOTS, true) == KMS_OK);
	CHECK(secret_new(KEY_BITS_LEN, &key) == KMS_OK);
	CHECK(rows_new(key, &r) == KMS_OK);
	return r;
}

static struct rows *the_rows(void)
{
	static struct rows *r;

	if (r == NULL)
		r = make_rows();
	return r;
}

/* Nobody finds a tag by chance: these never open. */
static void fuzz_bits(struct bytes row)
{
	struct secret *bits = NULL;

	CHECK(rows_open_bits(the_rows(), bytes_of_str("bind"), row, &bits) == KMS_E_STORE_CORRUPT);
	CHECK(bits == NULL);
}

/* A store of one row, which is what was given. */
static kms_err scan_one(struct store *s, enum store_table t, store_visit *visit, void *arg)
{
	const struct bytes *row = (const struct bytes *)(const void *)(s + 1);
	enum store_table only = row->n % 2 == 0 ? TABLE_EPOCH : TABLE_REPLY;

	return t == only ? visit(arg, t, bytes_of_str("epoch"), *row) : KMS_OK;
}

static kms_err visit_none(void *arg, enum store_table t, struct bytes key, struct bytes value)
{
	(void)arg;
	(void)t;
	(void)key;
	(void)value;
	return KMS_E_INTERNAL;
}

static void fuzz_sealed(struct bytes row)
{
	static const struct store_backend backend = { .name = "one", .scan = scan_one };
	struct {
		struct store base;
		struct bytes row;
	} s = { { &backend }, row };
	struct epoch e;

	CHECK(rows_load(the_rows(), &s.base, visit_none, NULL, &e) == KMS_E_STORE_CORRUPT);
}

static void (*const kinds[])(
    struct bytes row) = { fuzz_key, fuzz_version, fuzz_counts, fuzz_epoch, fuzz_bits, fuzz_sealed };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 0)
		kinds[data[0] % ARRAY_LEN(kinds)](bytes_of(data + 1, size - 1));
	return 0;
}
