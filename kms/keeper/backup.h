/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backups: one file each in a folder, made while kmsd serves, when asked and by schedule. The
 * journal copies the store, a chore proves and writes it; the loop only starts them and hears how
 * they ended. After a change of slots or root the files there get the new ways to open them.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/keeper/journal.h"
#include "kms/keeper/keeper.h"
#include "kms/keeper/request.h"

struct backup;

MUST_USE kms_err backup_new(struct keeper *k, struct backup **out);
/* Takes NULL. A chore under way must have ended. */
void backup_free(struct backup **b);
/* The root is open, or its slots have changed: looks at the folder, renews what is old there. */
void backup_look(struct keeper *k);
/* The root is closed: what is under way ends without a word, its task with e. */
void backup_seal(struct keeper *k, kms_err e);
/* The journal copies the store now: groups wait for that, and not for a disk that hangs. */
bool backup_is_copying(const struct keeper *k);
/* The journal's copy of the store. */
void backup_copied(struct keeper *k, struct journal_done *d);
/* The status fields of backups and rehearsals. */
void backup_describe(const struct keeper *k, struct status_info *out);
/* The day when the last backup that may hold a version that is destroyed now expires, 0 if none does. */
uint64_t backup_holds_until(const struct keeper *k);
/* Puts that row into a batch, where there is one. As rows_put. */
MUST_USE kms_err backup_put_row(struct keeper *k, struct row_batch *b);
/* The outcome of the last rehearsal, as its row in META holds it. KMS_E_STORE_CORRUPT. */
MUST_USE kms_err backup_load(struct backup *b, struct bytes row);
