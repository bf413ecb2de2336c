/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The signing half of ecdsa.h: for an instance whose slots can't sign. The key is never stored: it
 * follows from bits that are. OpenSSL holds it in memory of its own while we have it.
 */
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>
#include <openssl/param_build.h>
#include <stdlib.h>
#include <string.h>

#include "kms/crypto/ecdsa_private.h"
#include "kms/crypto/kdf.h"
#include "kms/crypto/ossl.h"

static const char label[] = "kmsd ecdsa p-256 v1";

struct ecdsa_private {
	EVP_PKEY *key;
	uint8_t point[ECDSA_POINT_LEN];
};

/* What it takes to make one. */
struct making {
	EC_GROUP *group;
	EC_POINT *point;
	BIGNUM *scalar;
	OSSL_PARAM_BLD *builder;
	OSSL_PARAM *params;
	EVP_PKEY_CTX *context;
};

static void making_done(struct making *m)
{
	EVP_PKEY_CTX_free(m->context);
	OSSL_PARAM_free(m->params);
	OSSL_PARAM_BLD_free(m->builder);
	BN_clear_free(m->scalar);
	EC_POINT_free(m->point);
	EC_GROUP_free(m->group);
}

static void digest_done(EVP_MD_CTX **c)
{
	EVP_MD_CTX_free(*c);
}

void ecdsa_private_free(struct ecdsa_private **k)
{
	if (*k == NULL)
		return;
	/* OpenSSL clears the scalar as it frees it. */
	EVP_PKEY_free((*k)->key);
	free(*k);
	*k = NULL;
}

/* One of 2^32 strings of bits is no scalar of this curve: then the next one that follows from it. */
static kms_err find_scalar(struct making *m, const struct secret *bits)
{
	AUTO(secret_free) struct secret *now = NULL;

	TRY(kdf_label(bits, label, &now));
	for (;;) {
		struct bytes b = secret_bytes(now);
		if (BN_bin2bn(b.p, (int)b.n, m->scalar) == NULL)
			return ossl_failed(KMS_E_NO_MEMORY);
		if (!BN_is_zero(m->scalar) && BN_cmp(m->scalar, EC_GROUP_get0_order(m->group)) < 0)
			return KMS_OK;
		struct secret *next = NULL;
		TRY(kdf_label(now, label, &next));
		secret_free(&now);
		now = next;
	}
}

static kms_err find_point(struct making *m, const struct secret *bits, uint8_t *out)
{
	m->group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
	m->scalar = BN_secure_new();
	if (m->group == NULL || m->scalar == NULL)
		return ossl_failed(KMS_E_NO_MEMORY);
	m->point = EC_POINT_new(m->group);
	if (m->point == NULL)
		return ossl_failed(KMS_E_NO_MEMORY);
	BN_set_flags(m->scalar, BN_FLG_CONSTTIME);
	TRY(find_scalar(m, bits));
	TRY(ossl_check(EC_POINT_mul(m->group, m->point, m->scalar, NULL, NULL, NULL)));
	size_t n = EC_POINT_point2oct(
	    m->group, m->point, POINT_CONVERSION_UNCOMPRESSED, out, ECDSA_POINT_LEN, NULL);
	return n == ECDSA_POINT_LEN ? KMS_OK : ossl_failed(KMS_E_CRYPTO);
}

static kms_err make_key(struct making *m, struct ecdsa_private *k)
{
	m->builder = OSSL_PARAM_BLD_new();
	m->context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	if (m->builder == NULL || m->context == NULL)
		return ossl_failed(KMS_E_NO_MEMORY);
	TRY(ossl_check(OSSL_PARAM_BLD_push_utf8_string(
	    m->builder, OSSL_PKEY_PARAM_GROUP_NAME, SN_X9_62_prime256v1, 0)));
	TRY(ossl_check(OSSL_PARAM_BLD_push_octet_string(
	    m->builder, OSSL_PKEY_PARAM_PUB_KEY, k->point, sizeof(k->point))));
	TRY(ossl_check(OSSL_PARAM_BLD_push_BN(m->builder, OSSL_PKEY_PARAM_PRIV_KEY, m->scalar)));
	m->params = OSSL_PARAM_BLD_to_param(m->builder);
	if (m->params == NULL)
		return ossl_failed(KMS_E_NO_MEMORY);
	TRY(ossl_check(EVP_PKEY_fromdata_init(m->context)));
	return ossl_check(EVP_PKEY_fromdata(m->context, &k->key, EVP_PKEY_KEYPAIR, m->params));
}

kms_err ecdsa_private_new(const struct secret *bits, struct ecdsa_private **out)
{
	AUTO(ecdsa_private_free) struct ecdsa_private *k = calloc(1, sizeof(*k));
	AUTO(making_done) struct making m = { .group = NULL };

	if (k == NULL)
		return KMS_E_NO_MEMORY;
	TRY(find_point(&m, bits, k->point));
	TRY(make_key(&m, k));
	*out = MOVE(k);
	return KMS_OK;
}

void ecdsa_private_spki(const struct ecdsa_private *k, uint8_t out[static ECDSA_SPKI_LEN])
{
	memcpy(out, ecdsa_spki_head, ECDSA_SPKI_HEAD_LEN);
	memcpy(out + ECDSA_SPKI_HEAD_LEN, k->point, ECDSA_POINT_LEN);
}

kms_err ecdsa_sign(const struct ecdsa_private *k, struct bytes message, struct buf *out)
{
	AUTO(digest_done) EVP_MD_CTX *c = EVP_MD_CTX_new();
	size_t n = ECDSA_SIG_MAX;

	if (c == NULL)
		return ossl_failed(KMS_E_NO_MEMORY);
	TRY(buf_reserve(out, n));
	TRY(ossl_check(EVP_DigestSignInit_ex(c, NULL, "SHA256", NULL, NULL, k->key, NULL)));
	TRY(ossl_check(EVP_DigestSign(c, out->p + out->n, &n, message.p, message.n)));
	out->n += n;
	return KMS_OK;
}
