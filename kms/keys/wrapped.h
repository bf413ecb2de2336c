/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A wrapped key, format 1:
 *   format 1 | algorithm 1 | flags 2 | master key id 16 | version 4 | nonce | ciphertext | tag 16
 * Integers little-endian. The first 24 bytes are additional data, followed by the context's
 * canonical bytes. aes-256-kwp has neither nonce nor tag nor additional data. Flags are 0.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/base/types.h"

enum {
	WRAPPED_FORMAT = 1,
	/* Two bits away from ours: a flipped bit never looks like a newer blob. */
	WRAPPED_FORMAT_NEXT = 2,
	WRAPPED_HEAD_LEN = 24,
	WRAPPED_OVERHEAD_MAX = WRAPPED_HEAD_LEN + 24 + 16 /* over the plaintext's length */
};

struct wrapped {
	enum algorithm algorithm;
	struct key_id key;
	uint32_t version;
	struct bytes head;   /* the 24 bytes, borrowed */
	struct bytes nonce;  /* empty for aes-256-kwp */
	struct bytes sealed; /* ciphertext and tag */
};

/* Bytes of the wrapped form of n bytes of plaintext. */
size_t wrapped_len(enum algorithm a, size_t n);
/* Writes the 24 bytes of the head. */
void wrapped_put_head(
    enum algorithm a, struct key_id key, uint32_t version, uint8_t out[static WRAPPED_HEAD_LEN]);
/*
 * Reads a blob; *out borrows it. KMS_E_NEWER_FORMAT for format 2, KMS_E_INTEGRITY for whatever
 * else can't be one of ours: a damaged blob must not tell which byte was damaged, and a new
 * algorithm or flag takes a new format. Nothing is authenticated yet.
 */
MUST_USE kms_err wrapped_decode(struct bytes blob, struct wrapped *out);
