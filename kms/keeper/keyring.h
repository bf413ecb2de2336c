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
	struct secret *backup_key; /* backups, when they come */
};

/* Wipes. */
void keyring_done(struct keyring *r);
/* Fresh random keys. */
MUST_USE kms_err keyring_make(struct keyring *out);
MUST_USE kms_err keyring_encode(
    const struct keyring *r, const struct secret *root, struct bytes instance, struct buf *out);
/* KMS_E_STORE_CORRUPT where it is not this root's or was changed, KMS_E_STORE_NEWER. */
MUST_USE kms_err keyring_decode(
    struct bytes row, const struct secret *root, struct bytes instance, struct keyring *out);
