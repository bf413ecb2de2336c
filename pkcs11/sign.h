/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The signing key: a P-256 pair in the token. Not every token makes one, so a slot may have none.
 * The token signs a hash that we made, CKM_ECDSA, which every token with ECDSA has.
 */
#pragma once

#include "pkcs11/token_blob.h"

/* True if the token says that it makes such pairs and signs with them. */
bool sign_possible(struct sealer *s);
/*
 * Makes a pair with b->sign_id, the public half to b->spki. Where the token doesn't let us it is
 * KMS_OK, and b->sign_id is emptied.
 */
MUST_USE kms_err sign_make(struct sealer *s, struct token_blob *b);
/* Signs SHA-256 of a message; appends DER. KMS_E_TOKEN_FOREIGN if the key isn't in this token. */
MUST_USE kms_err sign_text(
    struct sealer *s, const struct token_blob *b, struct bytes message, struct buf *out);
