/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An open backup as a store that can only be read, so that rows_load proves it as it proves the
 * store's own file; and its way back into a store.
 */
#include <stdlib.h>

#include "kms/store/archive_private.h"
#include "kms/store/archive_read.h"

struct archive_store {
	struct store base;
	struct archive *archive; /* borrowed */
};

static struct archive *archive_of(struct store *s)
{
	return ((struct archive_store *)s)->archive;
}

static kms_err refuse(struct store *s)
{
	(void)s;
	return KMS_E_INTERNAL;
}

static kms_err refuse_put(struct store *s, const struct store_write *w)
{
	(void)s;
	(void)w;
	return KMS_E_INTERNAL;
}

static void no_rollback(struct store *s)
{
	(void)s;
}

static kms_err scan(struct store *s, enum store_table t, store_visit *visit, void *arg)
{
	struct archive *a = archive_of(s);
	struct archive_row row;

	archive_seek(a, t);
	for (;;) {
		TRY(archive_next(a, &row));
		if (row.table != (uint8_t)t)
			return KMS_OK;
		TRY(visit(arg, t, row.key, row.value));
	}
}

static kms_err get(
    struct store *s, enum store_table t, struct bytes key, store_visit *visit, void *arg)
{
	struct archive *a = archive_of(s);
	struct archive_row row;

	archive_seek(a, t);
	for (;;) {
		TRY(archive_next(a, &row));
		if (row.table != (uint8_t)t)
			return KMS_E_NOT_FOUND;
		if (bytes_equal(row.key, key))
			return visit(arg, t, row.key, row.value);
	}
}

static void close_store(struct store *s)
{
	free(s);
}

static const struct store_backend backend = {
	.name = "backup",
	.begin = refuse,
	.put = refuse_put,
	.commit = refuse,
	.rollback = no_rollback,
	.get = get,
	.scan = scan,
	.purge = refuse,
	.close = close_store,
};

kms_err archive_store_open(struct archive *a, struct store **out)
{
	TRY(archive_index(a));
	struct archive_store *s = calloc(1, sizeof(*s));
	if (s == NULL)
		return KMS_E_NO_MEMORY;
	*s = (struct archive_store){ .base = { &backend }, .archive = a };
	*out = &s->base;
	return KMS_OK;
}

static bool says_the_same(const struct archive_about *about, const struct epoch *e,
    const uint8_t digest[static SET_HASH_LEN])
{
	return about->epoch.number == e->number && about->epoch.base == e->base &&
	       about->epoch.audit_size == e->audit_size &&
	       equal_ct(about->epoch.audit_root, e->audit_root, sizeof(e->audit_root)) &&
	       equal_ct(about->set_digest, digest, SET_HASH_LEN);
}

kms_err archive_verify(struct archive *a, struct rows *r, store_visit *visit, void *arg)
{
	AUTO(store_close) struct store *s = NULL;
	uint8_t digest[SET_HASH_LEN];
	struct epoch e;

	TRY(archive_store_open(a, &s));
	TRY(rows_load(r, s, visit, arg, &e));
	rows_digest(r, digest);
	return says_the_same(&archive_head(a)->about, &e, digest) ? KMS_OK : KMS_E_BACKUP_DAMAGED;
}

/* ---- Back into a store -------------------------------------------------------------------- */

/* A store that was just made has an id, which the backup's replaces. */
static kms_err found_row(void *arg, enum store_table t, struct bytes key, struct bytes value)
{
	bool id = t == TABLE_META && bytes_equal(key, bytes_of_str("instance"));

	(void)arg;
	(void)value;
	return id ? KMS_OK : KMS_E_STORE_NOT_EMPTY;
}

static kms_err check_empty(struct store *s)
{
	for (int t = TABLE_META; t < TABLE_COUNT_OF; t++)
		TRY(store_scan(s, (enum store_table)t, found_row, NULL));
	return KMS_OK;
}

static kms_err put_all(struct archive *a, struct store *target)
{
	struct archive_row row;

	archive_seek(a, TABLE_META);
	for (;;) {
		TRY(archive_next(a, &row));
		if (row.table == BODY_END)
			return store_commit(target);
		const struct store_write w = {
			.table = (enum store_table)row.table, .key = row.key, .value = row.value
		};
		TRY(store_put(target, &w));
	}
}

kms_err archive_restore(struct archive *a, struct store *target)
{
	TRY(archive_index(a));
	TRY(check_empty(target));
	TRY(store_begin(target));
	kms_err e = put_all(a, target);
	if (e != KMS_OK)
		store_rollback(target);
	return e;
}
