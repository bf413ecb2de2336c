/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proofs over the tree (RFC 9162 sections 2.1.3 and 2.1.4, whose tree is RFC 6962's): that a
 * record is in a log of some size, that a log is the beginning of a longer one. Made in one walk
 * along the leaves, checked without any. Pure.
 */
#pragma once

#include "kms/audit/tree.h"
#include "kms/base/base.h"

enum {
	PROOF_MAX =
	    64 /* hashes: a tree of 2^64 leaves is no higher, and one more is never needed */
};

struct proof {
	uint8_t hashes[PROOF_MAX][SHA256_LEN]; /* from the bottom up */
	size_t n;
};

/* KMS_E_INTEGRITY unless p proves that the leaf stands at `index` of a tree of this size and root. */
MUST_USE kms_err proof_check_inclusion(const struct proof *p, uint64_t index, uint64_t size,
    const uint8_t leaf[static SHA256_LEN], const uint8_t root[static SHA256_LEN]);

/* A tree seen from outside. */
struct proof_tree {
	uint64_t size;
	uint8_t root[SHA256_LEN];
};
/* KMS_E_INTEGRITY unless p proves that `before`, not empty, is the beginning of `after`. */
MUST_USE kms_err proof_check_consistency(
    const struct proof *p, const struct proof_tree *before, const struct proof_tree *after);

/* Makes one proof. */
struct proof_maker;
/* KMS_E_NOT_FOUND unless index < size; KMS_E_NO_MEMORY. */
MUST_USE kms_err proof_maker_inclusion(uint64_t index, uint64_t size, struct proof_maker **out);
/* KMS_E_NOT_FOUND unless 0 < before <= after; KMS_E_NO_MEMORY. */
MUST_USE kms_err proof_maker_consistency(uint64_t before, uint64_t after, struct proof_maker **out);
/* Takes NULL. */
void proof_maker_free(struct proof_maker **m);
/* The leaves' hashes from number 0 on, one after the other; those beyond the size are ignored. */
MUST_USE kms_err proof_maker_add(struct proof_maker *m, const uint8_t leaf[static SHA256_LEN]);
/* KMS_E_NOT_FOUND where leaves are missing. */
MUST_USE kms_err proof_maker_end(const struct proof_maker *m, struct proof *out);
