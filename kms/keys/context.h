/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The context of a wrapped key: a map of strings bound to it as additional data. Its canonical
 * bytes are sorted by name and length-prefixed, so that no two maps give the same bytes.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/base/types.h"

struct context_pair {
	struct bytes name, value;
};

enum {
	/* count 1, and for each pair: length 1, name, length 2, value */
	CONTEXT_CANON_MAX = 1 + CONTEXT_MAX_PAIRS * (1 + CONTEXT_NAME_MAX + 2 + CONTEXT_VALUE_MAX)
};

/*
 * Checks the limits and writes the canonical bytes. An empty map is the one byte 0. Names are 1
 * to 64 bytes of printable ASCII but '=' and ','; values any bytes, up to 256. KMS_E_BAD_CONTEXT
 * for a name twice or a limit passed; then what is in `out` means nothing.
 */
MUST_USE kms_err context_encode(const struct context_pair *pairs, size_t n,
    uint8_t out[static CONTEXT_CANON_MAX], size_t *out_n);
/*
 * The other way, strictly: only what context_encode writes, else KMS_E_BAD_CONTEXT. out has
 * CONTEXT_MAX_PAIRS places and borrows canon.
 */
MUST_USE kms_err context_decode(
    struct bytes canon, struct context_pair out[static CONTEXT_MAX_PAIRS], size_t *out_n);
