/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one place that turns OpenSSL's results into ours. An algorithm is fetched when a context is
 * made, never for a message: a fetch costs as much as half a wrap.
 */
#include "kms/crypto/ossl.h"

#include <openssl/err.h>

kms_err ossl_check(int rc)
{
	return rc == 1 ? KMS_OK : ossl_failed(KMS_E_CRYPTO);
}

kms_err ossl_failed(kms_err e)
{
	/* What stayed in the queue would be blamed on the next caller. */
	ERR_clear_error();
	return e;
}

static void cipher_release(EVP_CIPHER **c)
{
	EVP_CIPHER_free(*c);
}

kms_err ossl_cipher_new(
    const char *name, const uint8_t *key, enum direction d, EVP_CIPHER_CTX **out)
{
	AUTO(ossl_cipher_free) EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	AUTO(cipher_release) EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, name, NULL);

	if (c == NULL)
		return ossl_failed(KMS_E_NO_MEMORY);
	/* Older libraries refuse the wrap modes without it; the other modes don't look. */
	EVP_CIPHER_CTX_set_flags(c, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
	/* Without a cipher (the fetch failed) this fails too. */
	TRY(ossl_check(EVP_CipherInit_ex(c, cipher, NULL, key, NULL, (int)d)));
	*out = MOVE(c);
	return KMS_OK;
}

void ossl_cipher_free(EVP_CIPHER_CTX **c)
{
	/* The provider's part, which holds the key schedule, is cleared as it is freed. */
	EVP_CIPHER_CTX_free(MOVE(*c));
}
