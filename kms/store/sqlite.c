/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store in one SQLite table: reading, writing, and making sure that what was deleted is gone.
 * Opening is sqlite_open.c's. Not all that a file holds need come from us: what is read is checked.
 */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

#include "kms/store/sqlite_private.h"

static struct sqlite_store *sqlite_of(struct store *s)
{
	return (struct sqlite_store *)s;
}

static bool is_full(int e)
{
	/* A limit on the size of files is a full disk to us. */
	return e == ENOSPC || e == EDQUOT || e == EFBIG;
}

/*
 * What an I/O error was about. sqlite3_system_errno is not set by a commit that fails, so the file
 * and the WAL are asked, each for the last error that it met.
 */
static kms_err io_err(sqlite3 *db)
{
	sqlite3_file *wal = NULL;
	int file_errno = 0, wal_errno = 0;

	(void)sqlite3_file_control(db, "main", SQLITE_FCNTL_LAST_ERRNO, &file_errno);
	(void)sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal);
	if (wal != NULL && wal->pMethods != NULL)
		(void)wal->pMethods->xFileControl(wal, SQLITE_FCNTL_LAST_ERRNO, &wal_errno);
	bool full = is_full(file_errno) || is_full(wal_errno) || is_full(sqlite3_system_errno(db));
	return full ? KMS_E_STORE_FULL : KMS_E_STORE_IO;
}

kms_err sqlite_err(sqlite3 *db, int rc)
{
	if (rc == SQLITE_IOERR_NOMEM)
		return KMS_E_NO_MEMORY;
	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE: return KMS_OK;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_PROTOCOL: return KMS_E_STORE_LOCKED;
	case SQLITE_FULL: return KMS_E_STORE_FULL;
	case SQLITE_IOERR:
	case SQLITE_CANTOPEN: return io_err(db);
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_NOLFS: return KMS_E_STORE_IO;
	/* The last ones come from a file whose schema or rows are not what we wrote. */
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_FORMAT:
	case SQLITE_TOOBIG:
	case SQLITE_CONSTRAINT:
	case SQLITE_ERROR: return KMS_E_STORE_CORRUPT;
	case SQLITE_NOMEM: return KMS_E_NO_MEMORY;
	default: return KMS_E_INTERNAL;
	}
}

kms_err sqlite_run(sqlite3 *db, const char *sql)
{
	return sqlite_err(db, sqlite3_exec(db, sql, NULL, NULL, NULL));
}

/* Runs a kept statement that gives no rows. */
static kms_err run(struct sqlite_store *s, enum statement which)
{
	sqlite3_stmt *st = s->statements[which];
	kms_err e = sqlite_err(s->db, sqlite3_step(st));

	(void)sqlite3_reset(st);
	(void)sqlite3_clear_bindings(st);
	return e;
}

/* Binds to number `i`; the bytes must outlive the statement's run. */
static kms_err bind(struct sqlite_store *s, enum statement which, int i, struct bytes x)
{
	/* A NULL pointer would bind NULL and not the empty value. */
	const void *p = x.n > 0 ? (const void *)x.p : "";

	return sqlite_err(
	    s->db, sqlite3_bind_blob(s->statements[which], i, p, (int)x.n, SQLITE_STATIC));
}

static kms_err bind_table(struct sqlite_store *s, enum statement which, enum store_table t)
{
	return sqlite_err(s->db, sqlite3_bind_int(s->statements[which], 1, (int)t));
}

static kms_err sqlite_begin(struct store *base)
{
	return run(sqlite_of(base), STMT_BEGIN);
}

static kms_err sqlite_put(struct store *base, const struct store_write *w)
{
	struct sqlite_store *s = sqlite_of(base);
	enum statement which = w->value.p == NULL ? STMT_DELETE : STMT_PUT;

	if (sqlite3_get_autocommit(s->db) != 0)
		return KMS_E_INTERNAL;
	TRY(bind_table(s, which, w->table));
	TRY(bind(s, which, 2, w->key));
	if (which == STMT_PUT)
		TRY(bind(s, which, 3, w->value));
	return run(s, which);
}

static kms_err sqlite_commit(struct store *base)
{
	return run(sqlite_of(base), STMT_COMMIT);
}

static void sqlite_rollback(struct store *base)
{
	struct sqlite_store *s = sqlite_of(base);

	/* A full disk may have rolled back already. */
	if (sqlite3_get_autocommit(s->db) == 0)
		(void)run(s, STMT_ROLLBACK);
}

static bool is_blob(sqlite3_stmt *st, int column, size_t least, size_t most)
{
	size_t n = (size_t)sqlite3_column_bytes(st, column);

	return sqlite3_column_type(st, column) == SQLITE_BLOB && n >= least && n <= most;
}

static struct bytes blob(sqlite3_stmt *st, int column)
{
	const void *p = sqlite3_column_blob(st, column);

	return bytes_of(p == NULL ? "" : p, (size_t)sqlite3_column_bytes(st, column));
}

/* The row under the statement's cursor. Not all in the file need come from us. */
static kms_err show_row(sqlite3_stmt *st, enum store_table t, store_visit *visit, void *arg)
{
	if (!is_blob(st, 0, 1, STORE_KEY_MAX) || !is_blob(st, 1, 0, STORE_VALUE_MAX))
		return KMS_E_STORE_CORRUPT;
	return visit(arg, t, blob(st, 0), blob(st, 1));
}

static kms_err show_rows(struct sqlite_store *s, enum statement which, enum store_table t,
    store_visit *visit, void *arg, size_t *out_n)
{
	sqlite3_stmt *st = s->statements[which];
	kms_err e = bind_table(s, which, t);
	size_t n = 0;

	while (e == KMS_OK) {
		int rc = sqlite3_step(st);
		if (rc == SQLITE_DONE)
			break;
		e = sqlite_err(s->db, rc);
		if (e == KMS_OK)
			e = show_row(st, t, visit, arg);
		n++;
	}
	(void)sqlite3_reset(st);
	(void)sqlite3_clear_bindings(st);
	*out_n = n;
	return e;
}

static kms_err sqlite_get(
    struct store *base, enum store_table t, struct bytes key, store_visit *visit, void *arg)
{
	struct sqlite_store *s = sqlite_of(base);
	size_t n = 0;

	TRY(bind(s, STMT_GET, 2, key));
	TRY(show_rows(s, STMT_GET, t, visit, arg, &n));
	return n > 0 ? KMS_OK : KMS_E_NOT_FOUND;
}

static kms_err sqlite_scan(struct store *base, enum store_table t, store_visit *visit, void *arg)
{
	size_t n = 0;

	return show_rows(sqlite_of(base), STMT_SCAN, t, visit, arg, &n);
}

void sqlite_keep_wal(sqlite3 *db, bool keep)
{
	(void)sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, (int)keep, (int *)NULL);
}

/*
 * secure_delete is not enough: where SQLite spreads rows over neighbouring pages, it leaves copies
 * in the unused middle of a page, and what is deleted later is only wiped where it stands then.
 * VACUUM writes every page anew from the rows that are there; then the WAL is emptied.
 */
kms_err sqlite_clean(sqlite3 *db)
{
	TRY(sqlite_run(db, "VACUUM"));
	/* Which it first does in memory, and the keeper has none to spare. */
	(void)malloc_trim(0);
	return sqlite_err(
	    db, sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL));
}

static kms_err sqlite_purge(struct store *base)
{
	struct sqlite_store *s = sqlite_of(base);
	kms_err e = sqlite_clean(s->db);

	/* The WAL that stays behind tells whoever opens next that this is still to be done. */
	if (e != KMS_OK)
		sqlite_keep_wal(s->db, true);
	return e;
}

static void sqlite_close(struct store *base)
{
	struct sqlite_store *s = sqlite_of(base);

	for (size_t i = 0; i < STMT_COUNT; i++)
		(void)sqlite3_finalize(s->statements[i]);
	(void)sqlite3_close(s->db);
	free(s);
}

const struct store_backend sqlite_backend = {
	.name = "sqlite",
	.begin = sqlite_begin,
	.put = sqlite_put,
	.commit = sqlite_commit,
	.rollback = sqlite_rollback,
	.get = sqlite_get,
	.scan = sqlite_scan,
	.purge = sqlite_purge,
	.close = sqlite_close,
};
