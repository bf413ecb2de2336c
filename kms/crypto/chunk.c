/* SPDX-License-Identifier: Apache-2.0 */
/* Derivation and nonces of chunked encryption, on our HKDF and AES-256-GCM. */
#include "kms/crypto/chunk.h"

#include <stdlib.h>
#include <string.h>

#include "kms/base/buf.h"
#include "kms/crypto/aead.h"
#include "kms/crypto/kdf.h"

enum {
	NONCE_LEN = 12
};

/* The name's own zero byte ends it in the info string. */
static const char scheme[] = "c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM";

struct chunk {
	struct aead *aead;
	uint8_t nonce[NONCE_LEN];
	uint8_t commitment[CHUNK_COMMITMENT_LEN];
};

struct derived {
	uint8_t key[KEY_BITS_LEN];
	uint8_t nonce[NONCE_LEN];
	uint8_t commitment[CHUNK_COMMITMENT_LEN];
};

static_assert(sizeof(struct derived) == KEY_BITS_LEN + NONCE_LEN + CHUNK_COMMITMENT_LEN,
    "derived bytes lie one after the other");

static void derived_wipe(struct derived *d)
{
	wipe(d, sizeof(*d));
}

static kms_err derive(const uint8_t key[static KEY_BITS_LEN],
    const uint8_t salt[static CHUNK_SALT_LEN], struct bytes context, struct derived *out)
{
	AUTO(buf_done) struct buf info = { .p = NULL };

	TRY(buf_put(&info, bytes_of(scheme, sizeof(scheme))));
	TRY(buf_put(&info, bytes_of(salt, CHUNK_SALT_LEN)));
	TRY(buf_put(&info, context));
	return kdf_expand_sha512(
	    bytes_of(key, KEY_BITS_LEN), buf_bytes(&info), sizeof(*out), (uint8_t *)out);
}

kms_err chunk_new(const uint8_t key[static KEY_BITS_LEN], const uint8_t salt[static CHUNK_SALT_LEN],
    struct bytes context, struct chunk **out)
{
	AUTO(derived_wipe) struct derived d;
	AUTO(chunk_free) struct chunk *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return KMS_E_NO_MEMORY;
	TRY(derive(key, salt, context, &d));
	TRY(aead_new_clear(ALG_AES_256_GCM, d.key, &c->aead));
	memcpy(c->nonce, d.nonce, sizeof(c->nonce));
	memcpy(c->commitment, d.commitment, sizeof(c->commitment));
	*out = MOVE(c);
	return KMS_OK;
}

void chunk_free(struct chunk **c)
{
	struct chunk *x = MOVE(*c);

	if (x == NULL)
		return;
	aead_free(&x->aead);
	wipe(x, sizeof(*x));
	free(x);
}

const uint8_t *chunk_commitment(const struct chunk *c)
{
	return c->commitment;
}

/* The base nonce xor the number, big-endian, at its end. */
static kms_err nonce_of(const struct chunk *c, uint64_t i, uint8_t out[static NONCE_LEN])
{
	if (i >= CHUNK_COUNT_MAX)
		return KMS_E_TOO_MANY;

	memcpy(out, c->nonce, NONCE_LEN);
	for (size_t k = NONCE_LEN; i > 0; i >>= 8)
		out[--k] ^= (uint8_t)i;
	return KMS_OK;
}

kms_err chunk_seal(struct chunk *c, uint64_t i, struct bytes plain, uint8_t *out)
{
	static const struct bytes no_aad[2];
	uint8_t nonce[NONCE_LEN];

	TRY(nonce_of(c, i, nonce));
	return aead_seal(c->aead, nonce, no_aad, plain, out);
}

kms_err chunk_open(struct chunk *c, uint64_t i, struct bytes sealed, uint8_t *out)
{
	static const struct bytes no_aad[2];
	uint8_t nonce[NONCE_LEN];

	if (sealed.n < CHUNK_TAG)
		return KMS_E_INTEGRITY;
	TRY(nonce_of(c, i, nonce));
	return aead_open(c->aead, nonce, no_aad, sealed, out);
}
