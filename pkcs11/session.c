/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See session.h. libp11 logs in, in a session of its own, and the login holds for ours. Never
 * PKCS11_open_session: with another mode than before it closes every session behind our back.
 */
#include "pkcs11/session.h"

#include <string.h>

#include "kms/seal/auth.h"

/* A PIN with an end, as libp11 wants it. */
struct pin {
	char text[AUTH_PIN_MAX + 1];
};

static void pin_wipe(struct pin *p)
{
	wipe(p, sizeof(*p));
}

static kms_err log_in(struct sealer *s)
{
	AUTO(secret_free) struct secret *value = NULL;
	AUTO(pin_wipe) struct pin pin = { .text = "" };

	if (s->slot->token->userPinLocked)
		return rv_check(s, RV_LOGIN, CKR_PIN_LOCKED);
	TRY(auth_read_pin(s->params.token.pin_file, &value));
	struct bytes v = secret_bytes(value);
	CHECK(v.n < sizeof(pin.text));
	memcpy(pin.text, v.p, v.n);
	return rv_check_libp11(s, RV_LOGIN, PKCS11_login(s->slot, 0, pin.text));
}

kms_err session_check(struct sealer *s)
{
	CK_SESSION_INFO info = { 0 };

	TRY(rv_check(s, RV_ANY, s->f->C_GetSessionInfo(s->session, &info)));
	bool user = info.state == CKS_RO_USER_FUNCTIONS || info.state == CKS_RW_USER_FUNCTIONS;
	return user ? KMS_OK : rv_check(s, RV_ANY, CKR_USER_NOT_LOGGED_IN);
}

static kms_err begin(struct sealer *s, bool rw)
{
	const CK_FLAGS flags = CKF_SERIAL_SESSION | (rw ? CKF_RW_SESSION : 0);
	const CK_SLOT_ID id = PKCS11_get_slotid_from_slot(s->slot);

	TRY(rv_check(s, RV_ANY, s->f->C_OpenSession(id, flags, NULL, NULL, &s->session)));
	return session_check(s);
}

kms_err session_open(struct sealer *s, bool rw)
{
	TRY(log_in(s));
	return begin(s, rw);
}

kms_err session_renew(struct sealer *s, bool rw)
{
	/* libp11's own session is still there, so the login stays. */
	(void)s->f->C_CloseSession(s->session);
	s->session = CK_INVALID_HANDLE;
	return begin(s, rw);
}

kms_err session_judge_missing(struct sealer *s)
{
	CK_TOKEN_INFO info;

	TRY(rv_check(s, RV_ANY, s->f->C_GetTokenInfo(PKCS11_get_slotid_from_slot(s->slot), &info)));
	return KMS_E_TOKEN_FOREIGN;
}
