/* SPDX-License-Identifier: Apache-2.0 */
/* See srk.h. The template is the TCG's for a storage root key (TPM v2.0 Provisioning Guidance). */
#include "tpm/srk.h"

#include <string.h>

enum {
	AES_BITS = 128,
	P256_LEN = 32
};

static const TPM2_HANDLE persistent_srk = 0x81000001; /* where systems keep theirs */
static const TPM2B_SENSITIVE_CREATE no_secret;
static const TPM2B_DATA no_data;
static const TPML_PCR_SELECTION no_pcrs;

static const TPM2B_PUBLIC srk_template = {
	.publicArea = {
		.type = TPM2_ALG_ECC,
		.nameAlg = TPM2_ALG_SHA256,
		.objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
		    TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA |
		    TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT,
		.parameters.eccDetail = {
			.symmetric = {
				.algorithm = TPM2_ALG_AES,
				.keyBits.aes = AES_BITS,
				.mode.aes = TPM2_ALG_CFB,
			},
			.scheme.scheme = TPM2_ALG_NULL,
			.curveID = TPM2_ECC_NIST_P256,
			.kdf.scheme = TPM2_ALG_NULL,
		},
		.unique.ecc = { .x.size = P256_LEN, .y.size = P256_LEN },
	},
};

static kms_err name_of(struct sealer *s, const struct handle *h, TPM2B_NAME *out)
{
	TPM2B_NAME *name = NULL;

	TRY(rc_check(s, RC_ANY, Esys_TR_GetName(s->esys, h->tr, &name)));
	*out = *name;
	Esys_Free(name);
	return KMS_OK;
}

static bool same_name(const TPM2B_NAME *a, const TPM2B_NAME *b)
{
	return bytes_equal(bytes_of(a->name, a->size), bytes_of(b->name, b->size));
}

kms_err srk_create(struct sealer *s, struct handle *out, TPM2B_NAME *out_name)
{
	AUTO(handle_done) struct handle h = { .esys = s->esys, .tr = ESYS_TR_NONE };
	TPM2B_NAME name;

	TRY(rc_check(s, RC_OWNER,
	    Esys_CreatePrimary(s->esys, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD, ESYS_TR_NONE,
	        ESYS_TR_NONE, &no_secret, &srk_template, &no_data, &no_pcrs, &h.tr, NULL, NULL,
	        NULL, NULL)));
	TRY(name_of(s, &h, &name));
	if (name.size != SRK_NAME_LEN)
		return KMS_E_TPM_FAILED;
	*out_name = name;
	*out = handle_take(&h);
	return KMS_OK;
}

/* HANDLE_NONE if there is none or it is another key. */
static kms_err find_persistent(struct sealer *s, const TPM2B_NAME *pinned, struct handle *out)
{
	AUTO(handle_done) struct handle h = { .esys = s->esys, .tr = ESYS_TR_NONE, .stays = true };
	TPM2B_NAME name;
	TSS2_RC rc = Esys_TR_FromTPMPublic(
	    s->esys, persistent_srk, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &h.tr);

	if (rc_is_no_handle(rc)) {
		*out = (struct handle)HANDLE_NONE;
		return KMS_OK;
	}
	TRY(rc_check(s, RC_ANY, rc));
	TRY(name_of(s, &h, &name));
	*out = same_name(&name, pinned) ? handle_take(&h) : (struct handle)HANDLE_NONE;
	return KMS_OK;
}

kms_err srk_open(struct sealer *s, const TPM2B_NAME *pinned, struct handle *out)
{
	AUTO(handle_done) struct handle h = HANDLE_NONE;
	TPM2B_NAME name;

	TRY(find_persistent(s, pinned, &h));
	if (h.tr == ESYS_TR_NONE) {
		TRY(srk_create(s, &h, &name));
		if (!same_name(&name, pinned))
			return KMS_E_TPM_FOREIGN;
	}
	*out = handle_take(&h);
	return KMS_OK;
}
