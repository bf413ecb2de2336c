/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shamir's sharing of a secret of 32 bytes over GF(256), byte by byte: of n shares any k give it
 * back, and k - 1 tell nothing at all about it. The field is that of AES (FIPS 197, section 4.2).
 * Time and addresses depend on k, n and the numbers of the shares alone, never on their bytes.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/base/secret.h"

enum {
	SHAMIR_MIN = 2,  /* one share that opens alone would be a copy of the secret */
	SHAMIR_MAX = 16, /* shares */
	SHAMIR_LEN = 32  /* bytes of the secret and of each share */
};

/* One point of the curve: the number of a share, which is public, and its 32 bytes. */
struct shamir_point {
	uint8_t x;
	const struct secret *y;
};

/* Whether SHAMIR_MIN <= k <= n <= SHAMIR_MAX. */
bool shamir_possible(size_t k, size_t n);
/*
 * Fills out[0] to out[n - 1], owned by the caller; out[i] is the share number i + 1.
 * KMS_E_SHARE_NUMBERS, KMS_E_CRYPTO, KMS_E_KEYS_FULL; KMS_E_INTERNAL if the secret is not 32 bytes
 * long.
 */
MUST_USE kms_err shamir_split(const struct secret *secret, size_t k, size_t n, struct secret **out);
/*
 * From exactly k points. Fewer than the k of the split, or one wrong byte, give another secret and
 * no error: the caller must know what to expect. KMS_E_SHARE_NUMBERS for a k out of range,
 * KMS_E_BAD_REQUEST for a number that is 0 or over SHAMIR_MAX, KMS_E_SHARE_TWICE for one that comes
 * twice.
 */
MUST_USE kms_err shamir_combine(const struct shamir_point *points, size_t k, struct secret **out);

/* The field's two acts, in constant time. The inverse of 0 is 0. */
uint8_t gf256_mul(uint8_t a, uint8_t b);
uint8_t gf256_inverse(uint8_t a);
