/* SPDX-License-Identifier: Apache-2.0 */
/* Between shares.c, which reads and opens, and shares_make.c, which makes. */
#pragma once

#include "kms/crypto/aead.h"
#include "kms/crypto/hash.h"
#include "kms/seal/shares.h"

enum {
	SHARES_HEAD_LEN = 3 + SHARE_SET_LEN, /* version, k, n, set id */
	SHARES_NONCE_LEN = 24,
	SHARES_ROOT_LEN = 32,
	SHARES_SEALED_LEN = SHARES_ROOT_LEN + AEAD_TAG_LEN,
	SHARES_COMMITMENT_LEN = SHA256_LEN
};

/* A blob's parts; borrows it. */
struct shares_parts {
	uint8_t k, n;
	struct bytes head, nonce, sealed, commitment, checks;
};

/* The key that seals the root, expanded. */
MUST_USE kms_err shares_key(const struct secret *shared, struct aead **out);
/*
 * HMAC of the instance and of all the blob but the commitment itself, under a key derived from the
 * shared secret: it commits to that secret, which AES-GCM alone does not.
 */
MUST_USE kms_err shares_commit(const struct secret *shared, const struct shares_parts *p,
    const uint8_t instance[static INSTANCE_ID_LEN], uint8_t out[static SHARES_COMMITMENT_LEN]);
/* What the blob knows of a share's value, which has 256 random bits: it can't be guessed from it. */
MUST_USE kms_err shares_check_value(
    struct bytes head, const struct share *s, uint8_t out[static SHARE_CHECK_LEN]);
