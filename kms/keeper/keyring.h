/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The working keys that the root wraps: one row of the store, the only thing to write anew when
 * the root changes.
 *   format 1 | count 1 | count × (label var, nonce 24, sealed 48)
 * Each key is XAES-256-GCM under a key derived from the root, bound to its label and the instance.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/base/buf.h"
#include "kms/base/secret.h"
#include "kms/base/types.h"

struct keyring {
	struct secret *store_key;  /* rows of the store */
	struct secret *audit_key;  /* the log's MACs and tags */
	struct secret *backup_key; /* heads and bodies of backups; never changes */
};

/* Wipes. */
void keyring_done(struct keyring *r);
/* Fresh random keys. */
MUST_USE kms_err keyring_make(struct keyring *out);
MUST_USE kms_err keyring_encode(
    const struct keyring *r, const struct secret *root, struct bytes instance, struct buf *out);
enum {
	KEYRING_STORE_KEY_LEN = 24 + KEY_BITS_LEN + 16
};
/*
 * The store key under the backup key, for the head of a backup: its rows stay readable when the
 * store has got another key. Opening: KMS_E_BACKUP_DAMAGED.
 */
MUST_USE kms_err keyring_seal_store_key(
    const struct keyring *r, struct bytes instance, uint8_t out[static KEYRING_STORE_KEY_LEN]);
MUST_USE kms_err keyring_open_store_key(const struct keyring *r, struct bytes instance,
    const uint8_t sealed[static KEYRING_STORE_KEY_LEN], struct secret **out);
/* KMS_E_STORE_CORRUPT where it is not this root's or was changed, KMS_E_STORE_NEWER. */
MUST_USE kms_err keyring_decode(
    struct bytes row, const struct secret *root, struct bytes instance, struct keyring *out);
