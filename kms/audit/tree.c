/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The right edge of an RFC 6962 tree. Each bit set in `size` is a full subtree of that many
 * leaves; a new leaf merges with as many of them as `size` has ones at its end.
 */
#include "kms/audit/tree.h"

#include <string.h>

/* RFC 6962 section 2.1: what parts leaves from nodes. */
static const uint8_t leaf_prefix = 0x00, node_prefix = 0x01;

size_t tree_edge_len(uint64_t size)
{
	return (size_t)__builtin_popcountll(size);
}

kms_err tree_leaf(struct bytes record, uint8_t out[static SHA256_LEN])
{
	const struct bytes parts[] = { { &leaf_prefix, 1 }, record };

	return hash_sha256(parts, ARRAY_LEN(parts), out);
}

kms_err tree_node(const uint8_t left[static SHA256_LEN], const uint8_t right[static SHA256_LEN],
    uint8_t out[static SHA256_LEN])
{
	uint8_t node[1 + 2 * SHA256_LEN];
	const struct bytes whole = bytes_of(node, sizeof(node));

	node[0] = node_prefix;
	memcpy(node + 1, left, SHA256_LEN);
	memcpy(node + 1 + SHA256_LEN, right, SHA256_LEN);
	return hash_sha256(&whole, 1, out);
}

kms_err tree_append(struct tree *t, const uint8_t leaf[static SHA256_LEN])
{
	uint8_t node[SHA256_LEN];
	size_t n = tree_edge_len(t->size);

	CHECK(t->size < UINT64_MAX);
	memcpy(node, leaf, sizeof(node));
	for (uint64_t size = t->size; (size & 1) != 0; size >>= 1)
		TRY(tree_node(t->edge[--n], node, node));
	memcpy(t->edge[n], node, sizeof(node));
	t->size++;
	return KMS_OK;
}

kms_err tree_root(const struct tree *t, uint8_t out[static SHA256_LEN])
{
	uint8_t node[SHA256_LEN];
	size_t n = tree_edge_len(t->size);

	if (n == 0)
		return hash_sha256(NULL, 0, out);
	memcpy(node, t->edge[--n], sizeof(node));
	while (n > 0)
		TRY(tree_node(t->edge[--n], node, node));
	memcpy(out, node, sizeof(node));
	return KMS_OK;
}
