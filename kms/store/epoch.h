/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clear bytes of the epoch row, before they are sealed:
 *   format 2 | number 8 | base 8 | audit size 8 | audit root 32 | set hash 32
 *   | counted? 1 | counter's slot 16
 * Format 1 ended with the set hash: its counter was that of the only slot, whose id reads as
 * zeros. Pure. For rows.c alone.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/store/rows.h"

enum {
	EPOCH_FORMAT = 2,
	EPOCH_LEN = 1 + 3 * 8 + 32 + SET_HASH_LEN + 1 + 16
};

void epoch_encode(const struct epoch *e, const uint8_t set_hash[static SET_HASH_LEN],
    uint8_t out[static EPOCH_LEN]);
/* Strict. KMS_E_STORE_NEWER, KMS_E_STORE_CORRUPT. */
MUST_USE kms_err epoch_decode(
    struct bytes in, struct epoch *out, uint8_t out_set_hash[static SET_HASH_LEN]);
