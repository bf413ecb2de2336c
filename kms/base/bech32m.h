/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bech32m (BIP-350): values of 5 bits as letters and digits that people can copy, behind a readable
 * part, with a checksum that finds any 4 wrong characters of 90. May carry secrets: it allocates
 * nothing, and no table is read at a place that depends on a value.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/base/types.h"

enum {
	BECH32M_MAX = 90,    /* characters of a whole string: beyond, the promise would not hold */
	BECH32M_SUM_LEN = 6, /* characters */
	BECH32M_HRP_MAX = BECH32M_MAX - BECH32M_SUM_LEN - 1
};

struct bech32m {
	char hrp[BECH32M_HRP_MAX + 1]; /* the readable part, small letters, terminated */
	uint8_t values[BECH32M_MAX];   /* of 5 bits */
	size_t n;                      /* values in use */
};

/* A whole string, terminated. */
struct bech32m_text {
	char s[BECH32M_MAX + 1];
};

void bech32m_wipe(struct bech32m *b);
void bech32m_text_wipe(struct bech32m_text *t);

/* Small letters. KMS_E_INTERNAL for a readable part, a value or a length that can't be. */
MUST_USE kms_err bech32m_encode(const struct bech32m *in, struct bech32m_text *out);
/*
 * All in small letters or all in capitals. KMS_E_BAD_REQUEST for what is not of this form,
 * KMS_E_INTEGRITY where the checksum fails. On failure *out_at is the number of the character, from
 * 1, that is wrong, or 0 where none can be named; for a checksum it is right whenever no more than
 * 3 characters are wrong. Nothing is ever corrected.
 */
MUST_USE kms_err bech32m_decode(struct bytes text, struct bech32m *out, size_t *out_at);

/* Sets the values from whole bytes, most significant bit first. KMS_E_INTERNAL for too many. */
MUST_USE kms_err bech32m_put_bytes(struct bytes in, struct bech32m *b);
/*
 * The way back: n bytes, which must be what the values hold, the rest of the last value zero.
 * KMS_E_BAD_REQUEST; then out is wiped.
 */
MUST_USE kms_err bech32m_get_bytes(const struct bech32m *b, size_t n, uint8_t *out);
