/* SPDX-License-Identifier: Apache-2.0 */
/* The checking half of ecdsa.h; all that kms-verify has of it. */
#include "kms/crypto/ecdsa.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "kms/crypto/ecdsa_private.h"
#include "kms/crypto/ossl.h"

/* SEQUENCE { SEQUENCE { id-ecPublicKey, prime256v1 }, BIT STRING { 04 … */
const uint8_t ecdsa_spki_head[ECDSA_SPKI_HEAD_LEN] = { 0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a,
	0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01,
	0x07, 0x03, 0x42, 0x00 };

struct ecdsa_public {
	EVP_PKEY *key;
};

static void digest_done(EVP_MD_CTX **c)
{
	EVP_MD_CTX_free(*c);
}

void ecdsa_public_free(struct ecdsa_public **k)
{
	if (*k == NULL)
		return;
	EVP_PKEY_free((*k)->key);
	free(*k);
	*k = NULL;
}

kms_err ecdsa_public_new(struct bytes spki, struct ecdsa_public **out)
{
	if (spki.n != ECDSA_SPKI_LEN ||
	    memcmp(spki.p, ecdsa_spki_head, sizeof(ecdsa_spki_head)) != 0 ||
	    spki.p[ECDSA_SPKI_HEAD_LEN] != ECDSA_POINT_WHOLE)
		return KMS_E_BAD_REQUEST;
	AUTO(ecdsa_public_free) struct ecdsa_public *k = calloc(1, sizeof(*k));
	if (k == NULL)
		return KMS_E_NO_MEMORY;
	const uint8_t *p = spki.p;
	k->key = d2i_PUBKEY(NULL, &p, (long)spki.n);
	if (k->key == NULL)
		return ossl_failed(KMS_E_BAD_REQUEST);
	*out = MOVE(k);
	return KMS_OK;
}

kms_err ecdsa_verify(const struct ecdsa_public *k, struct bytes message, struct bytes sig)
{
	AUTO(digest_done) EVP_MD_CTX *c = EVP_MD_CTX_new();

	if (c == NULL || EVP_DigestVerifyInit_ex(c, NULL, "SHA256", NULL, NULL, k->key, NULL) != 1)
		return ossl_failed(KMS_E_NO_MEMORY);
	if (EVP_DigestVerify(c, sig.p, sig.n, message.p, message.n) != 1)
		return ossl_failed(KMS_E_INTEGRITY);
	return KMS_OK;
}
