/* SPDX-License-Identifier: Apache-2.0 */
/* What ecdsa.c and ecdsa_sign.c share, and nobody else. */
#pragma once

#include "kms/crypto/ecdsa.h"

enum {
	ECDSA_SPKI_HEAD_LEN = 26,
	ECDSA_POINT_LEN = 65,    /* 04 ‖ x ‖ y */
	ECDSA_POINT_WHOLE = 0x04 /* SEC 1 2.3.3: uncompressed */
};

static_assert((int)ECDSA_SPKI_HEAD_LEN + ECDSA_POINT_LEN == (int)ECDSA_SPKI_LEN, "head and point");

/* All of a SubjectPublicKeyInfo before the point. */
extern const uint8_t ecdsa_spki_head[ECDSA_SPKI_HEAD_LEN];
