/* SPDX-License-Identifier: Apache-2.0 */
/* See session.h. */
#include "tpm/session.h"

#include <string.h>

#include "kms/seal/auth.h"

enum {
	AES_BITS = 128,
	ALL_ATTRIBUTES = 0xff
};

static const TPMT_SYM_DEF aes_cfb = {
	.algorithm = TPM2_ALG_AES,
	.keyBits.aes = AES_BITS,
	.mode.aes = TPM2_ALG_CFB,
};

static const TPM2B_AUTH no_auth;

void handle_done(struct handle *h)
{
	if (h->tr == ESYS_TR_NONE)
		return;
	/* The library keeps an auth value with its handle and frees it as it is. A session has none. */
	(void)Esys_TR_SetAuth(h->esys, h->tr, &no_auth);
	/* Without a connection there is nothing to flush; the sweep at the next opening does it. */
	if (h->stays || Esys_FlushContext(h->esys, h->tr) != TSS2_RC_SUCCESS)
		(void)Esys_TR_Close(h->esys, &h->tr);
	h->tr = ESYS_TR_NONE;
}

struct handle handle_take(struct handle *h)
{
	struct handle moved = *h;

	h->tr = ESYS_TR_NONE;
	return moved;
}

kms_err session_start(struct sealer *s, const struct handle *srk, TPM2_SE type, struct handle *out)
{
	AUTO(handle_done) struct handle h = { .esys = s->esys, .tr = ESYS_TR_NONE };
	const TPMA_SESSION flags =
	    TPMA_SESSION_ENCRYPT | TPMA_SESSION_DECRYPT | TPMA_SESSION_CONTINUESESSION;

	TRY(rc_check(s, RC_ANY,
	    Esys_StartAuthSession(s->esys, srk->tr, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
	        ESYS_TR_NONE, NULL, type, &aes_cfb, TPM2_ALG_SHA256, &h.tr)));
	TRY(rc_check(s, RC_ANY, Esys_TRSess_SetAttributes(s->esys, h.tr, flags, ALL_ATTRIBUTES)));
	*out = handle_take(&h);
	return KMS_OK;
}

kms_err session_trial(struct sealer *s, struct handle *out)
{
	static const TPMT_SYM_DEF none = { .algorithm = TPM2_ALG_NULL };
	struct handle h = { .esys = s->esys, .tr = ESYS_TR_NONE };

	TRY(rc_check(s, RC_ANY,
	    Esys_StartAuthSession(s->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
	        ESYS_TR_NONE, NULL, TPM2_SE_TRIAL, &none, TPM2_ALG_SHA256, &h.tr)));
	*out = h;
	return KMS_OK;
}

kms_err auth_load(const struct sealer *s, TPM2B_AUTH *out)
{
	AUTO(secret_free) struct secret *value = NULL;

	TRY(auth_read(s->params.auth_file, &value));
	struct bytes v = secret_bytes(value);
	CHECK(v.n <= sizeof(out->buffer));
	out->size = (UINT16)v.n;
	memcpy(out->buffer, v.p, v.n);
	/* TPMs drop zeros at the end of an auth value, not all in the same way: there are none. */
	out->buffer[v.n - 1] |= 1;
	return KMS_OK;
}

void auth_wipe(TPM2B_AUTH *a)
{
	wipe(a, sizeof(*a));
}
