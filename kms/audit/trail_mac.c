/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the audit key vouches for. A group's MAC covers size and root of the tree, so every record
 * before it and the edge that its segment's head began with; a head's covers the head.
 */
#include <string.h>

#include "kms/audit/trail_private.h"

/* With their end: they part these uses of the key from each other and from the records' tags. */
static const char group_label[] = "audit-group", head_label[] = "audit-head";

kms_err mac_group(struct mac *key, const uint8_t before[static SHA256_LEN], const struct tree *tree,
    uint8_t out[static SHA256_LEN])
{
	uint8_t size[sizeof(uint64_t)], root[SHA256_LEN];
	const struct bytes parts[] = {
		{ (const uint8_t *)group_label, sizeof(group_label) },
		{ before, SHA256_LEN },
		{ size, sizeof(size) },
		{ root, sizeof(root) },
	};

	store_u64(size, tree->size);
	TRY(tree_root(tree, root));
	return mac_compute(key, parts, ARRAY_LEN(parts), out);
}

kms_err mac_head(struct mac *key, struct bytes head, uint8_t out[static SHA256_LEN])
{
	const struct bytes parts[] = {
		{ (const uint8_t *)head_label, sizeof(head_label) },
		segment_head_signed(head),
	};

	return mac_compute(key, parts, ARRAY_LEN(parts), out);
}
