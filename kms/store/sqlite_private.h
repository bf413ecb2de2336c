/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by sqlite*.c alone: a connection and its statements. */
#pragma once

#include <sqlite3.h>

#include "kms/store/sqlite.h"

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

struct sqlite_store {
	struct store base;
	sqlite3 *db;
	sqlite3_stmt *statements[STMT_COUNT];
};

/* What the connection does once it is open. */
extern const struct store_backend sqlite_backend;

/* SQLite's results in our words; nobody else translates them. */
MUST_USE kms_err sqlite_err(sqlite3 *db, int rc);
/* Runs one or more statements whose rows nobody wants. */
MUST_USE kms_err sqlite_run(sqlite3 *db, const char *sql);
/* For a file that others may have written to: nothing in it runs, and sizes are bounded. */
MUST_USE kms_err sqlite_harden(sqlite3 *db);
MUST_USE kms_err sqlite_prepare(struct sqlite_store *s, enum statement which);
/* Nothing that was deleted stays in the files. */
MUST_USE kms_err sqlite_clean(sqlite3 *db);
/* Whether closing leaves the WAL as it is, or copies it into the file and removes it. */
void sqlite_keep_wal(sqlite3 *db, bool keep);
