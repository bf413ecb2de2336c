/* SPDX-License-Identifier: Apache-2.0 */
/* Where each field of a wrapped key lies. Opens and authenticates nothing: that is the ring's. */
#include "kms/keys/wrapped.h"

#include <string.h>

#include "kms/base/buf.h"
#include "kms/crypto/aead.h"
#include "kms/crypto/kwp.h"

enum {
	KWP_SHORTEST = 16 /* RFC 5649: two semiblocks */
};

static size_t sealed_len(enum algorithm a, size_t n)
{
	return a == ALG_AES_256_KWP ? kwp_len(n) : n + AEAD_TAG_LEN;
}

size_t wrapped_len(enum algorithm a, size_t n)
{
	return WRAPPED_HEAD_LEN + aead_nonce_len(a) + sealed_len(a, n);
}

void wrapped_put_head(
    enum algorithm a, struct key_id key, uint32_t version, uint8_t out[static WRAPPED_HEAD_LEN])
{
	out[0] = WRAPPED_FORMAT;
	out[1] = (uint8_t)a;
	store_u16(out + 2, 0);
	memcpy(out + 4, key.b, sizeof(key.b));
	store_u32(out + 4 + sizeof(key.b), version);
}

static bool sealed_ok(const struct wrapped *w)
{
	size_t n = w->sealed.n;

	if (n > sealed_len(w->algorithm, PLAINTEXT_MAX))
		return false;
	if (w->algorithm == ALG_AES_256_KWP)
		return n >= KWP_SHORTEST && n % 8 == 0;
	return n >= AEAD_TAG_LEN;
}

kms_err wrapped_decode(struct bytes blob, struct wrapped *out)
{
	struct wrapped w = { .algorithm = ALG_NONE };
	struct reader r = reader_of(blob);
	uint8_t format = read_u8(&r);
	uint8_t algorithm = read_u8(&r);
	uint16_t flags = read_u16(&r);

	if (format == WRAPPED_FORMAT_NEXT)
		return KMS_E_NEWER_FORMAT;
	if (format != WRAPPED_FORMAT || flags != 0)
		return KMS_E_INTEGRITY;
	if (algorithm == ALG_NONE || algorithm >= ALG_COUNT)
		return KMS_E_INTEGRITY;

	w.algorithm = (enum algorithm)algorithm;
	read_into(&r, w.key.b, sizeof(w.key.b));
	w.version = read_u32(&r);
	w.head = bytes_of(blob.p, WRAPPED_HEAD_LEN);
	w.nonce = read_bytes(&r, aead_nonce_len(w.algorithm));
	w.sealed = r.in;
	if (r.failed || w.version == 0 || !sealed_ok(&w))
		return KMS_E_INTEGRITY;
	*out = w;
	return KMS_OK;
}
