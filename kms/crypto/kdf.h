/* SPDX-License-Identifier: Apache-2.0 */
/* HKDF (RFC 5869). A key is never used for two purposes: each gets its own label here. */
#pragma once

#include "kms/base/base.h"
#include "kms/base/secret.h"
#include "kms/base/types.h"

/* HKDF-SHA-256, extract and expand, to a new secret of n <= SECRET_MAX bytes. */
MUST_USE kms_err kdf_derive(const struct secret *key, struct bytes salt, struct bytes info,
    size_t n, struct secret **out);
/* HKDF-SHA-256 with a label and no salt, 32 bytes: what most callers want. */
MUST_USE kms_err kdf_label(const struct secret *key, const char *label, struct secret **out);
/* HKDF-Expand alone, SHA-512 (chunked encryption of files); out has n bytes. */
MUST_USE kms_err kdf_expand_sha512(
    struct bytes prk, struct bytes info, size_t n, uint8_t *out);
