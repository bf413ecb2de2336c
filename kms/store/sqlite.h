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
