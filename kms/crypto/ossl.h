/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of this folder share: OpenSSL's results in our words, and owners for its
 * objects. Nobody outside this folder includes it.
 */
#pragma once

#include <openssl/evp.h>

#include "kms/base/base.h"

/* KMS_OK for 1, KMS_E_CRYPTO for anything else; then OpenSSL's error queue is emptied. */
MUST_USE kms_err ossl_check(int rc);
/* Gives e back, the queue emptied: for a failure that has a name of its own. */
MUST_USE kms_err ossl_failed(kms_err e);

/* As OpenSSL numbers them. */
enum direction {
	DECRYPT = 0,
	ENCRYPT = 1
};

/* A cipher, keyed for one direction. key may be NULL: it is given with each message. */
MUST_USE kms_err ossl_cipher_new(
    const char *name, const uint8_t *key, enum direction d, EVP_CIPHER_CTX **out);
/* Wipes and frees. Takes NULL. */
void ossl_cipher_free(EVP_CIPHER_CTX **c);
