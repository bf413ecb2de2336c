/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The header of an encrypted file, format 1; integers are little-endian:
 *   "KMSF" | format 1 | flags 1 | header length 2 | key name 1+n
 *   | pairs 1 | for each: name 1+n, value 2+n | room 2
 *   | wrapped key 2+n | zeros up to the room
 * All up to and with `room` is bound to the encrypted part. The wrapped key is not: it may be
 * replaced by another wrapping of the same data key, and any other key fails the commitment.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/base/buf.h"
#include "kms/base/types.h"
#include "kms/client/kms.h"

enum {
	HEADER_START = 8, /* bytes that tell how long the rest is */
	HEADER_FORMAT = 1,
	HEADER_ROOM = 128, /* wrapped keys get a multiple of this, so that another one fits */
	HEADER_HIDDEN = 1, /* flag: the values of the context are left out */
	HEADER_WRAPPED_MAX = 4096,
};

struct header {
	struct buf raw;                /* the whole header */
	size_t bound;                  /* of these bytes the encrypted part depends */
	size_t room;                   /* for the wrapped key */
	struct kms_envelope_info info; /* borrows raw, texts and pairs */
	char key[NAME_MAX_LEN + 1];
	struct kms_pair pairs[CONTEXT_MAX_PAIRS];
	char names[CONTEXT_MAX_PAIRS][CONTEXT_NAME_MAX + 1];
};

void header_done(struct header *h);
/* Writes a header. KMS_E_BAD_NAME, KMS_E_BAD_CONTEXT, KMS_E_BAD_REQUEST, KMS_E_NO_MEMORY. */
MUST_USE kms_err header_encode(const struct kms_envelope_key *key, struct buf *out);
/*
 * The length of the whole header, from its first HEADER_START bytes. KMS_E_CUT_OFF for fewer;
 * else as header_decode.
 */
MUST_USE kms_err header_length(struct bytes start, size_t *out);
/*
 * Reads a whole header, which moves into h (zeroed before, and not moved afterwards).
 * KMS_E_NOT_AN_ENVELOPE, KMS_E_NEWER_FORMAT. KMS_E_INTEGRITY: damaged.
 */
MUST_USE kms_err header_decode(struct buf *raw, struct header *h);
/*
 * Puts another wrapped key into its room: what stands in `raw` from *out_at on is to be written
 * there in the file. KMS_E_BAD_REQUEST: it does not fit.
 */
MUST_USE kms_err header_replace(struct header *h, struct bytes wrapped, size_t *out_at);
