/* SPDX-License-Identifier: Apache-2.0 */
/* See pcr.h. Digests as in TPM 2.0 Part 3, 23.7 (PolicyPCR) and 23.17 (PolicyAuthValue). */
#include "tpm/pcr.h"

#include <string.h>
#include <tss2/tss2_mu.h>

#include "kms/crypto/hash.h"
#include "tpm/blob.h"

enum {
	SELECT_LEN = PCR_COUNT / 8,
	CODE_LEN = 4, /* of a command code */
	LIST_MAX = sizeof(TPML_PCR_SELECTION)
};

/* Values one after the other, in the order of their numbers. */
struct values {
	uint8_t b[PCR_COUNT * SHA256_LEN];
	size_t n;
};

static TPML_PCR_SELECTION selection_of(uint32_t mask)
{
	TPML_PCR_SELECTION list = { .count = 1 };
	TPMS_PCR_SELECTION *one = &list.pcrSelections[0];

	one->hash = TPM2_ALG_SHA256;
	one->sizeofSelect = SELECT_LEN;
	for (unsigned i = 0; i < SELECT_LEN; i++)
		one->pcrSelect[i] = (BYTE)(mask >> (8 * i));
	return list;
}

/* One PCR at a time: how many fit into an answer differs from chip to chip. */
static kms_err read_one(struct sealer *s, uint32_t mask, struct values *v)
{
	const TPML_PCR_SELECTION want = selection_of(mask);
	TPML_DIGEST *got = NULL;
	bool ok;

	TRY(rc_check(s, RC_ANY,
	    Esys_PCR_Read(
	        s->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &want, NULL, NULL, &got)));
	ok = got->count == 1 && got->digests[0].size == SHA256_LEN;
	if (ok)
		memcpy(v->b + v->n, got->digests[0].buffer, SHA256_LEN);
	v->n += SHA256_LEN;
	Esys_Free(got);
	return ok ? KMS_OK : KMS_E_TPM_UNSUITABLE;
}

static kms_err read_values(struct sealer *s, uint32_t mask, struct values *v)
{
	for (unsigned i = 0; i < PCR_COUNT; i++) {
		uint32_t bit = 1U << i;
		if ((mask & bit) != 0)
			TRY(read_one(s, bit, v));
	}
	return KMS_OK;
}

/* policy = H(policy || command code || arguments) */
static kms_err extend(TPM2B_DIGEST *policy, uint32_t code, struct bytes a, struct bytes b)
{
	const uint8_t cc[CODE_LEN] = { (uint8_t)(code >> 24), (uint8_t)(code >> 16),
		(uint8_t)(code >> 8), (uint8_t)code };
	const struct bytes parts[] = { bytes_of(policy->buffer, policy->size),
		bytes_of(cc, sizeof(cc)), a, b };

	return hash_sha256(parts, ARRAY_LEN(parts), policy->buffer);
}

static kms_err extend_pcrs(struct sealer *s, uint32_t mask, TPM2B_DIGEST *policy)
{
	const TPML_PCR_SELECTION list = selection_of(mask);
	struct values v = { .n = 0 };
	uint8_t values_hash[SHA256_LEN];
	uint8_t listed[LIST_MAX];
	size_t n = 0;

	TRY(read_values(s, mask, &v));
	const struct bytes values = bytes_of(v.b, v.n);
	TRY(hash_sha256(&values, 1, values_hash));
	TRY(rc_check(
	    s, RC_ANY, Tss2_MU_TPML_PCR_SELECTION_Marshal(&list, listed, sizeof(listed), &n)));
	return extend(
	    policy, TPM2_CC_PolicyPCR, bytes_of(listed, n), bytes_of(values_hash, SHA256_LEN));
}

kms_err pcr_policy_digest(struct sealer *s, uint32_t mask, TPM2B_DIGEST *out)
{
	const struct bytes nothing = { 0 };
	TPM2B_DIGEST policy = { .size = SHA256_LEN };

	if (mask != 0)
		TRY(extend_pcrs(s, mask, &policy));
	TRY(extend(&policy, TPM2_CC_PolicyAuthValue, nothing, nothing));
	*out = policy;
	return KMS_OK;
}

kms_err pcr_policy_run(
    struct sealer *s, const struct handle *session, uint32_t mask, TPM2B_DIGEST *out_digest)
{
	static const TPM2B_DIGEST as_they_are; /* empty: the TPM takes the PCRs' present values */
	const TPML_PCR_SELECTION list = selection_of(mask);
	TPM2B_DIGEST *digest = NULL;

	if (mask != 0)
		TRY(rc_check(s, RC_ANY,
		    Esys_PolicyPCR(s->esys, session->tr, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
		        &as_they_are, &list)));
	TRY(rc_check(s, RC_ANY,
	    Esys_PolicyAuthValue(s->esys, session->tr, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE)));
	TRY(rc_check(s, RC_ANY,
	    Esys_PolicyGetDigest(
	        s->esys, session->tr, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &digest)));
	*out_digest = *digest;
	Esys_Free(digest);
	return KMS_OK;
}

bool pcr_same_digest(const TPM2B_DIGEST *a, const TPM2B_DIGEST *b)
{
	return bytes_equal(bytes_of(a->buffer, a->size), bytes_of(b->buffer, b->size));
}

kms_err pcr_policy_agreed(struct sealer *s, uint32_t mask, TPM2B_DIGEST *out)
{
	AUTO(handle_done) struct handle trial = HANDLE_NONE;
	TPM2B_DIGEST ours, theirs;

	if (mask >> PCR_COUNT != 0)
		return KMS_E_BAD_CONFIG;
	TRY(pcr_policy_digest(s, mask, &ours));
	TRY(session_trial(s, &trial));
	TRY(pcr_policy_run(s, &trial, mask, &theirs));
	if (!pcr_same_digest(&ours, &theirs))
		return KMS_E_TPM_PCR;
	*out = ours;
	return KMS_OK;
}
