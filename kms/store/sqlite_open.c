/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening the store's file. It is taken as what it is, something that others may have written to:
 * nothing in it runs, its schema must be ours to the letter, sizes are bounded, and a file that is
 * refused is left as it was found.
 */
#include "kms/store/sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kms/store/sqlite_private.h"

/* Also what sqlite_schema must hold, to the letter. */
#define SCHEMA                                                                                     \
	"CREATE TABLE rows (kind INTEGER NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, "       \
	"PRIMARY KEY (kind, key)) STRICT, WITHOUT ROWID"

static const char make_schema[] = "BEGIN IMMEDIATE;" SCHEMA ";"
                                  "PRAGMA application_id = 1263358820;"
                                  "PRAGMA user_version = 1;"
                                  "COMMIT;";

static_assert(STORE_SCHEMA == 1, "as make_schema has it");

enum {
	APPLICATION = 1263358820,            /* "KMSd", as make_schema has it */
	STATEMENT_MAX = 2 * STORE_VALUE_MAX, /* bytes of a row or a statement that SQLite takes */
	PATH_ROOM = 4096
};

/* Prepared when the store is opened and kept: a commit then parses nothing. */
static const char *const statements[STMT_COUNT] = {
	[STMT_BEGIN] = "BEGIN IMMEDIATE",
	[STMT_COMMIT] = "COMMIT",
	[STMT_ROLLBACK] = "ROLLBACK",
	[STMT_PUT] = ("INSERT INTO rows VALUES (?1, ?2, ?3) "
	              "ON CONFLICT (kind, key) DO UPDATE SET value = excluded.value"),
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

/*
 * Changes nothing, but is written and flushed: the first flush of a WAL opens the folder, to make
 * its name durable, and a disk that can't be written is found out now.
 */
static const char first_write[] = "PRAGMA user_version = 1";

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

kms_err sqlite_harden(sqlite3 *db)
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
	return sqlite_run(db, pragmas_first);
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
		return sqlite_run(db, make_schema);
	}
	if (application != APPLICATION)
		return KMS_E_STORE_CORRUPT;
	if (version > STORE_SCHEMA)
		return KMS_E_STORE_NEWER;
	TRY(ask_number(db, "SELECT count(*) FROM sqlite_schema WHERE sql = '" SCHEMA "'", &ours));
	if (version != STORE_SCHEMA || things != 1 || ours != 1)
		return KMS_E_STORE_CORRUPT;
	return use_wal(db);
}

kms_err sqlite_prepare(struct sqlite_store *s, enum statement which)
{
	return sqlite_err(s->db, sqlite3_prepare_v3(s->db, statements[which], -1,
	                             SQLITE_PREPARE_PERSISTENT, &s->statements[which], NULL));
}

static kms_err prepare_all(struct sqlite_store *s)
{
	for (size_t i = 0; i < STMT_COUNT; i++)
		TRY(sqlite_prepare(s, (enum statement)i));
	return KMS_OK;
}

static kms_err set_up(struct sqlite_store *s, bool unfinished)
{
	uint8_t first;

	/* SQLite seeds its generator from a file when it is first asked. */
	sqlite3_randomness(sizeof(first), &first);
	sqlite_keep_wal(s->db, true);
	/* SQLite takes a file that it may not write for a read-only one without a word. */
	if (sqlite3_db_readonly(s->db, "main") != 0)
		return KMS_E_STORE_IO;
	TRY(sqlite_harden(s->db));
	TRY(settle_schema(s->db));
	TRY(sqlite_run(s->db, pragmas_last));
	TRY(prepare_all(s));
	TRY(sqlite_run(s->db, first_write));
	if (unfinished)
		TRY(sqlite_clean(s->db));
	sqlite_keep_wal(s->db, false);
	return KMS_OK;
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
	int rc = sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	TRY(sqlite_err(s->db, rc));
	TRY(set_up(s, unfinished));
	*out = MOVE(base);
	return KMS_OK;
}
