/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The head of a backup, and the keys of backups. The head holds the ways to the backup key: slots,
 * and the keyring that their root opens. It can be read without a key, and is proved with one.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/base/buf.h"
#include "kms/base/secret.h"
#include "kms/store/rows.h"

enum {
	ARCHIVE_FORMAT = 1,
	ARCHIVE_ID_LEN = 16,
	ARCHIVE_SLOTS_MAX = 16,
	ARCHIVE_STORE_KEY_LEN = 24 + 32 + 16, /* nonce, store key, tag */
	ARCHIVE_DOOR_MAX = 8192               /* bytes of a slot, and of the keyring */
};

/* What a backup says of itself. */
struct archive_about {
	uint8_t id[ARCHIVE_ID_LEN];
	uint8_t instance[INSTANCE_ID_LEN];
	uint32_t schema; /* of the store: STORE_SCHEMA */
	uint64_t created_us;
	uint64_t expires_us; /* 0: never */
	struct epoch epoch;
	uint8_t set_digest[SET_HASH_LEN]; /* as rows_digest gives it */
	uint64_t rows;                    /* that of the epoch included */
	/* The store key of these rows under the backup key, opaque here: a store may get another. */
	uint8_t store_key[ARCHIVE_STORE_KEY_LEN];
};

/* The ways to the backup key, as their rows stand in the store. Borrowed. */
struct archive_doors {
	struct bytes slots[ARCHIVE_SLOTS_MAX];
	size_t slot_n;
	struct bytes keyring;
};

struct archive_head {
	struct archive_about about;
	struct archive_doors doors; /* in raw */
	struct buf raw;             /* private */
};
void archive_head_done(struct archive_head *h);
/*
 * Reads the head of a file that anybody may have made: nothing in it is proved. KMS_E_NOT_A_BACKUP,
 * KMS_E_NEWER_FORMAT, KMS_E_BACKUP_DAMAGED. The descriptor's offset is neither used nor moved. Any
 * thread.
 */
MUST_USE kms_err archive_read_head(int fd, struct archive_head *out);

/* What opens backups, without the backup key: `AUTO(archive_keys_wipe) struct archive_keys k;`. */
struct archive_keys {
	struct key256 head, body;
};
/* Any thread. */
void archive_keys_wipe(struct archive_keys *k);
/* In the loop, which owns the backup key; a copy goes to the thread that writes or reads. */
MUST_USE kms_err archive_keys_derive(const struct secret *backup_key, struct archive_keys *out);
/* Whether the head is of these keys, by its MAC. KMS_E_BACKUP_DAMAGED. Any thread. */
MUST_USE kms_err archive_head_prove(const struct archive_head *h, const struct archive_keys *keys);
