/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random bytes from OpenSSL's DRBG, and a block of 4 KiB of them that the hot path draws from:
 * one DRBG call costs as much as two wraps. What has been drawn is wiped from the block.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/base/types.h"

/* n bytes straight from the DRBG. KMS_E_CRYPTO. Any thread. */
MUST_USE kms_err rand_bytes(uint8_t *out, size_t n);
/* Feeds hardware randomness as additional input; it counts for no entropy of its own. */
void rand_feed(struct bytes extra);

struct rand_block;
/* The block lives in locked memory where there is some. KMS_E_NO_MEMORY. */
MUST_USE kms_err rand_block_new(struct rand_block **out);
void rand_block_free(struct rand_block **r);
/* Draws n bytes, refilling as needed. More than 4 KiB come straight from the DRBG. */
MUST_USE kms_err rand_draw(struct rand_block *r, uint8_t *out, size_t n);
