/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ECDSA on P-256 over SHA-256 (FIPS 186-5): checking what hardware has signed, and signing where
 * no hardware can. Signatures are DER (SEC 1 C.5), public keys DER SubjectPublicKeyInfo (RFC 5480) with
 * the point uncompressed.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/base/buf.h"
#include "kms/base/secret.h"

enum {
	ECDSA_SPKI_LEN = 91, /* bytes: there is one form only */
	ECDSA_SIG_MAX = 72   /* bytes of a signature in DER */
};

struct ecdsa_public;
/* KMS_E_BAD_REQUEST for what is not a point of this curve in this form; KMS_E_NO_MEMORY. */
MUST_USE kms_err ecdsa_public_new(struct bytes spki, struct ecdsa_public **out);
/* Takes NULL. */
void ecdsa_public_free(struct ecdsa_public **k);
/* KMS_E_INTEGRITY unless sig is one signature of exactly this message; KMS_E_NO_MEMORY. */
MUST_USE kms_err ecdsa_verify(const struct ecdsa_public *k, struct bytes message, struct bytes sig);

struct ecdsa_private;
/* The key that follows from these bits: the same ones make the same key. KMS_E_CRYPTO, _NO_MEMORY. */
MUST_USE kms_err ecdsa_private_new(const struct secret *bits, struct ecdsa_private **out);
/* Wipes and frees. Takes NULL. */
void ecdsa_private_free(struct ecdsa_private **k);
/* Its public half. */
void ecdsa_private_spki(const struct ecdsa_private *k, uint8_t out[static ECDSA_SPKI_LEN]);
/* Appends a signature. KMS_E_CRYPTO, KMS_E_NO_MEMORY; then out is unchanged. */
MUST_USE kms_err ecdsa_sign(const struct ecdsa_private *k, struct bytes message, struct buf *out);
