/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Key bytes. Each secret is a slot of one locked, guarded, not dumpable region (memfd_secret
 * where the kernel has it, else locked private pages that a fork wipes). Only secret_bytes()
 * and secret_fill() open one: `grep secret_bytes` is the list that a reviewer reads.
 * Not thread-safe: the loop owns every secret. The tools and the helper call it from main only.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/base/types.h"

enum {
	SECRET_MAX = 64, /* bytes of one secret */
};

struct secret;

/* What the region is made of; for `status` and the log. */
struct secret_info {
	size_t slots, used; /* slots that may be made in all; slots in use */
	bool locked;        /* the pages can't be swapped out */
	bool hidden;        /* memfd_secret: not even root reads them through /proc */
};

/*
 * Makes the region for at most `slots` secrets; memory is touched as slots come into use.
 * KMS_E_LOCKED_MEMORY where it can't be locked and allow_unlocked is false; KMS_E_NO_MEMORY.
 * Call once, before any secret.
 */
MUST_USE kms_err secret_init(size_t slots, bool allow_unlocked);
/* Wipes and unmaps the region. Every secret is gone. */
void secret_done(void);
struct secret_info secret_info(void);

/* A zeroed secret of n <= SECRET_MAX bytes. KMS_E_KEYS_FULL when there is no slot left. */
MUST_USE kms_err secret_new(size_t n, struct secret **out);
/* A copy of clear bytes; the caller wipes its own. */
MUST_USE kms_err secret_from(struct bytes clear, struct secret **out);
/* Wipes the slot and gives it back. Takes NULL. */
void secret_free(struct secret **s);
/* Borrow of the clear bytes, until secret_free. */
struct bytes secret_bytes(const struct secret *s);
/* The same bytes, to be filled by a key derivation or a decryption. */
uint8_t *secret_fill(struct secret *s);
size_t secret_len(const struct secret *s);
/* Constant time. False where the lengths differ. */
bool secret_equal(const struct secret *a, struct bytes b);

/* A short-lived key on the stack: `AUTO(key_wipe) struct key256 k;`. */
struct key256 {
	uint8_t b[KEY_BITS_LEN];
};
void key_wipe(struct key256 *k);
/* Wipes memory in a way that no compiler removes. */
void wipe(void *p, size_t n);
/* Constant-time equality of n bytes. */
bool equal_ct(const uint8_t *a, const uint8_t *b, size_t n);
