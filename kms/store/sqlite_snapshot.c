/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A copy of the store in memory, for a thread that reads all of it while the journal goes on. Not a
 * second connection to the file: the first one has it locked for itself alone, and a reader that
 * pins its WAL would keep a destroy from emptying it.
 */
#include <malloc.h>
#include <stdlib.h>

#include "kms/store/sqlite_private.h"

enum {
	/* In the file's head: how it is written and read. 2 is WAL, which there is none of in memory. */
	WRITE_VERSION_AT = 18,
	READ_VERSION_AT = 19,
	ROLLBACK_JOURNAL = 1,
	FILE_HEAD_LEN = 100
};

static void image_free(unsigned char **image)
{
	sqlite3_free(*image);
}

static kms_err take_image(sqlite3 *db, unsigned char **out, sqlite3_int64 *out_n)
{
	unsigned char *image = sqlite3_serialize(db, "main", out_n, 0);

	if (image == NULL) {
		kms_err e = sqlite_err(db, sqlite3_errcode(db));
		return e == KMS_OK ? KMS_E_NO_MEMORY : e;
	}
	*out = image;
	if (*out_n < FILE_HEAD_LEN)
		return KMS_E_STORE_CORRUPT;
	image[WRITE_VERSION_AT] = ROLLBACK_JOURNAL;
	image[READ_VERSION_AT] = ROLLBACK_JOURNAL;
	return KMS_OK;
}

static kms_err open_image(struct sqlite_store *s, unsigned char **image, sqlite3_int64 n)
{
	int rc =
	    sqlite3_open_v2(":memory:", &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	TRY(sqlite_err(s->db, rc));
	/* Takes the image, also on failure. */
	rc = sqlite3_deserialize(s->db, "main", MOVE(*image), n, n,
	    SQLITE_DESERIALIZE_FREEONCLOSE | SQLITE_DESERIALIZE_READONLY);
	TRY(sqlite_err(s->db, rc));
	TRY(sqlite_harden(s->db));
	TRY(sqlite_prepare(s, STMT_GET));
	return sqlite_prepare(s, STMT_SCAN);
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

static kms_err snapshot_get(
    struct store *s, enum store_table t, struct bytes key, store_visit *visit, void *arg)
{
	return sqlite_backend.get(s, t, key, visit, arg);
}

static kms_err snapshot_scan(struct store *s, enum store_table t, store_visit *visit, void *arg)
{
	return sqlite_backend.scan(s, t, visit, arg);
}

static void snapshot_close(struct store *s)
{
	sqlite_backend.close(s);
	/* The keeper's memory is locked, and there is none to spare. */
	(void)malloc_trim(0);
}

static const struct store_backend snapshot_backend = {
	.name = "sqlite snapshot",
	.begin = refuse,
	.put = refuse_put,
	.commit = refuse,
	.rollback = no_rollback,
	.get = snapshot_get,
	.scan = snapshot_scan,
	.purge = refuse,
	.close = snapshot_close,
};

kms_err sqlite_store_snapshot(struct store *from, struct store **out)
{
	AUTO(store_close) struct store *base = NULL;
	AUTO(image_free) unsigned char *image = NULL;
	sqlite3_int64 n = 0;

	CHECK(from->backend == &sqlite_backend);
	struct sqlite_store *s = calloc(1, sizeof(*s));
	if (s == NULL)
		return KMS_E_NO_MEMORY;
	s->base.backend = &snapshot_backend;
	base = &s->base;
	TRY(take_image(((struct sqlite_store *)from)->db, &image, &n));
	TRY(open_image(s, &image, n));
	*out = MOVE(base);
	return KMS_OK;
}
