/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A slot: one way to open the root, as it stands in the store, readable while sealed. Its check
 * value, under a key derived from the root, proves after opening that nobody changed it and
 * that the root is the right one. Pure.
 *   "KMSL" | format 1 | flags 3 | slot id 16 | instance 16 | created 8 | kind var | name var | blob var | check 32
 */
#pragma once

#include "kms/base/base.h"
#include "kms/base/buf.h"
#include "kms/base/secret.h"
#include "kms/base/types.h"
#include "kms/seal/sealer.h"

enum {
	SLOT_FORMAT = 1,
	SLOT_CHECK_LEN = 32
};

/* The kind that people open with shares; every other is a sealer's name. */
extern const char slot_shares[];

struct slot {
	uint8_t id[16];
	uint8_t instance[INSTANCE_ID_LEN];
	uint64_t created_us;
	struct bytes kind; /* "tpm" */
	struct bytes name; /* a name; "tpm" by default */
	struct bytes blob;
	uint8_t check[SLOT_CHECK_LEN];
};

/* Computes the check value and appends the whole. */
MUST_USE kms_err slot_encode(struct slot *s, const struct secret *root, struct buf *out);
/* Strict; borrows in. KMS_E_STORE_CORRUPT, KMS_E_NEWER_FORMAT. Nothing is proved yet. */
MUST_USE kms_err slot_decode(struct bytes in, struct slot *out);
/* KMS_E_INTEGRITY if this root and these bytes don't belong together. */
MUST_USE kms_err slot_prove(struct bytes in, const struct secret *root);
