/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See seal.h. Clear bytes pass through four places here: the structure that Create takes, the one
 * that Unseal gives, the library's buffers, which device.c overwrites, and the library's stack.
 */
#include "tpm/seal.h"

#include <string.h>

#include "tpm/object.h"
#include "tpm/pcr.h"
#include "tpm/srk.h"

enum {
	SEALED_LEN = SEALER_ROOT_LEN + INSTANCE_ID_LEN,
	STACK_WIPED = 12288 /* below our frame; the library's go some 4 KiB deep */
};

/*
 * No userWithAuth: the policy can't be passed by with the auth value alone.
 * noDA: a wrong auth value doesn't count towards the chip's lock-out. The value has 256 random
 * bits, so there is nothing to guess; but every power cut after a use would count as a failed try,
 * and a few of them would lock a service that has done nothing wrong (TPM 2.0 Part 1, 19.8).
 */
static const TPMA_OBJECT sealed_attributes =
    TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_NODA;

static void unsealed_free(TPM2B_SENSITIVE_DATA **x)
{
	if (*x == NULL)
		return;
	wipe(*x, sizeof(**x));
	Esys_Free(*x);
	*x = NULL;
}

/*
 * The library encrypts and decrypts by way of arrays on its stack, which it leaves as they are. To
 * be called from the function that called it: its frames were where this one's array is now.
 */
__attribute__((noinline)) static void stack_wipe(void)
{
	uint8_t below[STACK_WIPED];

	wipe(below, sizeof(below));
}

static void fill_sensitive(
    const struct sealer *s, const struct secret *root, TPM2B_SENSITIVE_CREATE *out)
{
	TPM2B_SENSITIVE_DATA *data = &out->sensitive.data;

	data->size = SEALED_LEN;
	memcpy(data->buffer, secret_bytes(root).p, SEALER_ROOT_LEN);
	memcpy(data->buffer + SEALER_ROOT_LEN, s->params.instance, INSTANCE_ID_LEN);
}

kms_err seal_object(struct sealer *s, const struct handle *srk, const struct secret *root,
    const TPM2B_DIGEST *policy, struct blob_object *out)
{
	AUTO(object_sensitive_wipe) TPM2B_SENSITIVE_CREATE sensitive = { 0 };
	const TPM2B_PUBLIC public = {
		.publicArea = {
			.type = TPM2_ALG_KEYEDHASH,
			.nameAlg = TPM2_ALG_SHA256,
			.objectAttributes = sealed_attributes,
			.authPolicy = *policy,
			.parameters.keyedHashDetail.scheme.scheme = TPM2_ALG_NULL,
		},
	};

	if (secret_len(root) != SEALER_ROOT_LEN)
		return KMS_E_INTERNAL;
	TRY(auth_load(s, &sensitive.sensitive.userAuth));
	fill_sensitive(s, root, &sensitive);
	kms_err e = object_create(s, srk, &sensitive, &public, out);
	stack_wipe();
	return e;
}

/* A policy session that has met the object's policy. */
static kms_err start_policy(
    struct sealer *s, const struct handle *srk, const struct blob *b, struct handle *out)
{
	AUTO(handle_done) struct handle session = HANDLE_NONE;
	TPM2B_DIGEST digest;

	TRY(session_start(s, srk, TPM2_SE_POLICY, &session));
	TRY(pcr_policy_run(s, &session, b->pcr_mask, &digest));
	if (!pcr_same_digest(&digest, &b->policy))
		return rc_check(s, RC_ANY, TPM2_RC_POLICY_FAIL);
	*out = handle_take(&session);
	return KMS_OK;
}

static kms_err check_unsealed(
    const struct sealer *s, const TPM2B_SENSITIVE_DATA *data, struct secret **out_root)
{
	if (data->size != SEALED_LEN ||
	    memcmp(data->buffer + SEALER_ROOT_LEN, s->params.instance, INSTANCE_ID_LEN) != 0)
		return KMS_E_INTEGRITY;
	return secret_from(bytes_of(data->buffer, SEALER_ROOT_LEN), out_root);
}

kms_err seal_open(struct sealer *s, const struct blob *b, struct secret **out_root)
{
	AUTO(handle_done) struct handle srk = HANDLE_NONE;
	AUTO(handle_done) struct handle object = HANDLE_NONE;
	AUTO(handle_done) struct handle session = HANDLE_NONE;
	AUTO(auth_wipe) TPM2B_AUTH auth = { 0 };
	AUTO(unsealed_free) TPM2B_SENSITIVE_DATA *data = NULL;

	TRY(auth_load(s, &auth));
	TRY(srk_open(s, &b->srk_name, &srk));
	TRY(object_load(s, &srk, &b->sealed, &object));
	TRY(start_policy(s, &srk, b, &session));
	TRY(rc_check(s, RC_ANY, Esys_TR_SetAuth(s->esys, object.tr, &auth)));
	TSS2_RC rc = Esys_Unseal(s->esys, object.tr, session.tr, ESYS_TR_NONE, ESYS_TR_NONE, &data);
	stack_wipe();
	TRY(rc_check(s, RC_ANY, rc));
	return check_unsealed(s, data, out_root);
}
