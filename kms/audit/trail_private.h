/* SPDX-License-Identifier: Apache-2.0 */
/* What the trail's files share. Nobody outside of this folder includes it. */
#pragma once

#include "kms/audit/trail.h"
#include "kms/crypto/hash.h"

/*
 * Where freed groups wait for their next use. The loop takes and the journal brings back, so it
 * belongs to the trail and to each of its groups alike; the last one frees it.
 */
MUST_USE kms_err home_new(struct trail_home **out);
/* Gives up the trail's share. Takes NULL. */
void home_free(struct trail_home **h);
/* An empty group, used before if there is one. */
MUST_USE kms_err home_group(struct trail_home *h, struct trail_group **out);

/* Begins a piece at a place in a segment; what is appended to `memory` belongs to it. */
MUST_USE kms_err group_begin_piece(struct trail_group *g, uint32_t segment, uint64_t offset);
/* n bytes were appended to the last piece. */
void group_grow(struct trail_group *g, size_t n);
/* Closes it: from now on the pieces point into memory. */
void group_close(struct trail_group *g);

/* HMAC of a group frame: the log had `tree`, the group before had `before`. */
MUST_USE kms_err mac_group(struct mac *key, const uint8_t before[static SHA256_LEN],
    const struct tree *tree, uint8_t out[static SHA256_LEN]);
/* HMAC of a segment's encoded head. */
MUST_USE kms_err mac_head(struct mac *key, struct bytes head, uint8_t out[static SHA256_LEN]);

/* A walk through a segment that knows the tree. */
struct walk {
	const struct segment_view *view;
	uint64_t pos; /* of the next frame */
	struct tree tree;
	uint8_t mac[SHA256_LEN];
	uint64_t covered; /* size at the last group frame */
	struct mac *key;  /* NULL: groups' MACs are not checked */
	bool ended;
	bool
	    broken; /* what stands at pos is no frame; else KMS_E_AUDIT_CORRUPT is about a whole one */
};
struct walk walk_of(const struct segment_view *v, struct mac *key);
/* The next frame; `ended` at the end. KMS_E_AUDIT_CORRUPT, KMS_E_CRYPTO. */
MUST_USE kms_err walk_next(struct walk *w);
/* Until the end or the first failure. */
MUST_USE kms_err walk_to_end(struct walk *w);

/*
 * Opens a segment of which a head may be missing. *out_torn: a crash can have left it so. NULL in
 * *out where it was not begun or is torn. KMS_E_AUDIT_CORRUPT, KMS_E_AUDIT_NEWER, KMS_E_AUDIT_IO.
 */
MUST_USE kms_err open_if_begun(
    int dir_fd, uint32_t number, struct segment_view **out, bool *out_torn);
