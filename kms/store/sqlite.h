/* SPDX-License-Identifier: Apache-2.0 */
/* The embedded backend: SQLite in WAL mode, synchronous FULL, secure_delete. Only sqlite*.c name it. */
#pragma once

#include "kms/store/store.h"

/*
 * Opens or makes `path` (an absolute file name; its folder exists). Keeps one connection with an
 * exclusive lock and opens WAL and shared memory at once, so that a sandbox may close behind it.
 * KMS_E_STORE_NEWER for a newer schema, which is left untouched; KMS_E_STORE_LOCKED while
 * another process has it; KMS_E_STORE_CORRUPT, KMS_E_STORE_IO, KMS_E_STORE_FULL. Writes and
 * flushes once, and purges where a killed process left its WAL.
 */
MUST_USE kms_err sqlite_store_open(const char *path, struct store **out);
/*
 * A copy of what such a store holds now, as a store that can be read alone: the rest is refused with
 * KMS_E_INTERNAL. Called by the thread that has `from`, which waits for as long as its pages take to
 * be copied (some ms for 10,000 keys); the copy may go to any other thread, and outlive `from`. It
 * takes as much memory as the store's file. A page that the disk did not give is zeros in it: only
 * what rows_load has proved is all of it. KMS_E_NO_MEMORY, KMS_E_STORE_IO, KMS_E_STORE_CORRUPT.
 */
MUST_USE kms_err sqlite_store_snapshot(struct store *from, struct store **out);
