/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A restore writes the store twice: first the rows of the backup, then, when the log and the counter
 * have been looked at, what an operator accepts by it. A mark in the store's folder tells a store
 * that stands between the two from one that was changed later: it names the epoch row of the backup,
 * which no later change leaves as it is. What stands between is taken back at the next opening, so
 * that a crash leaves a store with nothing or with all of it.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/store/store.h"

/* Before the rows of `backup` are written into the store of this folder. KMS_E_STORE_IO, _FULL. */
MUST_USE kms_err restore_mark_put(const char *folder, struct store *backup);
/*
 * On opening: empties a store that a restore left half-way, then the mark goes. *out_undone says
 * whether it was one. KMS_E_STORE_IO and what the store fails with.
 */
MUST_USE kms_err restore_mark_check(const char *folder, struct store *s, bool *out_undone);
