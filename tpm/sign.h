/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The signing key: ECDSA P-256 and restricted, so that it signs only what its chip has hashed
 * itself or states of itself, and never something that could pass for such a statement.
 */
#pragma once

#include "tpm/blob.h"
#include "tpm/session.h"

/* Makes the key under the storage key, guarded by the slot's auth value. */
MUST_USE kms_err sign_key_make(struct sealer *s, const struct handle *srk, struct blob_object *out);
/* Signs SHA-256 of a message of at most SEALER_MESSAGE_MAX; appends DER. */
MUST_USE kms_err sign_message(
    struct sealer *s, const struct blob *b, struct bytes message, struct buf *out);
/* Appends the DER SubjectPublicKeyInfo. Pure: the slot's check value vouches for the blob. */
MUST_USE kms_err sign_public_key(const struct blob *b, struct buf *out);
