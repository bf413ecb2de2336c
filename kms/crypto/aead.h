/* SPDX-License-Identifier: Apache-2.0 */
/*
 * XAES-256-GCM (C2SP) and AES-256-GCM (SP 800-38D) under a key that is expanded once. Contexts
 * hold expanded keys: whoever caches them bounds how many, and frees with a wipe.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/base/secret.h"
#include "kms/base/types.h"

enum {
	AEAD_TAG_LEN = 16,
	AEAD_NONCE_MAX = 24,
	AEAD_DATA_MAX =
	    1 << 30 /* bytes of one plaintext, and of each part of the additional data */
};

struct aead;

/* Nonce bytes of an algorithm: 24, 12; 0 where there is none (aes-256-kwp). */
size_t aead_nonce_len(enum algorithm a);
/* Expands a key of 32 bytes. KMS_E_BAD_ALGORITHM, KMS_E_NO_MEMORY, KMS_E_CRYPTO. */
MUST_USE kms_err aead_new(enum algorithm a, const struct secret *key, struct aead **out);
/* As aead_new, from clear bytes on the caller's stack (32 of them). */
MUST_USE kms_err aead_new_clear(enum algorithm a, const uint8_t key[static 32], struct aead **out);
/* Wipes and frees. Takes NULL. */
void aead_free(struct aead **k);
/*
 * out gets plain.n + 16 bytes: ciphertext and tag; it may be where plain lies, but not overlap it
 * otherwise. `nonce` has aead_nonce_len bytes. aad is given in two parts so that nobody must join
 * them (the second may be empty). KMS_E_CRYPTO, also for anything over AEAD_DATA_MAX; then out
 * is wiped.
 */
MUST_USE kms_err aead_seal(struct aead *k, const uint8_t *nonce, const struct bytes aad[static 2],
    struct bytes plain, uint8_t *out);
/*
 * sealed: ciphertext and tag; out gets sealed.n - 16 bytes, wiped on failure; it may be where
 * sealed lies. KMS_E_INTEGRITY.
 */
MUST_USE kms_err aead_open(struct aead *k, const uint8_t *nonce, const struct bytes aad[static 2],
    struct bytes sealed, uint8_t *out);
