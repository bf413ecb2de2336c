/* SPDX-License-Identifier: Apache-2.0 */
/*
 * C2SP chunked encryption (https://c2sp.org/chunked-encryption) with SHA-512 and AES-256-GCM,
 * which is called Cobblestone-256: one key and nonce for a whole file, chunks that can be opened
 * in any order, and a commitment to the key. Knows nothing of files or of what `context` is.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/base/secret.h"
#include "kms/base/types.h"

enum {
	CHUNK_SALT_LEN = 24,
	CHUNK_COMMITMENT_LEN = 32,
	CHUNK_HEAD_LEN = CHUNK_SALT_LEN + CHUNK_COMMITMENT_LEN, /* stand before the first chunk */
	CHUNK_PLAIN = 16384, /* bytes of every chunk but the last, which is shorter */
	CHUNK_TAG = 16,
	CHUNK_SEALED = CHUNK_PLAIN + CHUNK_TAG
};

/* Chunks are numbered below this; the last one may have the highest number. */
#define CHUNK_COUNT_MAX (UINT64_C(1) << 38)

struct chunk;

/* Derives everything from the input key, the salt and the context. KMS_E_NO_MEMORY, KMS_E_CRYPTO. */
MUST_USE kms_err chunk_new(const uint8_t key[static KEY_BITS_LEN],
    const uint8_t salt[static CHUNK_SALT_LEN], struct bytes context, struct chunk **out);
/* Wipes and frees. Takes NULL. */
void chunk_free(struct chunk **c);
/* CHUNK_COMMITMENT_LEN bytes, which stand after the salt. Borrowed. */
const uint8_t *chunk_commitment(const struct chunk *c);
/*
 * Seals chunk number i: out gets plain.n + CHUNK_TAG bytes. The caller keeps the rule of the last
 * chunk. KMS_E_TOO_MANY for a number beyond the most, KMS_E_CRYPTO.
 */
MUST_USE kms_err chunk_seal(struct chunk *c, uint64_t i, struct bytes plain, uint8_t *out);
/* Opens it: out gets sealed.n - CHUNK_TAG bytes, wiped on failure. KMS_E_INTEGRITY. */
MUST_USE kms_err chunk_open(struct chunk *c, uint64_t i, struct bytes sealed, uint8_t *out);
