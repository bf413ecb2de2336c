/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The slot that people hold: the root is sealed under a fresh secret, which is shared among n so
 * that any k of them open. The blob, which stands in the store, holds no secret, tells good shares
 * from bad ones, and opens with them alone and for its instance alone. Pure; share_text.h writes a
 * share for people.
 *   version 1 | k 1 | n 1 | set id 4 | nonce 24 | sealed root 48 | commitment 32 | n times: check 16
 */
#pragma once

#include "kms/base/base.h"
#include "kms/base/buf.h"
#include "kms/base/secret.h"
#include "kms/base/types.h"

enum {
	SHARES_VERSION = 1,
	SHARES_MAX = 16,          /* shares of a set */
	SHARES_PROOFS_MAX = 2000, /* combinations that are tried before a set is handed out */
	SHARE_SET_LEN = 4,
	SHARE_CHECK_LEN = 16,
	SHARE_VALUE_LEN = 32
};

struct share {
	uint8_t set[SHARE_SET_LEN];
	uint8_t k, n;         /* of the set: k of n open */
	uint8_t x;            /* the share's number, from 1 */
	struct secret *value; /* owned */
};
/* Wipes and frees what it owns. Takes an empty one. */
void share_done(struct share *s);

/* What the blob says without a share. */
struct shares_info {
	uint8_t set[SHARE_SET_LEN];
	uint8_t k, n;
};

/*
 * Makes a set for a root of 32 bytes: fills out_shares[0] to out_shares[n - 1], the caller's to
 * end with share_done, and appends the blob. Before it returns, every combination of k shares has
 * opened that blob; where there are more than SHARES_PROOFS_MAX of them, so many drawn at random
 * and each run of k neighbours (counted in a circle), so that each share has proved itself.
 * Takes up to 2 * n + 4 secrets meanwhile, and up to about 0.2 s.
 * KMS_E_SHARE_NUMBERS, KMS_E_CRYPTO, KMS_E_KEYS_FULL, KMS_E_NO_MEMORY; KMS_E_INTEGRITY if a proof
 * fails, and then nothing is handed out.
 */
MUST_USE kms_err shares_make(const struct secret *root, size_t k, size_t n,
    const uint8_t instance[static INSTANCE_ID_LEN], struct share *out_shares, struct buf *out_blob);
/* Strict. KMS_E_STORE_CORRUPT, KMS_E_NEWER_FORMAT. */
MUST_USE kms_err shares_info(struct bytes blob, struct shares_info *out);
/*
 * Whether the share belongs to the blob: KMS_E_SHARE_FOREIGN for another set's, KMS_E_SHARE_WRONG
 * for one of this set with another value or number. As shares_info for the blob. Its time tells
 * nothing of the value.
 */
MUST_USE kms_err shares_check(struct bytes blob, const struct share *s);
/*
 * Opens with n shares, of which the first k are combined; each must pass shares_check.
 * KMS_E_SHARES_FEW if there are fewer, KMS_E_SHARE_TWICE for a number that comes twice,
 * KMS_E_INTEGRITY for a blob that was changed or is another instance's.
 */
MUST_USE kms_err shares_open(struct bytes blob, const uint8_t instance[static INSTANCE_ID_LEN],
    const struct share *shares, size_t n, struct secret **out_root);
