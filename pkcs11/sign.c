/* SPDX-License-Identifier: Apache-2.0 */
/* See sign.h. The DER is small and fixed enough to be written by hand (RFC 5480, RFC 3279). */
#include "pkcs11/sign.h"

#include <string.h>

#include "pkcs11/session.h"

enum {
	P256_LEN = 32,
	POINT_LEN = 1 + 2 * P256_LEN, /* 04, x, y */
	SIGNATURE_LEN = 2 * P256_LEN, /* r, s */
	DER_HEAD_LEN = 2,             /* tag and a length below 128 */
	DER_INTEGER = 0x02,
	DER_OCTETS = 0x04,
	DER_SEQUENCE = 0x30,
	UNCOMPRESSED = 0x04
};

/* SEQUENCE { SEQUENCE { id-ecPublicKey, prime256v1 }, BIT STRING { the point follows */
static const uint8_t spki_head[] = { 0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce,
	0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42,
	0x00 };
static const uint8_t prime256v1[] = { 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07 };

static_assert((int)sizeof(spki_head) + (int)POINT_LEN == (int)TOKEN_BLOB_SPKI_LEN, "P-256");

static bool has(struct sealer *s, CK_MECHANISM_TYPE m, CK_FLAGS flag)
{
	CK_MECHANISM_INFO info = { 0 };
	const CK_SLOT_ID id = PKCS11_get_slotid_from_slot(s->slot);

	return s->f->C_GetMechanismInfo(id, m, &info) == CKR_OK && (info.flags & flag) != 0;
}

bool sign_possible(struct sealer *s)
{
	return s->f->C_GenerateKeyPair != NULL &&
	       has(s, CKM_EC_KEY_PAIR_GEN, CKF_GENERATE_KEY_PAIR) && has(s, CKM_ECDSA, CKF_SIGN);
}

static CK_ATTRIBUTE flag(CK_ATTRIBUTE_TYPE type, bool value)
{
	static const CK_BBOOL flags[] = { CK_FALSE, CK_TRUE };

	return object_attribute(type, bytes_of(&flags[value], sizeof(flags[value])));
}

static kms_err generate(struct sealer *s, const struct token_blob *b, CK_OBJECT_HANDLE *out_public)
{
	CK_MECHANISM mechanism = { .mechanism = CKM_EC_KEY_PAIR_GEN };
	CK_OBJECT_HANDLE private = CK_INVALID_HANDLE;
	const struct bytes id = object_id_bytes(&b->sign_id);
	const struct bytes label = bytes_of_str(b->key_label);
	CK_ATTRIBUTE public_wishes[] = {
		object_attribute(CKA_EC_PARAMS, bytes_of(prime256v1, sizeof(prime256v1))),
		object_attribute(CKA_LABEL, label),
		object_attribute(CKA_ID, id),
		flag(CKA_TOKEN, true),
		flag(CKA_VERIFY, true),
	};
	CK_ATTRIBUTE private_wishes[] = {
		object_attribute(CKA_LABEL, label),
		object_attribute(CKA_ID, id),
		flag(CKA_TOKEN, true),
		flag(CKA_PRIVATE, true),
		flag(CKA_SENSITIVE, true),
		flag(CKA_EXTRACTABLE, false),
		flag(CKA_SIGN, true),
	};

	return rv_check(s, RV_MAKE,
	    s->f->C_GenerateKeyPair(s->session, &mechanism, public_wishes, ARRAY_LEN(public_wishes),
	        private_wishes, ARRAY_LEN(private_wishes), out_public, &private));
}

/* The point stands in an OCTET STRING, as the standard says, or bare, as some tokens do. */
static kms_err read_public(struct sealer *s, CK_OBJECT_HANDLE h, uint8_t *out_spki)
{
	uint8_t value[DER_HEAD_LEN + POINT_LEN];
	size_t n = sizeof(value);
	const uint8_t *point = value;

	TRY(object_read(s, h, CKA_EC_POINT, value, &n));
	if (n == sizeof(value) && value[0] == DER_OCTETS && value[1] == POINT_LEN) {
		point += DER_HEAD_LEN;
		n -= DER_HEAD_LEN;
	}
	if (n != POINT_LEN || point[0] != UNCOMPRESSED)
		return KMS_E_TOKEN_FAILED;
	memcpy(out_spki, spki_head, sizeof(spki_head));
	memcpy(out_spki + sizeof(spki_head), point, POINT_LEN);
	return KMS_OK;
}

kms_err sign_make(struct sealer *s, struct token_blob *b)
{
	CK_OBJECT_HANDLE public = CK_INVALID_HANDLE;
	kms_err e = KMS_E_TOKEN_KEY_MISSING;

	if (sign_possible(s))
		e = generate(s, b, &public);
	if (e == KMS_E_TOKEN_KEY_MISSING) {
		b->sign_id.n = 0;
		return KMS_OK;
	}
	TRY(e);
	return read_public(s, public, b->spki);
}

/* Without the zeros at its front, but with one where the first bit would be a sign. */
static kms_err put_integer(struct buf *out, const uint8_t *number)
{
	struct bytes v = bytes_of(number, P256_LEN);

	while (v.n > 1 && v.p[0] == 0)
		v = bytes_of(v.p + 1, v.n - 1);
	bool negative = v.p[0] >= 0x80;
	TRY(buf_put_u8(out, DER_INTEGER));
	TRY(buf_put_u8(out, (uint8_t)(v.n + negative)));
	if (negative)
		TRY(buf_put_u8(out, 0));
	return buf_put(out, v);
}

static kms_err put_signature(const uint8_t rs[static SIGNATURE_LEN], struct buf *out)
{
	AUTO(buf_done) struct buf numbers = { 0 };

	TRY(put_integer(&numbers, rs));
	TRY(put_integer(&numbers, rs + P256_LEN));
	TRY(buf_reserve(out, DER_HEAD_LEN + numbers.n));
	TRY(buf_put_u8(out, DER_SEQUENCE));
	TRY(buf_put_u8(out, (uint8_t)numbers.n));
	return buf_put(out, buf_bytes(&numbers));
}

kms_err sign_text(
    struct sealer *s, const struct token_blob *b, struct bytes message, struct buf *out)
{
	CK_MECHANISM mechanism = { .mechanism = CKM_ECDSA };
	CK_OBJECT_HANDLE key;
	uint8_t digest[SHA256_LEN], rs[SIGNATURE_LEN];
	CK_ULONG n = sizeof(rs);

	TRY(hash_sha256(&message, 1, digest));
	kms_err e = object_find(
	    s, CKO_PRIVATE_KEY, (struct bytes){ 0 }, object_id_bytes(&b->sign_id), &key);
	if (e == KMS_E_TOKEN_KEY_MISSING)
		e = session_judge_missing(s);
	TRY(e);
	TRY(rv_check(s, RV_ANY, s->f->C_SignInit(s->session, &mechanism, key)));
	TRY(rv_check(s, RV_ANY, s->f->C_Sign(s->session, digest, sizeof(digest), rs, &n)));
	return n == sizeof(rs) ? put_signature(rs, out) : KMS_E_TOKEN_FAILED;
}
