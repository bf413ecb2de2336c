/* SPDX-License-Identifier: Apache-2.0 */
/* AES key wrap with padding (RFC 5649) and without (RFC 3394). No context, no nonce. */
#pragma once

#include "kms/base/base.h"
#include "kms/base/secret.h"
#include "kms/base/types.h"

enum kwp_kind {
	KWP_PADDED, /* RFC 5649, 1 byte and more */
	KWP_PLAIN   /* RFC 3394, a multiple of 8, 16 bytes and more */
};

enum {
	KWP_PLAIN_MAX = PLAINTEXT_MAX
};

/* Bytes of the wrapped form of n bytes: rounded up to 8, and 8 more. */
size_t kwp_len(size_t n);
/*
 * key: 16, 24 or 32 bytes, else KMS_E_BAD_ALGORITHM. out has kwp_len(plain.n) bytes.
 * KMS_E_BAD_REQUEST for a length that the kind can't take.
 */
MUST_USE kms_err kwp_wrap(
    enum kwp_kind kind, const struct secret *key, struct bytes plain, uint8_t *out);
/*
 * out has wrapped.n bytes of room; *out_n becomes the plaintext's length. KMS_E_INTEGRITY, and
 * out is wiped.
 */
MUST_USE kms_err kwp_unwrap(enum kwp_kind kind, const struct secret *key, struct bytes wrapped,
    uint8_t *out, size_t *out_n);
