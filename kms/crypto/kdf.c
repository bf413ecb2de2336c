/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HKDF on our HMAC states. Not OpenSSL's own: that one limits info to 2 KiB, and the header of
 * an encrypted file is longer when it carries a full context.
 */
#include "kms/crypto/kdf.h"

#include <string.h>

#include "kms/crypto/hash.h"

enum {
	STEPS_MAX = 255 /* RFC 5869 section 2.3: L <= 255 * HashLen */
};

static void block_wipe(uint8_t (*b)[SHA512_LEN])
{
	wipe(*b, sizeof(*b));
}

/* RFC 5869 section 2.3: T(i) = HMAC(PRK, T(i-1) | info | i). `prk` is keyed; len: of its hash. */
static kms_err expand(struct mac *prk, size_t len, struct bytes info, size_t n, uint8_t *out)
{
	AUTO(block_wipe) uint8_t t[SHA512_LEN];
	size_t before = 0; /* T(0) is empty */

	for (size_t done = 0, step = 1; done < n; step++) {
		uint8_t i = (uint8_t)step;
		struct bytes parts[] = { { t, before }, info, { &i, 1 } };
		TRY(mac_compute(prk, parts, ARRAY_LEN(parts), t));

		size_t take = n - done < len ? n - done : len;
		memcpy(out + done, t, take);
		done += take;
		before = len;
	}
	return KMS_OK;
}

static kms_err expand_or_wipe(
    struct mac *prk, size_t len, struct bytes info, size_t n, uint8_t *out)
{
	if (n > STEPS_MAX * len)
		return KMS_E_CRYPTO;
	kms_err e = expand(prk, len, info, n, out);
	if (e != KMS_OK)
		wipe(out, n);
	return e;
}

/* RFC 5869 section 2.2: PRK = HMAC(salt, IKM). An absent salt is an empty HMAC key. */
static kms_err extract(struct bytes salt, struct bytes key, struct mac **out_prk)
{
	AUTO(mac_free) struct mac *m = NULL;
	AUTO(key_wipe) struct key256 prk;

	TRY(mac_new_clear(salt, &m));
	TRY(mac_compute(m, &key, 1, prk.b));
	return mac_new_clear(bytes_of(prk.b, sizeof(prk.b)), out_prk);
}

kms_err kdf_sha256(struct bytes key, struct bytes salt, struct bytes info, size_t n, uint8_t *out)
{
	AUTO(mac_free) struct mac *prk = NULL;

	TRY(extract(salt, key, &prk));
	return expand_or_wipe(prk, SHA256_LEN, info, n, out);
}

kms_err kdf_derive(
    const struct secret *key, struct bytes salt, struct bytes info, size_t n, struct secret **out)
{
	AUTO(secret_free) struct secret *s = NULL;

	TRY(secret_new(n, &s));
	TRY(kdf_sha256(secret_bytes(key), salt, info, n, secret_fill(s)));
	*out = MOVE(s);
	return KMS_OK;
}

kms_err kdf_label(const struct secret *key, const char *label, struct secret **out)
{
	return kdf_derive(key, bytes_of(NULL, 0), bytes_of_str(label), KEY_BITS_LEN, out);
}

kms_err kdf_label_clear(const struct secret *key, const char *label, struct key256 *out)
{
	return kdf_sha256(
	    secret_bytes(key), bytes_of(NULL, 0), bytes_of_str(label), sizeof(out->b), out->b);
}

kms_err kdf_expand_sha512(struct bytes prk, struct bytes info, size_t n, uint8_t *out)
{
	AUTO(mac_free) struct mac *m = NULL;

	TRY(mac_new_sha512(prk, &m));
	return expand_or_wipe(m, SHA512_LEN, info, n, out);
}
