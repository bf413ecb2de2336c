/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 32 bytes under the token's key: AES-GCM, or AES-CBC where there is no GCM. What is sealed by CBC
 * is only trusted after the blob's check value has been compared.
 */
#pragma once

#include "kms/base/secret.h"
#include "kms/crypto/hash.h"
#include "pkcs11/module.h"

enum {
	SEAL_GCM_IV = 12,
	SEAL_CBC_IV = 16,
	SEAL_IV_MAX = SEAL_CBC_IV,
	SEAL_TAG = 16,
	SEAL_DATA_MAX = SEALER_ROOT_LEN + SEAL_TAG
};

/* What comes out; lengths are those of the mechanism. */
struct seal {
	enum sealer_mechanism mechanism;
	uint8_t iv[SEAL_IV_MAX];
	uint8_t data[SEAL_DATA_MAX]; /* ciphertext, and GCM's tag */
};

size_t seal_iv_len(enum sealer_mechanism m);
size_t seal_data_len(enum sealer_mechanism m);
/*
 * The mechanism to use: what the configuration says, or the first that the token has.
 * KMS_E_TOKEN_MECHANISM. Needs no session.
 */
MUST_USE kms_err seal_choose(struct sealer *s, enum sealer_mechanism *out);
/* Seals a root by x->mechanism. The token may have made another IV than it was given. */
MUST_USE kms_err seal_close(struct sealer *s, CK_OBJECT_HANDLE key,
    const uint8_t aad[static SHA256_LEN], const struct secret *root, struct seal *x);
/* Opens it. KMS_E_INTEGRITY. */
MUST_USE kms_err seal_reopen(struct sealer *s, CK_OBJECT_HANDLE key,
    const uint8_t aad[static SHA256_LEN], const struct seal *x, struct secret **out_root);
