/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SHA-256 (FIPS 180-4) of the log's leaves and nodes, and HMAC (FIPS 198-1) on a state that is
 * keyed once and begun anew for each message.
 */
#include "kms/crypto/hash.h"

#include <openssl/core_names.h>
#include <openssl/params.h>
#include <pthread.h>

#include "kms/crypto/ossl.h"

/* Fetched by the first who hashes, the same for ever after: a fetch costs as much as a hash. */
static pthread_once_t sha256_once = PTHREAD_ONCE_INIT;
static EVP_MD *sha256;

static void fetch_sha256(void)
{
	sha256 = EVP_MD_fetch(NULL, "SHA2-256", NULL);
}

static void md_ctx_free(EVP_MD_CTX **c)
{
	EVP_MD_CTX_free(MOVE(*c));
}

kms_err hash_sha256(const struct bytes *parts, size_t n, uint8_t out[static SHA256_LEN])
{
	/* A fresh context costs 20 ns of 230; one kept for each thread would need an owner. */
	AUTO(md_ctx_free) EVP_MD_CTX *c = EVP_MD_CTX_new();

	if (c == NULL)
		return ossl_failed(KMS_E_NO_MEMORY);
	(void)pthread_once(&sha256_once, fetch_sha256);
	/* Without a digest (the fetch failed) this fails too. */
	TRY(ossl_check(EVP_DigestInit_ex2(c, sha256, NULL)));
	for (size_t i = 0; i < n; i++)
		TRY(ossl_check(EVP_DigestUpdate(c, parts[i].p, parts[i].n)));
	return ossl_check(EVP_DigestFinal_ex(c, out, NULL));
}

/* A struct mac is OpenSSL's keyed context itself; it needs nothing beside it. */
static EVP_MAC_CTX *ctx_of(struct mac *m)
{
	return (EVP_MAC_CTX *)m;
}

static void mac_release(EVP_MAC **m)
{
	EVP_MAC_free(*m);
}

static kms_err new_keyed(char *digest, struct bytes key, struct mac **out)
{
	AUTO(mac_release) EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	if (hmac == NULL)
		return ossl_failed(KMS_E_CRYPTO);
	AUTO(mac_free) struct mac *m = (struct mac *)EVP_MAC_CTX_new(hmac);
	if (m == NULL)
		return ossl_failed(KMS_E_NO_MEMORY);

	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_end(),
	};
	/* An empty key is one of zeros (FIPS 198-1 section 4), but NULL means "as before". */
	const uint8_t *k = key.n > 0 ? key.p : (const uint8_t *)"";
	TRY(ossl_check(EVP_MAC_init(ctx_of(m), k, key.n, params)));
	*out = MOVE(m);
	return KMS_OK;
}

kms_err mac_new_clear(struct bytes key, struct mac **out)
{
	char digest[] = "SHA2-256";

	return new_keyed(digest, key, out);
}

kms_err mac_new_sha512(struct bytes key, struct mac **out)
{
	char digest[] = "SHA2-512";

	return new_keyed(digest, key, out);
}

kms_err mac_new(const struct secret *key, struct mac **out)
{
	return mac_new_clear(secret_bytes(key), out);
}

void mac_free(struct mac **m)
{
	/* The provider clears key and pads as it frees them. */
	EVP_MAC_CTX_free(ctx_of(MOVE(*m)));
}

kms_err mac_compute(
    struct mac *m, const struct bytes *parts, size_t n, uint8_t out[static SHA256_LEN])
{
	EVP_MAC_CTX *c = ctx_of(m);
	size_t len;

	/* No key: the pads that were hashed before are used again. */
	TRY(ossl_check(EVP_MAC_init(c, NULL, 0, NULL)));
	for (size_t i = 0; i < n; i++)
		TRY(ossl_check(EVP_MAC_update(c, parts[i].p, parts[i].n)));
	return ossl_check(EVP_MAC_final(c, out, &len, SHA512_LEN));
}
