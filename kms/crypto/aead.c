/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Authenticated encryption on contexts that are kept. XAES-256-GCM derives a key for each message
 * with two AES blocks (https://c2sp.org/XAES-256-GCM) and re-keys its GCM context; AES-256-GCM
 * only sets the nonce. Knows nothing of wrapped keys or contexts of requests.
 */
#include "kms/crypto/aead.h"

#include <stdlib.h>
#include <string.h>

#include "kms/crypto/ossl.h"

enum {
	BLOCK_LEN = 16,
	GCM_NONCE_LEN = 12,
	XAES_HALF = AEAD_NONCE_MAX - GCM_NONCE_LEN /* this half of the nonce derives the key */
};

struct aead {
	EVP_CIPHER_CTX *gcm;   /* XAES: holds the last message's key */
	EVP_CIPHER_CTX *block; /* AES-256-ECB under the key; NULL for AES-256-GCM */
	uint8_t k1[BLOCK_LEN]; /* CMAC's first subkey (SP 800-38B section 6.1) */
};

size_t aead_nonce_len(enum algorithm a)
{
	if (a == ALG_XAES_256_GCM)
		return AEAD_NONCE_MAX;
	return a == ALG_AES_256_GCM ? GCM_NONCE_LEN : 0;
}

/* Doubles a block in GF(2^128) without a branch on its bits (SP 800-38B section 6.1). */
static void block_double(uint8_t b[static BLOCK_LEN])
{
	uint8_t carry = (uint8_t)(0u - (b[0] >> 7)) & 0x87;

	for (size_t i = 0; i < BLOCK_LEN - 1; i++)
		b[i] = (uint8_t)(b[i] << 1 | b[i + 1] >> 7);
	b[BLOCK_LEN - 1] = (uint8_t)(b[BLOCK_LEN - 1] << 1 ^ carry);
}

static kms_err blocks_encrypt(struct aead *k, const uint8_t *in, size_t blocks, uint8_t *out)
{
	int n;

	return ossl_check(EVP_EncryptUpdate(k->block, out, &n, in, (int)(blocks * BLOCK_LEN)));
}

static kms_err expand_xaes(struct aead *k, const uint8_t *key)
{
	static const uint8_t zeros[BLOCK_LEN];

	TRY(ossl_cipher_new("AES-256-GCM", NULL, ENCRYPT, &k->gcm));
	TRY(ossl_cipher_new("AES-256-ECB", key, ENCRYPT, &k->block));
	TRY(ossl_check(EVP_CIPHER_CTX_set_padding(k->block, 0)));
	TRY(blocks_encrypt(k, zeros, 1, k->k1));
	block_double(k->k1);
	return KMS_OK;
}

kms_err aead_new_clear(enum algorithm a, const uint8_t key[static 32], struct aead **out)
{
	if (aead_nonce_len(a) == 0)
		return KMS_E_BAD_ALGORITHM;
	AUTO(aead_free) struct aead *k = calloc(1, sizeof(*k));
	if (k == NULL)
		return KMS_E_NO_MEMORY;

	if (a == ALG_XAES_256_GCM)
		TRY(expand_xaes(k, key));
	else
		TRY(ossl_cipher_new("AES-256-GCM", key, ENCRYPT, &k->gcm));
	*out = MOVE(k);
	return KMS_OK;
}

kms_err aead_new(enum algorithm a, const struct secret *key, struct aead **out)
{
	struct bytes b = secret_bytes(key);

	if (b.n != KEY_BITS_LEN)
		return KMS_E_BAD_ALGORITHM;
	return aead_new_clear(a, b.p, out);
}

void aead_free(struct aead **k)
{
	struct aead *x = MOVE(*k);

	if (x == NULL)
		return;
	ossl_cipher_free(&x->gcm);
	ossl_cipher_free(&x->block);
	wipe(x, sizeof(*x));
	free(x);
}

/* The key of one message: AES(K, M1 xor K1) and AES(K, M2 xor K1), side by side. */
static kms_err message_key(struct aead *k, const uint8_t *nonce, struct key256 *out)
{
	AUTO(key_wipe) struct key256 m = { .b = { 0, 1, 'X', 0 } };

	memcpy(m.b + 4, nonce, XAES_HALF);
	memcpy(m.b + BLOCK_LEN, m.b, BLOCK_LEN);
	m.b[BLOCK_LEN + 1] = 2;
	for (size_t i = 0; i < sizeof(m.b); i++)
		m.b[i] ^= k->k1[i % BLOCK_LEN];
	return blocks_encrypt(k, m.b, 2, out->b);
}

/* Readies the GCM context for one message: key, nonce, additional data. */
static kms_err begin(
    struct aead *k, const uint8_t *nonce, const struct bytes aad[static 2], enum direction d)
{
	AUTO(key_wipe) struct key256 sub;
	const uint8_t *key = NULL;
	int n;

	if (k->block != NULL) {
		TRY(message_key(k, nonce, &sub));
		key = sub.b;
		nonce += XAES_HALF;
	}
	TRY(ossl_check(EVP_CipherInit_ex(k->gcm, NULL, NULL, key, nonce, (int)d)));
	for (size_t i = 0; i < 2; i++) {
		if (aad[i].n > AEAD_DATA_MAX)
			return KMS_E_CRYPTO;
		/* OpenSSL takes an empty part for the end of the message. */
		if (aad[i].n > 0)
			TRY(ossl_check(
			    EVP_CipherUpdate(k->gcm, NULL, &n, aad[i].p, (int)aad[i].n)));
	}
	return KMS_OK;
}

static kms_err cipher_text(struct aead *k, struct bytes in, uint8_t *out)
{
	int n;

	if (in.n == 0)
		return KMS_OK;
	return ossl_check(EVP_CipherUpdate(k->gcm, out, &n, in.p, (int)in.n));
}

static kms_err seal(struct aead *k, const uint8_t *nonce, const struct bytes aad[static 2],
    struct bytes plain, uint8_t *out)
{
	uint8_t *tag = out + plain.n;
	int n;

	TRY(begin(k, nonce, aad, ENCRYPT));
	TRY(cipher_text(k, plain, out));
	TRY(ossl_check(EVP_CipherFinal_ex(k->gcm, tag, &n)));
	return ossl_check(EVP_CIPHER_CTX_ctrl(k->gcm, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_LEN, tag));
}

kms_err aead_seal(struct aead *k, const uint8_t *nonce, const struct bytes aad[static 2],
    struct bytes plain, uint8_t *out)
{
	if (plain.n > AEAD_DATA_MAX)
		return KMS_E_CRYPTO;
	kms_err e = seal(k, nonce, aad, plain, out);
	if (e != KMS_OK)
		wipe(out, plain.n + AEAD_TAG_LEN);
	return e;
}

static kms_err open_text(struct aead *k, const uint8_t *nonce, const struct bytes aad[static 2],
    struct bytes text, uint8_t *out)
{
	uint8_t tag[AEAD_TAG_LEN];
	int n;

	/* `out` may be where the tag lies, and OpenSSL wants it writable. */
	memcpy(tag, text.p + text.n, AEAD_TAG_LEN);
	TRY(begin(k, nonce, aad, DECRYPT));
	TRY(cipher_text(k, text, out));
	TRY(ossl_check(EVP_CIPHER_CTX_ctrl(k->gcm, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG_LEN, tag)));
	if (EVP_CipherFinal_ex(k->gcm, tag, &n) != 1)
		return ossl_failed(KMS_E_INTEGRITY);
	return KMS_OK;
}

kms_err aead_open(struct aead *k, const uint8_t *nonce, const struct bytes aad[static 2],
    struct bytes sealed, uint8_t *out)
{
	if (sealed.n < AEAD_TAG_LEN || sealed.n - AEAD_TAG_LEN > AEAD_DATA_MAX)
		return KMS_E_INTEGRITY;
	struct bytes text = bytes_of(sealed.p, sealed.n - AEAD_TAG_LEN);
	kms_err e = open_text(k, nonce, aad, text, out);
	/* What was decrypted before the tag was known to be wrong must not be seen. */
	if (e != KMS_OK)
		wipe(out, text.n);
	return e;
}
