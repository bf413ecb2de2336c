/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of codes. The first row that fits counts. Which failures are worth another try was
 * found out with lost sessions, removed tokens and modules that were finalised behind our back.
 */
#include "pkcs11/rv.h"

#include "pkcs11/module.h"

enum {
	AEAD_DECRYPT_FAILED = 0x42 /* PKCS #11 3.0; newer than our header */
};

struct row {
	enum rv_step step; /* RV_ANY: whatever was done */
	CK_RV rv;
	struct rv_meaning meaning;
};

/* clang-format off */
static const struct row rows[] = {
	/* The PIN. */
	{ RV_ANY,     CKR_PIN_INCORRECT,              { KMS_E_PIN_WRONG, false } },
	{ RV_ANY,     CKR_PIN_INVALID,                { KMS_E_PIN_WRONG, false } },
	{ RV_ANY,     CKR_PIN_LEN_RANGE,              { KMS_E_PIN_WRONG, false } },
	{ RV_ANY,     CKR_USER_PIN_NOT_INITIALIZED,   { KMS_E_PIN_WRONG, false } },
	{ RV_ANY,     CKR_PIN_LOCKED,                 { KMS_E_PIN_LOCKED, false } },
	{ RV_ANY,     CKR_PIN_EXPIRED,                { KMS_E_PIN_EXPIRED, false } },
	/* What was changed: 0x05 by SoftHSM up to 2.6, 0x40 and 0x41 by others. */
	{ RV_DECRYPT, CKR_GENERAL_ERROR,              { KMS_E_INTEGRITY, false } },
	{ RV_DECRYPT, CKR_DATA_INVALID,               { KMS_E_INTEGRITY, false } },
	{ RV_DECRYPT, CKR_DATA_LEN_RANGE,             { KMS_E_INTEGRITY, false } },
	{ RV_DECRYPT, CKR_ENCRYPTED_DATA_INVALID,     { KMS_E_INTEGRITY, false } },
	{ RV_DECRYPT, CKR_ENCRYPTED_DATA_LEN_RANGE,   { KMS_E_INTEGRITY, false } },
	{ RV_DECRYPT, AEAD_DECRYPT_FAILED,            { KMS_E_INTEGRITY, false } },
	/* Keys that only its administrator makes. */
	{ RV_MAKE,    CKR_ACTION_PROHIBITED,          { KMS_E_TOKEN_KEY_MISSING, false } },
	{ RV_MAKE,    CKR_ATTRIBUTE_READ_ONLY,        { KMS_E_TOKEN_KEY_MISSING, false } },
	{ RV_MAKE,    CKR_ATTRIBUTE_TYPE_INVALID,     { KMS_E_TOKEN_KEY_MISSING, false } },
	{ RV_MAKE,    CKR_ATTRIBUTE_VALUE_INVALID,    { KMS_E_TOKEN_KEY_MISSING, false } },
	{ RV_MAKE,    CKR_FUNCTION_NOT_SUPPORTED,     { KMS_E_TOKEN_KEY_MISSING, false } },
	{ RV_MAKE,    CKR_KEY_SIZE_RANGE,             { KMS_E_TOKEN_KEY_MISSING, false } },
	{ RV_MAKE,    CKR_MECHANISM_INVALID,          { KMS_E_TOKEN_KEY_MISSING, false } },
	{ RV_MAKE,    CKR_MECHANISM_PARAM_INVALID,    { KMS_E_TOKEN_KEY_MISSING, false } },
	{ RV_MAKE,    CKR_SESSION_READ_ONLY,          { KMS_E_TOKEN_KEY_MISSING, false } },
	{ RV_MAKE,    CKR_TEMPLATE_INCOMPLETE,        { KMS_E_TOKEN_KEY_MISSING, false } },
	{ RV_MAKE,    CKR_TEMPLATE_INCONSISTENT,      { KMS_E_TOKEN_KEY_MISSING, false } },
	{ RV_MAKE,    CKR_TOKEN_WRITE_PROTECTED,      { KMS_E_TOKEN_KEY_MISSING, false } },
	{ RV_MAKE,    CKR_CURVE_NOT_SUPPORTED,        { KMS_E_TOKEN_KEY_MISSING, false } },
	{ RV_MAKE,    CKR_DOMAIN_PARAMS_INVALID,      { KMS_E_TOKEN_KEY_MISSING, false } },
	/* We are logged in, that was looked at: somebody else would have to be. */
	{ RV_MAKE,    CKR_USER_NOT_LOGGED_IN,         { KMS_E_TOKEN_KEY_MISSING, false } },
	/* What the token or the key can't do. */
	{ RV_ANY,     CKR_MECHANISM_INVALID,          { KMS_E_TOKEN_MECHANISM, false } },
	{ RV_ANY,     CKR_MECHANISM_PARAM_INVALID,    { KMS_E_TOKEN_MECHANISM, false } },
	{ RV_ANY,     CKR_FUNCTION_NOT_SUPPORTED,     { KMS_E_TOKEN_MECHANISM, false } },
	{ RV_ANY,     CKR_KEY_FUNCTION_NOT_PERMITTED, { KMS_E_TOKEN_KEY_UNSUITABLE, false } },
	{ RV_ANY,     CKR_KEY_TYPE_INCONSISTENT,      { KMS_E_TOKEN_KEY_UNSUITABLE, false } },
	{ RV_ANY,     CKR_KEY_SIZE_RANGE,             { KMS_E_TOKEN_KEY_UNSUITABLE, false } },
	/* A token that is not there, or not any more. */
	{ RV_ANY,     CKR_DEVICE_REMOVED,             { KMS_E_TOKEN_MISSING, true } },
	{ RV_ANY,     CKR_TOKEN_NOT_PRESENT,          { KMS_E_TOKEN_MISSING, true } },
	{ RV_ANY,     CKR_TOKEN_NOT_RECOGNIZED,       { KMS_E_TOKEN_MISSING, false } },
	/* A session, a login or a handle that was lost. */
	{ RV_ANY,     CKR_SESSION_HANDLE_INVALID,     { KMS_E_TOKEN_FAILED, true } },
	{ RV_ANY,     CKR_SESSION_CLOSED,             { KMS_E_TOKEN_FAILED, true } },
	{ RV_ANY,     CKR_DEVICE_ERROR,               { KMS_E_TOKEN_FAILED, true } },
	{ RV_ANY,     CKR_USER_NOT_LOGGED_IN,         { KMS_E_TOKEN_FAILED, true } },
	{ RV_ANY,     CKR_KEY_HANDLE_INVALID,         { KMS_E_TOKEN_FAILED, true } },
	{ RV_ANY,     CKR_OBJECT_HANDLE_INVALID,      { KMS_E_TOKEN_FAILED, true } },
	{ RV_ANY,     CKR_CRYPTOKI_NOT_INITIALIZED,   { KMS_E_TOKEN_FAILED, true } },
	{ RV_ANY,     CKR_HOST_MEMORY,                { KMS_E_NO_MEMORY, false } },
};
/* clang-format on */

static struct rv_meaning find(enum rv_step step, CK_RV rv)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct row *r = &rows[i];
		if (r->rv == rv && (r->step == RV_ANY || r->step == step))
			return r->meaning;
	}
	return (struct rv_meaning){ KMS_E_TOKEN_FAILED, false };
}

struct rv_meaning rv_translate(enum rv_step step, CK_RV rv)
{
	/* Whatever a module's start fails of: without it there is nothing to tell apart. */
	if (step == RV_LOAD)
		return (struct rv_meaning){ KMS_E_TOKEN_MODULE, false };
	struct rv_meaning m = find(step, rv);
	/* Whether a login that failed has cost a try, nobody can know. */
	if (step == RV_LOGIN)
		m.retry = false;
	return m;
}

kms_err rv_check(struct sealer *s, enum rv_step step, CK_RV rv)
{
	if (rv == CKR_OK)
		return KMS_OK;
	struct rv_meaning m = rv_translate(step, rv);
	s->code = rv;
	s->retry = m.retry;
	return m.err;
}

kms_err rv_check_libp11(struct sealer *s, enum rv_step step, int rc)
{
	unsigned long e = ERR_peek_last_error();
	CK_RV rv = CKR_OK;

	/* Also after a success: a load leaves a complaint about an engine behind. */
	ERR_clear_error();
	if (rc != 0)
		rv = ERR_GET_LIB(e) == ERR_get_CKR_code() ? (CK_RV)ERR_GET_REASON(e)
		                                          : CKR_FUNCTION_FAILED;
	return rv_check(s, step, rv);
}

bool rv_is_template(CK_RV rv)
{
	return rv == CKR_TEMPLATE_INCONSISTENT || rv == CKR_ATTRIBUTE_TYPE_INVALID ||
	       rv == CKR_ATTRIBUTE_VALUE_INVALID;
}
