/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AES key wrap, for interchange with other systems. Slow beside the aead (64 block operations for
 * a data key, one after the other), so nothing is cached here.
 */
#include "kms/crypto/kwp.h"

#include "kms/crypto/ossl.h"

enum {
	SEMIBLOCK = 8,
	PLAIN_SHORTEST = 2 * SEMIBLOCK, /* RFC 3394 section 2: n >= 2 */
	KEY_SIZES = 3                   /* 16, 24 and 32 bytes */
};

static const char *const names[][KEY_SIZES] = {
	[KWP_PADDED] = { "AES-128-WRAP-PAD", "AES-192-WRAP-PAD", "AES-256-WRAP-PAD" },
	[KWP_PLAIN] = { "AES-128-WRAP", "AES-192-WRAP", "AES-256-WRAP" },
};

size_t kwp_len(size_t n)
{
	return (n + SEMIBLOCK - 1) / SEMIBLOCK * SEMIBLOCK + SEMIBLOCK;
}

static bool plain_fits(enum kwp_kind kind, size_t n)
{
	if (kind == KWP_PADDED)
		return n >= 1 && n <= KWP_PLAIN_MAX;
	return n >= PLAIN_SHORTEST && n <= KWP_PLAIN_MAX && n % SEMIBLOCK == 0;
}

/* The inverse cipher has a key schedule of its own, so the direction goes with the key. */
static kms_err keyed(
    enum kwp_kind kind, const struct secret *key, enum direction d, EVP_CIPHER_CTX **out)
{
	struct bytes k = secret_bytes(key);
	size_t size = k.n / 8 - 2;

	if (k.n % 8 != 0 || size >= KEY_SIZES)
		return KMS_E_BAD_ALGORITHM;
	return ossl_cipher_new(names[kind][size], k.p, d, out);
}

kms_err kwp_wrap(enum kwp_kind kind, const struct secret *key, struct bytes plain, uint8_t *out)
{
	AUTO(ossl_cipher_free) EVP_CIPHER_CTX *c = NULL;
	int n;

	if (!plain_fits(kind, plain.n))
		return KMS_E_BAD_REQUEST;
	TRY(keyed(kind, key, ENCRYPT, &c));
	kms_err e = ossl_check(EVP_CipherUpdate(c, out, &n, plain.p, (int)plain.n));
	if (e != KMS_OK)
		wipe(out, kwp_len(plain.n));
	return e;
}

kms_err kwp_unwrap(
    enum kwp_kind kind, const struct secret *key, struct bytes wrapped, uint8_t *out, size_t *out_n)
{
	AUTO(ossl_cipher_free) EVP_CIPHER_CTX *c = NULL;
	int n;

	/* The padded form of 1 byte is as long as that of 8. */
	if (wrapped.n % SEMIBLOCK != 0 || wrapped.n < PLAIN_SHORTEST ||
	    !plain_fits(kind, wrapped.n - SEMIBLOCK))
		return KMS_E_INTEGRITY;
	TRY(keyed(kind, key, DECRYPT, &c));
	if (EVP_CipherUpdate(c, out, &n, wrapped.p, (int)wrapped.n) != 1) {
		wipe(out, wrapped.n);
		return ossl_failed(KMS_E_INTEGRITY);
	}
	*out_n = (size_t)n;
	return KMS_OK;
}
