/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters of uses. They are reserved in blocks: a row says "at least so many", memory counts up
 * to it, and the next block is on its way to the disk long before the present one ends. A crash
 * over-counts, never under-counts. Nothing here waits: a request whose version has no reserve
 * yet is parked until the row is durable.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/keeper/keeper.h"

enum count_kind {
	COUNT_ISSUED,
	COUNT_WRAPPED,
	COUNT_UNWRAPPED
};

struct counts;

MUST_USE kms_err counts_new(struct counts **out);
void counts_free(struct counts **c);
/* The keys are gone: so are reservations under way. */
void counts_forget(struct counts *c);

/*
 * True if BATCH_MAX uses of every kind fit under what is durable. Asks for the next block where
 * it is time; when it has come, server_resume_parked is called.
 */
bool counts_ready(struct keeper *k, struct key *key, struct key_version *v);
/* Counts n uses of a version that is ready. KMS_E_USAGE_LIMIT beyond the algorithm's limit. */
MUST_USE kms_err counts_take(
    const struct key *key, struct key_version *v, enum count_kind kind, uint32_t n);
/* At the end of each turn: hands over what was asked for. */
void counts_push(struct keeper *k);
/* What its row says when all that is with the journal now has been written. */
struct key_counts counts_on_disk(
    const struct counts *c, const struct key *key, const struct key_version *v);
/* The first block of a version that is being made; the caller writes its row. */
struct key_counts counts_first_block(struct key_version *v);
/* Puts the row of one version's counters into a batch. */
MUST_USE kms_err counts_put_row(struct keeper *k, struct row_batch *b, const struct key *key,
    uint32_t version, const struct key_counts *upto);
/* Ends a batch that leaves the epoch as it is: the log's position, then the epoch row. */
MUST_USE kms_err counts_finish_batch(struct keeper *k, struct row_batch *b);
/* The journal's word about a batch of reservations. */
void counts_done(struct keeper *k, uint64_t number);
/* At a clean stop: a batch that writes what was really used. KMS_E_NOT_FOUND where there is nothing to write. */
MUST_USE kms_err counts_settle(struct keeper *k, struct row_batch **out);
/* The row's key of a version: id, version in big-endian so that rows sort. */
enum {
	VERSION_ROW_KEY_LEN = KEY_ID_LEN + 4
};
void version_row_key(
    const struct key *key, uint32_t version, uint8_t out[static VERSION_ROW_KEY_LEN]);
