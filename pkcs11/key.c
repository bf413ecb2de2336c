/* SPDX-License-Identifier: Apache-2.0 */
/* See key.h. */
#include "pkcs11/key.h"

#include <string.h>

enum {
	MODIFIABLE_LAST = 1 /* attributes at the end of the template that some tokens refuse */
};

static CK_ATTRIBUTE flag(CK_ATTRIBUTE_TYPE type, bool value)
{
	static const CK_BBOOL flags[] = { CK_FALSE, CK_TRUE };

	return object_attribute(type, bytes_of(&flags[value], sizeof(flags[value])));
}

kms_err key_make(struct sealer *s, const struct object_id *id, bool stays, CK_OBJECT_HANDLE *out)
{
	static const CK_OBJECT_CLASS class = CKO_SECRET_KEY;
	static const CK_KEY_TYPE type = CKK_AES;
	static const CK_ULONG length = SEALER_ROOT_LEN;
	CK_MECHANISM mechanism = { .mechanism = CKM_AES_KEY_GEN };
	CK_ATTRIBUTE wishes[] = {
		object_attribute(CKA_CLASS, bytes_of(&class, sizeof(class))),
		object_attribute(CKA_KEY_TYPE, bytes_of(&type, sizeof(type))),
		object_attribute(CKA_VALUE_LEN, bytes_of(&length, sizeof(length))),
		object_attribute(CKA_LABEL, bytes_of_str(s->params.token.key)),
		object_attribute(CKA_ID, object_id_bytes(id)),
		flag(CKA_TOKEN, stays),
		flag(CKA_PRIVATE, true),
		flag(CKA_SENSITIVE, true),
		flag(CKA_EXTRACTABLE, false),
		flag(CKA_ENCRYPT, true),
		flag(CKA_DECRYPT, true),
		/* With UNWRAP and DECRYPT both, a key opens what another one has wrapped. */
		flag(CKA_WRAP, false),
		flag(CKA_UNWRAP, false),
		flag(CKA_MODIFIABLE, false),
	};
	CK_ULONG n = ARRAY_LEN(wishes);

	if (s->f->C_GenerateKey == NULL)
		return rv_check(s, RV_MAKE, CKR_FUNCTION_NOT_SUPPORTED);
	CK_RV rv = s->f->C_GenerateKey(s->session, &mechanism, wishes, n, out);
	if (rv_is_template(rv))
		rv = s->f->C_GenerateKey(s->session, &mechanism, wishes, n - MODIFIABLE_LAST, out);
	return rv_check(s, RV_MAKE, rv);
}

/* KMS_E_TOKEN_KEY_UNSUITABLE unless all of them are as `wanted` says. */
static kms_err check_flags(
    struct sealer *s, CK_OBJECT_HANDLE h, bool wanted, const CK_ATTRIBUTE_TYPE *types, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		bool is = !wanted;
		TRY(object_read_flag(s, h, types[i], &is));
		if (is != wanted)
			return KMS_E_TOKEN_KEY_UNSUITABLE;
	}
	return KMS_OK;
}

static kms_err check(struct sealer *s, CK_OBJECT_HANDLE h)
{
	static const CK_ATTRIBUTE_TYPE set[] = { CKA_ENCRYPT, CKA_DECRYPT, CKA_SENSITIVE };
	static const CK_ATTRIBUTE_TYPE unset[] = { CKA_EXTRACTABLE };
	static const CK_ATTRIBUTE_TYPE always[] = { CKA_NEVER_EXTRACTABLE, CKA_ALWAYS_SENSITIVE };
	CK_ULONG type = 0, length = 0;

	TRY(object_read_number(s, h, CKA_KEY_TYPE, &type));
	if (type != CKK_AES)
		return KMS_E_TOKEN_KEY_UNSUITABLE;
	TRY(object_read_number(s, h, CKA_VALUE_LEN, &length));
	if (length != SEALER_ROOT_LEN)
		return KMS_E_TOKEN_KEY_UNSUITABLE;
	TRY(check_flags(s, h, true, set, ARRAY_LEN(set)));
	TRY(check_flags(s, h, false, unset, ARRAY_LEN(unset)));
	if (s->params.token.allow_imported)
		return KMS_OK;
	return check_flags(s, h, true, always, ARRAY_LEN(always));
}

kms_err key_find(struct sealer *s, struct bytes label, struct bytes id, CK_OBJECT_HANDLE *out,
    struct object_id *out_id)
{
	struct object_id found = { .n = OBJECT_ID_MAX };
	CK_OBJECT_HANDLE h;

	TRY(object_find(s, CKO_SECRET_KEY, label, id, &h));
	TRY(check(s, h));
	TRY(object_read(s, h, CKA_ID, found.b, &found.n));
	*out = h;
	*out_id = found;
	return KMS_OK;
}
