/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Audit records on their way to disk, and the answers that wait for them. Records made since the
 * last hand-over form a group; an answer carries its group's number and leaves when the journal
 * says that the group is on disk. No log, no service: while it can't be written, answers turn into
 * refusals by name within two seconds, and what was recorded is written when it heals.
 */
#pragma once

#include "kms/audit/trail.h"
#include "kms/base/base.h"
#include "kms/keeper/journal.h"
#include "kms/keeper/keeper.h"

struct turn;

/* Recovers the log's end and makes the trail. Errors as trail_recover's. */
MUST_USE kms_err turn_new(struct keeper *k, struct turn **out);
void turn_free(struct turn **t);
/* From unseal on: MACs on groups, tags in records. NULL: sealed; the group at hand is closed first. */
MUST_USE kms_err turn_set_key(struct keeper *k, const struct secret *audit_key);

/* Numbers and appends a record to the group being gathered. The keeper's boot id and time are filled in. */
MUST_USE kms_err turn_record(struct keeper *k, struct record *r);
/* The number of the group being gathered. */
uint64_t turn_group(const struct turn *t);
/* KMS_OK, or why nothing can be answered now. */
kms_err turn_state(const struct turn *t);
/* Records on disk. */
uint64_t turn_durable(const struct turn *t);
/* Size of the log behind the last record that is not of reading the log itself. */
uint64_t turn_news(const struct turn *t);
/*
 * Size and root of the log as it is on disk: what the store may say of it. A store that spoke of
 * records on their way would look newer than the log after a crash.
 */
void turn_root(const struct turn *t, uint64_t *out_size, uint8_t out[static 32]);
/* HMAC under the audit key; zeros while sealed. label parts them. */
MUST_USE kms_err turn_tag(
    struct turn *t, const char *label, struct bytes what, uint8_t out[static 32]);

/* The log is another instance's from now on: k->instance. */
void turn_set_instance(struct keeper *k);

/* Hands the group over if enough has gathered and the journal has room; often, while requests are read. */
void turn_push(struct keeper *k);
/* At the end of each turn of the loop: hands over whatever there is. */
void turn_end(struct keeper *k);
/* Hands the group at hand over ahead of what is given to the journal next. Once at a time. */
void turn_flush(struct keeper *k);
/* At a stop, after the last record: hands over what is left, room or not. */
void turn_close(struct keeper *k);
/* The journal's word about a group. */
void turn_done(struct keeper *k, const struct journal_done *d);
/* Four times a second: notices a disk that hangs. */
void turn_watch(struct keeper *k);
