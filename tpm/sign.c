/* SPDX-License-Identifier: Apache-2.0 */
/* See sign.h. The DER is small and fixed enough to be written by hand (RFC 5480, RFC 3279). */
#include "tpm/sign.h"

#include <string.h>

#include "kms/crypto/hash.h"
#include "tpm/object.h"
#include "tpm/srk.h"

enum {
	P256_LEN = 32,
	DER_INTEGER = 0x02,
	DER_SEQUENCE = 0x30,
	DER_HEAD_LEN = 2 /* tag and a length below 128 */
};

/* SEQUENCE { SEQUENCE { id-ecPublicKey, prime256v1 }, BIT STRING { uncompressed point follows */
static const uint8_t spki_head[] = { 0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce,
	0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42,
	0x00, 0x04 };

/* How the chip's own statements begin (TPM_GENERATED_VALUE): it signs nothing else that does. */
static const uint8_t generated[] = { 0xff, 'T', 'C', 'G' };

static const TPM2B_PUBLIC key_template = {
	.publicArea = {
		.type = TPM2_ALG_ECC,
		.nameAlg = TPM2_ALG_SHA256,
		.objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
		    TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA |
		    TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_SIGN_ENCRYPT,
		.parameters.eccDetail = {
			.symmetric.algorithm = TPM2_ALG_NULL,
			.scheme = { .scheme = TPM2_ALG_ECDSA,
			    .details.ecdsa.hashAlg = TPM2_ALG_SHA256 },
			.curveID = TPM2_ECC_NIST_P256,
			.kdf.scheme = TPM2_ALG_NULL,
		},
	},
};

kms_err sign_key_make(struct sealer *s, const struct handle *srk, struct blob_object *out)
{
	AUTO(object_sensitive_wipe) TPM2B_SENSITIVE_CREATE sensitive = { 0 };

	TRY(auth_load(s, &sensitive.sensitive.userAuth));
	return object_create(s, srk, &sensitive, &key_template, out);
}

/* The chip's hash and its ticket. An interposer that has another message hashed is noticed here. */
static kms_err hash_message(struct sealer *s, struct bytes message, TPM2B_DIGEST **out_digest,
    TPMT_TK_HASHCHECK **out_ticket)
{
	TPM2B_MAX_BUFFER data = { .size = (UINT16)message.n };
	uint8_t ours[SHA256_LEN];

	memcpy(data.buffer, message.p, message.n);
	TRY(hash_sha256(&message, 1, ours));
	TRY(rc_check(s, RC_ANY,
	    Esys_Hash(s->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &data, TPM2_ALG_SHA256,
	        ESYS_TR_RH_OWNER, out_digest, out_ticket)));
	const TPM2B_DIGEST *theirs = *out_digest;
	bool same =
	    bytes_equal(bytes_of(theirs->buffer, theirs->size), bytes_of(ours, sizeof(ours)));
	return same ? KMS_OK : KMS_E_TPM_FAILED;
}

static kms_err load_key(
    struct sealer *s, const struct handle *srk, const struct blob *b, struct handle *out)
{
	AUTO(auth_wipe) TPM2B_AUTH auth = { 0 };
	AUTO(handle_done) struct handle key = HANDLE_NONE;

	TRY(auth_load(s, &auth));
	TRY(object_load(s, srk, &b->signing, &key));
	TRY(rc_check(s, RC_ANY, Esys_TR_SetAuth(s->esys, key.tr, &auth)));
	*out = handle_take(&key);
	return KMS_OK;
}

static void digest_free(TPM2B_DIGEST **x)
{
	Esys_Free(*x);
}

static void ticket_free(TPMT_TK_HASHCHECK **x)
{
	Esys_Free(*x);
}

static void signature_free(TPMT_SIGNATURE **x)
{
	Esys_Free(*x);
}

/* Without the zeros at its front, but with one where the first bit would be a sign. */
static kms_err put_integer(struct buf *out, const TPM2B_ECC_PARAMETER *x)
{
	struct bytes v = bytes_of(x->buffer, x->size);

	while (v.n > 1 && v.p[0] == 0)
		v = bytes_of(v.p + 1, v.n - 1);
	if (v.n == 0 || v.n > P256_LEN)
		return KMS_E_TPM_FAILED;
	bool negative = v.p[0] >= 0x80;
	TRY(buf_put_u8(out, DER_INTEGER));
	TRY(buf_put_u8(out, (uint8_t)(v.n + negative)));
	if (negative)
		TRY(buf_put_u8(out, 0));
	return buf_put(out, v);
}

static kms_err put_signature(const TPMT_SIGNATURE *sig, struct buf *out)
{
	AUTO(buf_done) struct buf numbers = { 0 };

	if (sig->sigAlg != TPM2_ALG_ECDSA)
		return KMS_E_TPM_FAILED;
	TRY(put_integer(&numbers, &sig->signature.ecdsa.signatureR));
	TRY(put_integer(&numbers, &sig->signature.ecdsa.signatureS));
	TRY(buf_reserve(out, DER_HEAD_LEN + numbers.n));
	TRY(buf_put_u8(out, DER_SEQUENCE));
	TRY(buf_put_u8(out, (uint8_t)numbers.n));
	return buf_put(out, buf_bytes(&numbers));
}

kms_err sign_message(struct sealer *s, const struct blob *b, struct bytes message, struct buf *out)
{
	static const TPMT_SIG_SCHEME the_keys_own = { .scheme = TPM2_ALG_NULL };
	AUTO(handle_done) struct handle srk = HANDLE_NONE;
	AUTO(handle_done) struct handle key = HANDLE_NONE;
	AUTO(handle_done) struct handle session = HANDLE_NONE;
	AUTO(digest_free) TPM2B_DIGEST *digest = NULL;
	AUTO(ticket_free) TPMT_TK_HASHCHECK *ticket = NULL;
	AUTO(signature_free) TPMT_SIGNATURE *sig = NULL;

	if (message.n > SEALER_MESSAGE_MAX || message.n == 0)
		return KMS_E_BAD_REQUEST;
	if (message.n >= sizeof(generated) && memcmp(message.p, generated, sizeof(generated)) == 0)
		return KMS_E_BAD_REQUEST;
	TRY(srk_open(s, &b->srk_name, &srk));
	TRY(load_key(s, &srk, b, &key));
	TRY(session_start(s, &srk, TPM2_SE_HMAC, &session));
	TRY(hash_message(s, message, &digest, &ticket));
	TRY(rc_check(s, RC_ANY,
	    Esys_Sign(s->esys, key.tr, session.tr, ESYS_TR_NONE, ESYS_TR_NONE, digest,
	        &the_keys_own, ticket, &sig)));
	return put_signature(sig, out);
}

/* To 32 bytes, zeros at the front. */
static kms_err copy_coordinate(const TPM2B_ECC_PARAMETER *x, uint8_t *out)
{
	if (x->size == 0 || x->size > P256_LEN)
		return KMS_E_INTEGRITY;
	memset(out, 0, P256_LEN);
	memcpy(out + P256_LEN - x->size, x->buffer, x->size);
	return KMS_OK;
}

kms_err sign_public_key(const struct blob *b, struct buf *out)
{
	const TPMS_ECC_POINT *point = &b->signing.public.publicArea.unique.ecc;
	uint8_t spki[sizeof(spki_head) + (size_t)2 * P256_LEN];

	memcpy(spki, spki_head, sizeof(spki_head));
	TRY(copy_coordinate(&point->x, spki + sizeof(spki_head)));
	TRY(copy_coordinate(&point->y, spki + sizeof(spki_head) + P256_LEN));
	return buf_put(out, bytes_of(spki, sizeof(spki)));
}
