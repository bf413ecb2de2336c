/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The blob of a PKCS#11 slot: which key of which token opens it, and what that key has sealed.
 * Nothing in it is secret. Pure.
 *   head:  version 1 | mechanism 1 | token label var | serial var | key label var | key id var
 *          | signing id var | signing SPKI var
 *   whole: head | iv var | sealed var | check 32
 */
#pragma once

#include "kms/base/base.h"
#include "kms/base/buf.h"
#include "kms/base/secret.h"
#include "pkcs11/object.h"
#include "pkcs11/seal.h"

enum {
	TOKEN_BLOB_VERSION = 1,
	TOKEN_BLOB_SPKI_LEN = 91 /* DER SubjectPublicKeyInfo of P-256 */
};

struct token_blob {
	char token_label[SEALER_LABEL_MAX + 1];
	char token_serial[SEALER_SERIAL_MAX + 1];
	char key_label[NAME_MAX_LEN + 1];
	struct object_id key_id;
	struct object_id sign_id; /* empty: the slot can't sign */
	uint8_t spki[TOKEN_BLOB_SPKI_LEN];
	struct seal seal; /* its mechanism belongs to the head */
	uint8_t check[SHA256_LEN];
};

/* What AES-GCM authenticates besides the root: a hash of the head and the instance. */
MUST_USE kms_err token_blob_aad(const struct token_blob *b,
    const uint8_t instance[static INSTANCE_ID_LEN], uint8_t out[static SHA256_LEN]);
/* The check value over all before it and the instance, under a key derived from the root. */
MUST_USE kms_err token_blob_check(const struct token_blob *b, const struct secret *root,
    const uint8_t instance[static INSTANCE_ID_LEN], uint8_t out[static SHA256_LEN]);
/* Appends. */
MUST_USE kms_err token_blob_encode(const struct token_blob *b, struct buf *out);
/* Strict. KMS_E_INTEGRITY; KMS_E_NEWER_FORMAT for a version or a mechanism that we don't know. */
MUST_USE kms_err token_blob_decode(struct bytes in, struct token_blob *out);
