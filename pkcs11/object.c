/* SPDX-License-Identifier: Apache-2.0 */
/* See object.h. */
#include "pkcs11/object.h"

#include <string.h>

#include "kms/crypto/rand.h"

enum {
	FOUND_MAX = 8, /* objects that are looked at at once; more than one is too many already */
	WISHES = 3     /* class, label, CKA_ID */
};

CK_ATTRIBUTE object_attribute(CK_ATTRIBUTE_TYPE type, struct bytes value)
{
	return (CK_ATTRIBUTE){ .type = type, .pValue = object_input(value), .ulValueLen = value.n };
}

CK_BYTE_PTR object_input(struct bytes x)
{
	CK_BYTE_PTR p;

	memcpy(&p, &x.p, sizeof(p));
	return p;
}

struct bytes object_id_bytes(const struct object_id *id)
{
	return bytes_of(id->b, id->n);
}

kms_err object_id_make(struct object_id *out)
{
	TRY(rand_bytes(out->b, OBJECT_ID_LEN));
	out->n = OBJECT_ID_LEN;
	return KMS_OK;
}

/* How many fit, at most FOUND_MAX. A search that was begun is ended, or the next one can't begin. */
static kms_err search(struct sealer *s, CK_ATTRIBUTE *wishes, size_t n,
    CK_OBJECT_HANDLE found[static FOUND_MAX], CK_ULONG *out_n)
{
	TRY(rv_check(s, RV_ANY, s->f->C_FindObjectsInit(s->session, wishes, n)));
	CK_RV rv = s->f->C_FindObjects(s->session, found, FOUND_MAX, out_n);
	(void)s->f->C_FindObjectsFinal(s->session);
	return rv_check(s, RV_ANY, rv);
}

kms_err object_find(struct sealer *s, CK_OBJECT_CLASS class, struct bytes label, struct bytes id,
    CK_OBJECT_HANDLE *out)
{
	CK_OBJECT_HANDLE found[FOUND_MAX];
	CK_ATTRIBUTE wishes[WISHES];
	CK_ULONG n = 0;
	size_t wished = 0;

	wishes[wished++] = object_attribute(CKA_CLASS, bytes_of(&class, sizeof(class)));
	if (label.n > 0)
		wishes[wished++] = object_attribute(CKA_LABEL, label);
	if (id.n > 0)
		wishes[wished++] = object_attribute(CKA_ID, id);
	TRY(search(s, wishes, wished, found, &n));
	if (n == 0)
		return KMS_E_TOKEN_KEY_MISSING;
	if (n > 1)
		return KMS_E_TOKEN_KEY_AMBIGUOUS;
	*out = found[0];
	return KMS_OK;
}

kms_err object_read(
    struct sealer *s, CK_OBJECT_HANDLE h, CK_ATTRIBUTE_TYPE type, void *out, size_t *n)
{
	CK_ATTRIBUTE a = { .type = type, .pValue = out, .ulValueLen = *n };
	CK_RV rv = s->f->C_GetAttributeValue(s->session, h, &a, 1);

	if (rv == CKR_ATTRIBUTE_TYPE_INVALID || rv == CKR_ATTRIBUTE_SENSITIVE ||
	    rv == CKR_BUFFER_TOO_SMALL) {
		s->code = rv;
		return KMS_E_TOKEN_KEY_UNSUITABLE;
	}
	TRY(rv_check(s, RV_ANY, rv));
	if (a.ulValueLen > *n)
		return KMS_E_TOKEN_KEY_UNSUITABLE;
	*n = a.ulValueLen;
	return KMS_OK;
}

kms_err object_read_number(
    struct sealer *s, CK_OBJECT_HANDLE h, CK_ATTRIBUTE_TYPE type, CK_ULONG *out)
{
	size_t n = sizeof(*out);

	TRY(object_read(s, h, type, out, &n));
	return n == sizeof(*out) ? KMS_OK : KMS_E_TOKEN_KEY_UNSUITABLE;
}

kms_err object_read_flag(struct sealer *s, CK_OBJECT_HANDLE h, CK_ATTRIBUTE_TYPE type, bool *out)
{
	CK_BBOOL flag = CK_FALSE;
	size_t n = sizeof(flag);

	TRY(object_read(s, h, type, &flag, &n));
	*out = flag == CK_TRUE;
	return n == sizeof(flag) ? KMS_OK : KMS_E_TOKEN_KEY_UNSUITABLE;
}

void object_remove(struct sealer *s, const struct object_id *id)
{
	CK_OBJECT_HANDLE found[FOUND_MAX];
	CK_ATTRIBUTE wish = object_attribute(CKA_ID, object_id_bytes(id));
	CK_ULONG n = 0;

	if (id->n == 0 || search(s, &wish, 1, found, &n) != KMS_OK)
		return;
	for (CK_ULONG i = 0; i < n; i++)
		(void)s->f->C_DestroyObject(s->session, found[i]);
}
