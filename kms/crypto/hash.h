/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 and HMAC-SHA-256, with the states that the hot path keeps. One owner thread each. */
#pragma once

#include "kms/base/base.h"
#include "kms/base/secret.h"
#include "kms/base/types.h"

enum {
	SHA256_LEN = 32
};

/* Hash of n parts one after the other. KMS_E_CRYPTO. Any thread. */
MUST_USE kms_err hash_sha256(const struct bytes *parts, size_t n, uint8_t out[static SHA256_LEN]);

struct mac;
/* An HMAC-SHA-256 key whose pads are hashed once. KMS_E_NO_MEMORY, KMS_E_CRYPTO. */
MUST_USE kms_err mac_new(const struct secret *key, struct mac **out);
void mac_free(struct mac **m);
/* HMAC over n parts one after the other. */
MUST_USE kms_err mac_compute(
    struct mac *m, const struct bytes *parts, size_t n, uint8_t out[static SHA256_LEN]);
