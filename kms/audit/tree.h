/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Merkle tree of RFC 6962 section 2.1, grown leaf by leaf: only the right edge is kept
 * (at most 64 hashes). Pure.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/crypto/hash.h"

enum {
	TREE_EDGE_MAX = 64
};

struct tree {
	uint64_t size; /* leaves */
	uint8_t edge[TREE_EDGE_MAX]
	            [SHA256_LEN]; /* full subtrees, largest first: one for each bit set in size */
};

/* SHA-256(00 ‖ record). */
MUST_USE kms_err tree_leaf(struct bytes record, uint8_t out[static SHA256_LEN]);
/* Adds a leaf hash. */
MUST_USE kms_err tree_append(struct tree *t, const uint8_t leaf[static SHA256_LEN]);
/* The root; SHA-256 of nothing for size 0. */
MUST_USE kms_err tree_root(const struct tree *t, uint8_t out[static SHA256_LEN]);
/* How many hashes of `edge` are in use at a size. */
size_t tree_edge_len(uint64_t size);
/* The node above two: SHA-256(01 ‖ left ‖ right). out may be either. */
MUST_USE kms_err tree_node(const uint8_t left[static SHA256_LEN],
    const uint8_t right[static SHA256_LEN], uint8_t out[static SHA256_LEN]);
