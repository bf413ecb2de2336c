/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random bytes from OpenSSL's DRBG, and a block of 4 KiB of them that the hot path draws from:
 * one DRBG call costs as much as two wraps. What has been drawn is wiped from the block.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/base/types.h"

enum {
	RAND_ONCE_MAX = 1 << 20 /* bytes of one call */
};

/* n <= RAND_ONCE_MAX bytes straight from the DRBG. KMS_E_CRYPTO, and out is wiped. Any thread. */
MUST_USE kms_err rand_bytes(uint8_t *out, size_t n);
/* Feeds hardware randomness as additional input; it counts for no entropy of its own. */
void rand_feed(struct bytes extra);

struct rand_block;
/*
 * The block is one page, locked where the limit allows it and never dumped. A child after fork
 * finds it empty, so parent and child can't draw the same bytes. KMS_E_NO_MEMORY.
 */
MUST_USE kms_err rand_block_new(struct rand_block **out);
/* Wipes and unmaps. Takes NULL. */
void rand_block_free(struct rand_block **r);
/* Draws n bytes, refilling as needed. What doesn't fit into a block comes straight from the DRBG. */
MUST_USE kms_err rand_draw(struct rand_block *r, uint8_t *out, size_t n);
