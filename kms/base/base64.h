/* SPDX-License-Identifier: Apache-2.0 */
/* Base64 (RFC 4648, section 4): how wrapped and clear keys look in text and JSON. */
#pragma once

#include "kms/base/base.h"
#include "kms/base/buf.h"

/* Appends. KMS_E_NO_MEMORY; then out is unchanged. */
MUST_USE kms_err base64_encode(struct bytes in, struct buf *out);
/*
 * Appends what `in` stands for; white space is skipped. Strict otherwise: whole groups with their
 * padding, no bits left over. KMS_E_BAD_REQUEST, KMS_E_NO_MEMORY; then out is unchanged.
 */
MUST_USE kms_err base64_decode(struct bytes in, struct buf *out);
