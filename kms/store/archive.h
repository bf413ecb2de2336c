/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backups: every row of a store in one encrypted file (docs/formats.md, "Backups"). The rows in its
 * body are still sealed under the store key, so that even who can open it sees no key.
 *
 * Nothing here uses a struct secret or a global: it may run in any thread that has archive keys and
 * a struct rows of its own, both made in the loop and handed over. A struct archive, and a store
 * that was made of it, belong to one thread at a time.
 *
 * Folders come as descriptors that can be flushed (O_RDONLY, no O_PATH). KMS_E_BACKUP_IO and
 * KMS_E_BACKUP_FULL are what the disk says; any call may give KMS_E_NO_MEMORY and KMS_E_CRYPTO.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/store/archive_head.h"
#include "kms/store/rows.h"
#include "kms/store/store.h"

/* What a backup is made of. */
struct archive_making {
	struct store *store; /* must not change meanwhile: a snapshot (sqlite.h) */
	struct rows *rows;   /* of this store's key */
	const struct archive_keys *keys;
	uint64_t created_us, expires_us;
	uint8_t store_key[ARCHIVE_STORE_KEY_LEN]; /* see struct archive_about */
};
/*
 * Checks every row of the store first (fails as rows_load), then writes a file of this name (as
 * name_valid says; KMS_E_BAD_NAME) that appears whole and flushed or not at all. KMS_E_EXISTS where
 * there is one, KMS_E_NOT_INITIALISED for a store without a keyring. What it holds itself is the
 * same for any number of rows: a chunk, and the doors.
 */
MUST_USE kms_err archive_write(
    const struct archive_making *m, int dir_fd, const char *name, struct archive_about *out);
/*
 * Puts other doors to the same backup key into a file, after the root has changed. The body stays
 * byte for byte; a crash or a failing disk leaves the old file or the new one, each of them whole.
 * KMS_E_NOT_FOUND; where the old head does not prove under these keys, fails as archive_open and
 * leaves the file as it was; KMS_E_BAD_REQUEST for doors that no head can hold.
 */
MUST_USE kms_err archive_reseal(int dir_fd, const char *name, const struct archive_keys *keys,
    const struct archive_doors *doors);
/* Removes what writers that were killed have left. Not while one is at work in this folder. */
MUST_USE kms_err archive_clean(int dir_fd);

struct archive;
/*
 * Proves the head, and that the body is of these keys. Borrows fd, which stays open until
 * archive_close. Fails as archive_read_head, and with KMS_E_BACKUP_DAMAGED for foreign keys.
 */
MUST_USE kms_err archive_open(int fd, const struct archive_keys *keys, struct archive **out);
/* Wipes and frees. Takes NULL. */
void archive_close(struct archive **a);
/* Borrowed from a. */
const struct archive_head *archive_head(const struct archive *a);
/*
 * The rows as a store that can be read alone, one scan or get at a time; the rest is refused with
 * KMS_E_INTERNAL. Opens the whole body first: damage is found now (KMS_E_BACKUP_DAMAGED), not in
 * the middle of a scan. Borrows a. A get reads through its table.
 */
MUST_USE kms_err archive_store_open(struct archive *a, struct store **out);
/*
 * rows_load on the backup, and that the head says the same as the rows. Fails as archive_store_open
 * and rows_load; then nothing that visit saw may be used.
 */
MUST_USE kms_err archive_verify(struct archive *a, struct rows *r, store_visit *visit, void *arg);
/*
 * Puts all rows into a store that has none but its id (KMS_E_STORE_NOT_EMPTY): in one transaction, byte for
 * byte. SLOT and ROOT are those of the day of the backup: where the head has been given other doors
 * since, the caller replaces them.
 */
MUST_USE kms_err archive_restore(struct archive *a, struct store *target);
