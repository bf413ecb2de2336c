/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a chore does with the backup folder. Each has keys and rows of its own, made in the loop, and
 * touches nothing else that the loop has.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/keeper/keeper.h"
#include "kms/keeper/request.h"
#include "kms/keeper/root_store.h"
#include "kms/store/archive.h"

enum {
	BACKUPS_MAX = 4096 /* files of a folder that are looked at */
};

/* A file of the folder. */
struct backup_file {
	char name[NAME_MAX_LEN + 1];
	struct archive_head head;
	uint64_t size;
	kms_err e; /* of reading or renewing its head */
};

struct backup_job {
	struct task *task; /* NULL: the keeper's own */
	int dir_fd;
	uint64_t now_us, expires_us;
	char name[NAME_MAX_LEN + 1]; /* to be written or verified */
	uint8_t instance[INSTANCE_ID_LEN];
	struct store *copy; /* to be written */
	struct rows *rows;
	struct archive_keys keys;
	struct buf slots[ROOT_SLOTS_MAX], keyring; /* the ways to open the root now */
	size_t slot_n;
	bool renew; /* put them into the files, remove those that have expired */
	uint8_t store_key[ARCHIVE_STORE_KEY_LEN];
	struct archive_about about; /* of what was written */
	struct backup_file *files;  /* what is there, sorted by name */
	size_t file_n;
	size_t renewed, removed;
};

/* Without keys yet. KMS_E_NO_MEMORY. */
MUST_USE kms_err backup_job_new(struct keeper *k, struct backup_job **out);
/* Takes keys and doors as they are now, while the root is open. KMS_E_NO_MEMORY, KMS_E_CRYPTO. */
MUST_USE kms_err backup_job_take_keys(struct keeper *k, struct backup_job *j);
/* The rows of this file instead, which may be of a former store key. Any failure to read its head. */
MUST_USE kms_err backup_job_take_rows_of(struct keeper *k, struct backup_job *j, const char *name);
/* Takes NULL. */
void backup_job_free(struct backup_job **j);
/* The same for the chores thread, when the keeper ends. */
void backup_job_drop(void *arg);
/* The chores; arg is the job. Each ends with a look at the folder. */
kms_err backup_job_write(void *arg);
kms_err backup_job_look(void *arg);
/* Every row, the set hash, the epoch and each key's bits. */
kms_err backup_job_verify(void *arg);
/* Whether a file is of this instance and readable. */
bool backup_file_is_ours(const struct backup_job *j, const struct backup_file *f);
/* Whether what opens the root now opens this one. */
bool backup_file_is_current(const struct backup_job *j, const struct backup_file *f);
