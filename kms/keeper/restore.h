/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Restoring a backup into an empty store: its head gives the ways to open its root, people or
 * hardware open it as they would open any, and only then the rows are put back. What the audit log
 * says was destroyed since is destroyed before anybody is served.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/keeper/keeper.h"
#include "kms/store/store.h"

struct restore;

/* Takes NULL. */
void restore_free(struct restore **r);
/* The name of the backup that the next opening restores; empty for none. */
struct bytes restore_name(const struct root *r);
/* The store is open and empty: its slots and keyring are those of the backup's head. */
MUST_USE kms_err restore_take_doors(struct keeper *k);
/*
 * With the working keys: fills the empty store with the backup's rows. KMS_E_BACKUP_DAMAGED and what
 * the store says; then nothing was written.
 */
MUST_USE kms_err restore_fill_store(struct keeper *k);
/* Whether the log here is the one that the store knew when this epoch row was written. */
bool restore_knows_log(const struct keeper *k, const struct epoch *e);
/*
 * The keys are in memory and not yet served: applies what the log holds beyond the backup. Then
 * restore_stage puts into a batch what differs from the backup's rows, present slots included.
 */
MUST_USE kms_err restore_apply_log(struct keeper *k);
MUST_USE kms_err restore_stage(struct keeper *k, struct row_batch *b);
