/* SPDX-License-Identifier: Apache-2.0 */
/* See object.h. */
#include "tpm/object.h"

#include "kms/base/secret.h"

kms_err object_create(struct sealer *s, const struct handle *srk,
    const TPM2B_SENSITIVE_CREATE *sensitive, const TPM2B_PUBLIC *public, struct blob_object *out)
{
	static const TPM2B_DATA no_data;
	static const TPML_PCR_SELECTION no_pcrs;
	AUTO(handle_done) struct handle session = HANDLE_NONE;
	TPM2B_PRIVATE *made_private = NULL;
	TPM2B_PUBLIC *made_public = NULL;

	TRY(session_start(s, srk, TPM2_SE_HMAC, &session));
	TRY(rc_check(s, RC_ANY,
	    Esys_Create(s->esys, srk->tr, session.tr, ESYS_TR_NONE, ESYS_TR_NONE, sensitive, public,
	        &no_data, &no_pcrs, &made_private, &made_public, NULL, NULL, NULL)));
	out->private = *made_private;
	out->public = *made_public;
	Esys_Free(made_private);
	Esys_Free(made_public);
	return KMS_OK;
}

kms_err object_load(
    struct sealer *s, const struct handle *srk, const struct blob_object *o, struct handle *out)
{
	struct handle h = { .esys = s->esys, .tr = ESYS_TR_NONE };

	TRY(rc_check(s, RC_LOAD,
	    Esys_Load(s->esys, srk->tr, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &o->private,
	        &o->public, &h.tr)));
	*out = h;
	return KMS_OK;
}

void object_sensitive_wipe(TPM2B_SENSITIVE_CREATE *x)
{
	wipe(x, sizeof(*x));
}
