/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The AES-256 key in the token, under which roots are sealed: it is there, or we make it, and it
 * never leaves.
 */
#pragma once

#include "pkcs11/object.h"

/*
 * The key of this label, and of this CKA_ID unless that is empty. KMS_E_TOKEN_KEY_MISSING,
 * _AMBIGUOUS; _UNSUITABLE unless it is as key_make makes it (allow_imported lets keys pass that
 * were outside once). *out_id is its CKA_ID.
 */
MUST_USE kms_err key_find(struct sealer *s, struct bytes label, struct bytes id,
    CK_OBJECT_HANDLE *out, struct object_id *out_id);
/*
 * Makes it, with this CKA_ID, to stay in the token or only for the session. KMS_E_TOKEN_KEY_MISSING
 * where the token doesn't let us.
 */
MUST_USE kms_err key_make(
    struct sealer *s, const struct object_id *id, bool stays, CK_OBJECT_HANDLE *out);
