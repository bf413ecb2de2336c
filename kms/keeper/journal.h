/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread that makes things durable: groups of audit records and batches of sealed rows, in
 * the order given. It sees only sealed bytes. A group that can't be written is tried again, the
 * same bytes at the same place, until it is; a batch that fails is not.
 */
#pragma once

#include "kms/audit/trail.h"
#include "kms/base/base.h"
#include "kms/store/rows.h"

enum journal_kind {
	JOURNAL_GROUP = 1, /* an audit group is on disk */
	JOURNAL_STUCK,     /* the audit group at hand failed with err; it is being tried again */
	JOURNAL_ROWS,      /* a batch was committed, or failed with err: outcome unknown */
	JOURNAL_STORE_CLOSED,
	JOURNAL_SNAPSHOT /* a copy of the store, or err */
};

/* What the loop is told. Owned by the taker; free with journal_done_free. */
struct journal_done {
	enum journal_kind kind;
	uint64_t number; /* as given to journal_put_* */
	kms_err err;
	struct store *copy; /* JOURNAL_SNAPSHOT; NULL with an error. MOVE it out, or it is closed */
};
/* Takes NULL. */
void journal_done_free(struct journal_done **d);

struct journal;

/* Starts the thread. dir_fd: the log's folder, borrowed. segment_size: bytes. */
MUST_USE kms_err journal_new(int dir_fd, uint32_t segment_size, struct journal **out);
/* Writes what was given, closes the store, ends the thread. A stuck group is given up. */
void journal_free(struct journal **j);
/* Each takes what it is given, also when it fails (KMS_E_TOO_MANY, KMS_E_NO_MEMORY). */
MUST_USE kms_err journal_put_group(struct journal *j, struct trail_group *g, uint64_t number);
MUST_USE kms_err journal_put_rows(struct journal *j, struct row_batch *b, uint64_t number);
MUST_USE kms_err journal_give_store(struct journal *j, struct store *s);
MUST_USE kms_err journal_close_store(struct journal *j);
/* A copy of the store as it is behind all that was given before. */
MUST_USE kms_err journal_copy_store(struct journal *j);
/* What has been done since; NULL for nothing. */
struct journal_done *journal_take(struct journal *j);
/* Readable while there is something to take. */
int journal_fd(const struct journal *j);
