/* SPDX-License-Identifier: Apache-2.0 */
/* Objects of the token: finding them, reading their attributes, taking ours away again. */
#pragma once

#include "pkcs11/module.h"

enum {
	OBJECT_ID_MAX = 64, /* bytes of a CKA_ID that we can remember */
	OBJECT_ID_LEN = 16  /* of those that we make: random */
};

/* A CKA_ID. */
struct object_id {
	uint8_t b[OBJECT_ID_MAX];
	size_t n;
};

/* An attribute of a template; a module only reads it, whatever its type says. */
CK_ATTRIBUTE object_attribute(CK_ATTRIBUTE_TYPE type, struct bytes value);
/* Borrowed bytes as a module wants them, which only reads them. */
CK_BYTE_PTR object_input(struct bytes x);
struct bytes object_id_bytes(const struct object_id *id);
/* 16 random bytes. */
MUST_USE kms_err object_id_make(struct object_id *out);
/*
 * The one object of a class with this label and CKA_ID; an empty one of these fits all.
 * KMS_E_TOKEN_KEY_MISSING, KMS_E_TOKEN_KEY_AMBIGUOUS.
 */
MUST_USE kms_err object_find(struct sealer *s, CK_OBJECT_CLASS class, struct bytes label,
    struct bytes id, CK_OBJECT_HANDLE *out);
/*
 * Reads an attribute into room for *n bytes, and tells its length there.
 * KMS_E_TOKEN_KEY_UNSUITABLE for one that is longer or not there.
 */
MUST_USE kms_err object_read(
    struct sealer *s, CK_OBJECT_HANDLE h, CK_ATTRIBUTE_TYPE type, void *out, size_t *n);
/* Likewise a number, and a flag. */
MUST_USE kms_err object_read_number(
    struct sealer *s, CK_OBJECT_HANDLE h, CK_ATTRIBUTE_TYPE type, CK_ULONG *out);
MUST_USE kms_err object_read_flag(
    struct sealer *s, CK_OBJECT_HANDLE h, CK_ATTRIBUTE_TYPE type, bool *out);
/* Destroys all that have this CKA_ID, one that we made; best effort. */
void object_remove(struct sealer *s, const struct object_id *id);
