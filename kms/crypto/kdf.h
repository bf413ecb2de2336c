/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HKDF (RFC 5869). A key is never used for two purposes: each gets its own label here;
 * docs/formats.md lists them.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/base/secret.h"
#include "kms/base/types.h"

/* HKDF-SHA-256, extract and expand, to a new secret of n <= SECRET_MAX bytes. */
MUST_USE kms_err kdf_derive(
    const struct secret *key, struct bytes salt, struct bytes info, size_t n, struct secret **out);
/* HKDF-SHA-256 with a label and no salt, 32 bytes: what most callers want. */
MUST_USE kms_err kdf_label(const struct secret *key, const char *label, struct secret **out);
/* As kdf_label, to the caller's stack. */
MUST_USE kms_err kdf_label_clear(const struct secret *key, const char *label, struct key256 *out);
/*
 * HKDF-SHA-256 from clear bytes of any length; out has n bytes, n <= 255 * 32. KMS_E_CRYPTO for
 * more; out is wiped on failure.
 */
MUST_USE kms_err kdf_sha256(
    struct bytes key, struct bytes salt, struct bytes info, size_t n, uint8_t *out);
/*
 * HKDF-Expand alone, SHA-512 (chunked encryption of files); out has n bytes, n <= 255 * 64.
 * KMS_E_CRYPTO for more; out is wiped on failure.
 */
MUST_USE kms_err kdf_expand_sha512(struct bytes prk, struct bytes info, size_t n, uint8_t *out);
