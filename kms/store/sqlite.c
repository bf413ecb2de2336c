/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store in one SQLite table. The file is taken as what it is, something that others may have
 * written to: nothing in it runs, its schema must be ours to the letter, sizes are bounded, and
 * a file that is refused is left as it was found. See sqlite.h.
 */
#include "kms/store/sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kms/base/buf.h"

#define TEXT_OF(x)  #x
#define NUMBER(x)   TEXT_OF(x)
#define APPLICATION 1263358820 /* "KMSd" */
#define VERSION     1

/* Also what sqlite_schema must hold, to the letter. */
#define SCHEMA                                                                                     \
	"CREATE TABLE rows (kind INTEGER NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, "       \
	"PRIMARY KEY (kind, key)) STRICT, WITHOUT ROWID"

static_assert(VERSION == STORE_SCHEMA, "what is written is what store.h says");

enum {
	STATEMENT_MAX = 2 * STORE_VALUE_MAX, /* bytes of a row or a statement that SQLite takes */
	PATH_ROOM = 4096
};

enum statement {
	STMT_BEGIN,
	STMT_COMMIT,
	STMT_ROLLBACK,
	STMT_PUT,
	STMT_DELETE,
	STMT_GET,
	STMT_SCAN,
	STMT_COUNT
};

/* Prepared when the store is opened and kept: a commit then parses nothing. */
static const char *const statements[STMT_COUNT] = {
	[STMT_BEGIN] = "BEGIN IMMEDIATE",
	[STMT_COMMIT] = "COMMIT",
	[STMT_ROLLBACK] = "ROLLBACK",
	[STMT_PUT] = "INSERT INTO rows VALUES (?1, ?2, ?3) "
	             "ON CONFLICT (kind, key) DO UPDATE SET value = excluded.value",
	[STMT_DELETE] = "DELETE FROM rows WHERE kind = ?1 AND key = ?2",
	[STMT_GET] = "SELECT key, value FROM rows WHERE kind = ?1 AND key = ?2",
	[STMT_SCAN] = "SELECT key, value FROM rows WHERE kind = ?1 ORDER BY key",
};

/*
 * Before anything is read. The exclusive lock comes first: with it, SQLite keeps its index of the
 * WAL in our own memory and makes no -shm file, and what follows already finds others locked out.
 */
static const char pragmas_first[] = "PRAGMA locking_mode = EXCLUSIVE;"
                                    "PRAGMA temp_store = MEMORY;"
                                    "PRAGMA mmap_size = 0;"
                                    "PRAGMA trusted_schema = OFF;"
                                    "PRAGMA cell_size_check = ON;"
                                    "PRAGMA secure_delete = ON;"
                                    "PRAGMA synchronous = FULL;"
                                    "PRAGMA cache_size = -1024;";

/* Checkpoints of 2 MiB: a few milliseconds in the journal's thread, and a WAL that stays small. */
static const char pragmas_last[] = "PRAGMA wal_autocheckpoint = 512;"
                                   "PRAGMA journal_size_limit = 4194304;";

static const char make_schema[] =
    "BEGIN IMMEDIATE;" SCHEMA ";"
    "PRAGMA application_id = " NUMBER(APPLICATION) ";"
                                                   "PRAGMA user_version = " NUMBER(
                                                       VERSION) ";"
                                                                "COMMIT;";

struct sqlite_store {
	struct store base;
	sqlite3 *db;
	sqlite3_stmt *statements[STMT_COUNT];
};

static struct sqlite_store *sqlite_of(struct store *s)
{
	return (struct sqlite_store *)s;
}

/* What an I/O error was about. A limit on the size of files is a full disk to us. */
static kms_err io_err(sqlite3 *db)
{
	int e = sqlite3_system_errno(db);

	return e == ENOSPC || e == EDQUOT || e == EFBIG ? KMS_E_STORE_FULL : KMS_E_STORE_IO;
}

/* SQLite's results in our words; nobody else translates them. */
static kms_err sqlite_err(sqlite3 *db, int rc)
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

static kms_err run_text(sqlite3 *db, const char *sql)
{
	return sqlite_err(db, sqlite3_exec(db, sql, NULL, NULL, NULL));
}

static void statement_done(sqlite3_stmt **st)
{
	(void)sqlite3_finalize(*st);
}

/* Gives the first column of the first row of a query. */
static kms_err ask_number(sqlite3 *db, const char *sql, int64_t *out)
{
	AUTO(statement_done) sqlite3_stmt *st = NULL;

	TRY(sqlite_err(db, sqlite3_prepare_v2(db, sql, -1, &st, NULL)));
	int rc = sqlite3_step(st);
	TRY(sqlite_err(db, rc));
	if (rc != SQLITE_ROW)
		return KMS_E_STORE_CORRUPT;
	*out = sqlite3_column_int64(st, 0);
	return KMS_OK;
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

/* Whether closing copies the WAL into the file and removes it. */
static kms_err keep_wal(sqlite3 *db, bool keep)
{
	return sqlite_err(
	    db, sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, (int)keep, (int *)NULL));
}

/*
 * secure_delete is not enough: where SQLite spreads rows over neighbouring pages, it leaves copies
 * in the unused middle of a page, and what is deleted later is only wiped where it stands then.
 * VACUUM writes every page anew from the rows that are there; then the WAL is emptied.
 */
static kms_err purge(sqlite3 *db)
{
	TRY(run_text(db, "VACUUM"));
	return sqlite_err(
	    db, sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL));
}

static kms_err sqlite_purge(struct store *base)
{
	struct sqlite_store *s = sqlite_of(base);
	kms_err e = purge(s->db);

	/* The WAL that stays behind tells whoever opens next that this is still to be done. */
	if (e != KMS_OK)
		(void)keep_wal(s->db, true);
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

static const struct store_backend sqlite_backend = {
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

/* A new file is for its owner alone; SQLite gives the WAL the same mode. */
static kms_err make_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd >= 0) {
		(void)close(fd);
		return KMS_OK;
	}
	if (errno == EEXIST)
		return KMS_OK;
	return errno == ENOSPC || errno == EDQUOT ? KMS_E_STORE_FULL : KMS_E_STORE_IO;
}

/* A process that was killed leaves its WAL, and perhaps a purge that it had not done yet. */
static kms_err left_wal(const char *path, bool *out)
{
	char wal[PATH_ROOM];
	struct stat st;

	if (snprintf(wal, sizeof(wal), "%s-wal", path) >= (int)sizeof(wal))
		return KMS_E_STORE_IO;
	*out = stat(wal, &st) == 0 && st.st_size > 0;
	return KMS_OK;
}

static kms_err harden(sqlite3 *db)
{
	static const struct {
		int option, value;
	} options[] = {
		{ SQLITE_DBCONFIG_DEFENSIVE, 1 },
		{ SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0 },
		{ SQLITE_DBCONFIG_ENABLE_TRIGGER, 0 },
		{ SQLITE_DBCONFIG_ENABLE_VIEW, 0 },
	};

	(void)sqlite3_extended_result_codes(db, 1);
	(void)sqlite3_limit(db, SQLITE_LIMIT_LENGTH, STATEMENT_MAX);
	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		TRY(sqlite_err(
		    db, sqlite3_db_config(db, options[i].option, options[i].value, (int *)NULL)));
	return run_text(db, pragmas_first);
}

static kms_err use_wal(sqlite3 *db)
{
	AUTO(statement_done) sqlite3_stmt *st = NULL;

	TRY(sqlite_err(db, sqlite3_prepare_v2(db, "PRAGMA journal_mode = WAL", -1, &st, NULL)));
	TRY(sqlite_err(db, sqlite3_step(st)));
	const char *mode = (const char *)sqlite3_column_text(st, 0);
	return mode != NULL && strcmp(mode, "wal") == 0 ? KMS_OK : KMS_E_STORE_IO;
}

/* Finds out what the file is, and makes it ours if it is nothing yet. Writes to no other. */
static kms_err settle_schema(sqlite3 *db)
{
	int64_t application = 0, version = 0, things = 0, ours = 0;

	TRY(ask_number(db, "PRAGMA application_id", &application));
	TRY(ask_number(db, "PRAGMA user_version", &version));
	TRY(ask_number(db, "SELECT count(*) FROM sqlite_schema", &things));
	if (application == 0 && version == 0 && things == 0) {
		TRY(use_wal(db));
		return run_text(db, make_schema);
	}
	if (application != APPLICATION)
		return KMS_E_STORE_CORRUPT;
	if (version > VERSION)
		return KMS_E_STORE_NEWER;
	TRY(ask_number(db, "SELECT count(*) FROM sqlite_schema WHERE sql = '" SCHEMA "'", &ours));
	if (version != VERSION || things != 1 || ours != 1)
		return KMS_E_STORE_CORRUPT;
	return use_wal(db);
}

static kms_err prepare_all(struct sqlite_store *s)
{
	for (size_t i = 0; i < STMT_COUNT; i++)
		TRY(sqlite_err(s->db, sqlite3_prepare_v3(s->db, statements[i], -1,
		                          SQLITE_PREPARE_PERSISTENT, &s->statements[i], NULL)));
	return KMS_OK;
}

static kms_err set_up(struct sqlite_store *s, bool unfinished)
{
	uint8_t first;

	/* SQLite seeds its generator from a file when it is first asked. */
	sqlite3_randomness(sizeof(first), &first);
	TRY(keep_wal(s->db, true));
	TRY(harden(s->db));
	/* SQLite takes a file that it may not write for a read-only one without a word. */
	if (sqlite3_db_readonly(s->db, "main") != 0)
		return KMS_E_STORE_IO;
	TRY(settle_schema(s->db));
	TRY(run_text(s->db, pragmas_last));
	TRY(prepare_all(s));
	if (unfinished)
		TRY(purge(s->db));
	return keep_wal(s->db, false);
}

kms_err sqlite_store_open(const char *path, struct store **out)
{
	AUTO(store_close) struct store *base = NULL;
	bool unfinished = false;

	struct sqlite_store *s = calloc(1, sizeof(*s));
	if (s == NULL)
		return KMS_E_NO_MEMORY;
	s->base.backend = &sqlite_backend;
	base = &s->base;
	TRY(make_file(path));
	TRY(left_wal(path, &unfinished));
	TRY(sqlite_err(s->db,
	    sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL)));
	TRY(set_up(s, unfinished));
	*out = MOVE(base);
	return KMS_OK;
}
