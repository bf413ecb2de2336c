/* SPDX-License-Identifier: Apache-2.0 */
/* See counter.h. A counter of this kind starts above every one that the chip ever had. */
#include "tpm/counter.h"

#include <string.h>

#include "tpm/srk.h"

enum {
	VALUE_LEN = 8
};

/* Attributes as defined; the chip adds WRITTEN with the first move. */
static const TPMA_NV attributes = (TPM2_NT_COUNTER << TPMA_NV_TPM2_NT_SHIFT) | TPMA_NV_AUTHWRITE |
                                  TPMA_NV_AUTHREAD | TPMA_NV_NO_DA;

/* Big-endian, as the TPM writes numbers. */
static uint64_t number_of(const BYTE b[static VALUE_LEN])
{
	uint64_t x = 0;

	for (size_t i = 0; i < VALUE_LEN; i++)
		x = x << 8 | b[i];
	return x;
}

static kms_err read_value(
    struct sealer *s, const struct handle *nv, const struct handle *session, uint64_t *out)
{
	TPM2B_MAX_NV_BUFFER *data = NULL;
	bool ok;

	TRY(rc_check(s, RC_NV,
	    Esys_NV_Read(s->esys, nv->tr, nv->tr, session->tr, ESYS_TR_NONE, ESYS_TR_NONE,
	        VALUE_LEN, 0, &data)));
	ok = data->size == VALUE_LEN;
	if (ok)
		*out = number_of(data->buffer);
	Esys_Free(data);
	return ok ? KMS_OK : KMS_E_TPM_FAILED;
}

static kms_err move_once(struct sealer *s, const struct handle *nv, const struct handle *session)
{
	return rc_check(s, RC_NV,
	    Esys_NV_Increment(s->esys, nv->tr, nv->tr, session->tr, ESYS_TR_NONE, ESYS_TR_NONE));
}

static kms_err define_at(struct sealer *s, const struct handle *session, const TPM2B_AUTH *auth,
    TPMI_RH_NV_INDEX index, struct handle *out)
{
	const TPM2B_NV_PUBLIC public = {
		.nvPublic = { .nvIndex = index,
		    .nameAlg = TPM2_ALG_SHA256,
		    .attributes = attributes,
		    .dataSize = VALUE_LEN },
	};
	struct handle nv = { .esys = s->esys, .tr = ESYS_TR_NONE, .stays = true };

	TRY(rc_check(s, RC_OWNER,
	    Esys_NV_DefineSpace(s->esys, ESYS_TR_RH_OWNER, session->tr, ESYS_TR_NONE, ESYS_TR_NONE,
	        auth, &public, &nv.tr)));
	*out = nv;
	return KMS_OK;
}

/* The first index that nobody has. */
static kms_err define_free(struct sealer *s, const struct handle *session, const TPM2B_AUTH *auth,
    uint32_t *out_index, struct handle *out)
{
	uint32_t index = COUNTER_INDEX_FIRST;
	kms_err e = define_at(s, session, auth, index, out);

	while (e == KMS_E_EXISTS && index < COUNTER_INDEX_LAST)
		e = define_at(s, session, auth, ++index, out);
	if (e == KMS_OK)
		*out_index = index;
	return e == KMS_E_EXISTS ? KMS_E_TPM_BUSY : e;
}

/* Leaves s->code as the failure that led here has set it. */
static void undefine(struct sealer *s, const struct handle *nv, const struct handle *session)
{
	(void)Esys_NV_UndefineSpace(
	    s->esys, ESYS_TR_RH_OWNER, nv->tr, session->tr, ESYS_TR_NONE, ESYS_TR_NONE);
}

kms_err counter_make(
    struct sealer *s, const struct handle *srk, uint32_t *out_index, uint64_t *out_value)
{
	AUTO(handle_done) struct handle session = HANDLE_NONE;
	AUTO(handle_done) struct handle nv = HANDLE_NONE;
	AUTO(auth_wipe) TPM2B_AUTH auth = { 0 };
	uint32_t index;

	TRY(auth_load(s, &auth));
	TRY(session_start(s, srk, TPM2_SE_HMAC, &session));
	TRY(define_free(s, &session, &auth, &index, &nv));
	kms_err e = rc_check(s, RC_ANY, Esys_TR_SetAuth(s->esys, nv.tr, &auth));
	if (e == KMS_OK)
		e = move_once(s, &nv, &session);
	if (e == KMS_OK)
		e = read_value(s, &nv, &session, out_value);
	if (e != KMS_OK)
		undefine(s, &nv, &session);
	else
		*out_index = index;
	return e;
}

/* The index must be as it was made: another kind of index could be set back. */
static kms_err check_public(struct sealer *s, const struct handle *nv)
{
	TPM2B_NV_PUBLIC *public = NULL;
	bool same;

	TRY(rc_check(s, RC_NV,
	    Esys_NV_ReadPublic(
	        s->esys, nv->tr, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &public, NULL)));
	same = public->nvPublic.attributes == (attributes | TPMA_NV_WRITTEN) &&
	       public->nvPublic.dataSize == VALUE_LEN;
	Esys_Free(public);
	return same ? KMS_OK : KMS_E_COUNTER_GONE;
}

/* Looked for first: on a cleared chip the storage key has gone as well, but this says more. */
static kms_err find(struct sealer *s, const struct blob *b, struct handle *out)
{
	AUTO(handle_done) struct handle nv = { .esys = s->esys, .tr = ESYS_TR_NONE, .stays = true };

	TRY(rc_check(s, RC_NV,
	    Esys_TR_FromTPMPublic(
	        s->esys, b->counter_index, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &nv.tr)));
	TRY(check_public(s, &nv));
	*out = handle_take(&nv);
	return KMS_OK;
}

/* Only from right below the target: whoever asks again doesn't move it again. */
static kms_err move_towards(struct sealer *s, const struct handle *nv, const struct handle *session,
    struct sealer_move *move, uint64_t *value)
{
	if (move->target == 0)
		move->target = *value + 1;
	if (*value + 1 != move->target)
		return KMS_OK;
	TRY(move_once(s, nv, session));
	return read_value(s, nv, session, value);
}

kms_err counter_use(
    struct sealer *s, const struct blob *b, struct sealer_move *move, uint64_t *out_value)
{
	AUTO(handle_done) struct handle nv = HANDLE_NONE;
	AUTO(handle_done) struct handle srk = HANDLE_NONE;
	AUTO(handle_done) struct handle session = HANDLE_NONE;
	AUTO(auth_wipe) TPM2B_AUTH auth = { 0 };
	uint64_t value = 0;

	TRY(auth_load(s, &auth));
	TRY(find(s, b, &nv));
	TRY(srk_open(s, &b->srk_name, &srk));
	TRY(rc_check(s, RC_ANY, Esys_TR_SetAuth(s->esys, nv.tr, &auth)));
	TRY(session_start(s, &srk, TPM2_SE_HMAC, &session));
	TRY(read_value(s, &nv, &session, &value));
	if (move != NULL)
		TRY(move_towards(s, &nv, &session, move, &value));
	*out_value = value;
	return KMS_OK;
}

void counter_unmake(struct sealer *s, const struct blob *b)
{
	AUTO(handle_done) struct handle nv = HANDLE_NONE;
	AUTO(handle_done) struct handle srk = HANDLE_NONE;
	AUTO(handle_done) struct handle session = HANDLE_NONE;
	const uint32_t code = s->code;
	const enum rc_retry retry = s->retry;

	if (find(s, b, &nv) == KMS_OK && srk_open(s, &b->srk_name, &srk) == KMS_OK &&
	    session_start(s, &srk, TPM2_SE_HMAC, &session) == KMS_OK)
		undefine(s, &nv, &session);
	s->code = code;
	s->retry = retry;
}
