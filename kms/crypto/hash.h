/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 and HMAC, with the states that the hot path keeps. One owner thread each. */
#pragma once

#include "kms/base/base.h"
#include "kms/base/secret.h"
#include "kms/base/types.h"

enum {
	SHA256_LEN = 32,
	SHA512_LEN = 64
};

/* Hash of n parts one after the other. Allocates nothing. KMS_E_CRYPTO. Any thread. */
MUST_USE kms_err hash_sha256(const struct bytes *parts, size_t n, uint8_t out[static SHA256_LEN]);

struct mac;
/* An HMAC-SHA-256 key whose pads are hashed once. KMS_E_NO_MEMORY, KMS_E_CRYPTO. */
MUST_USE kms_err mac_new(const struct secret *key, struct mac **out);
/* As mac_new, from clear bytes of any length that are the caller's to wipe. */
MUST_USE kms_err mac_new_clear(struct bytes key, struct mac **out);
/* HMAC-SHA-512; mac_compute then writes SHA512_LEN bytes. */
MUST_USE kms_err mac_new_sha512(struct bytes key, struct mac **out);
/* Wipes and frees. Takes NULL. */
void mac_free(struct mac **m);
/* HMAC over n parts one after the other. */
MUST_USE kms_err mac_compute(
    struct mac *m, const struct bytes *parts, size_t n, uint8_t out[static SHA256_LEN]);
