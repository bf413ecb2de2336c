/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the check share. Nobody outside of this folder includes it. */
#pragma once

#include "kms/audit/check.h"
#include "kms/audit/record.h"
#include "kms/audit/segment_private.h"
#include "kms/audit/tree.h"

struct check_keys {
	struct {
		struct note_key key;
		struct ecdsa_public *public;
	} of[CHECK_KEYS_MAX];
	size_t n;
};

/* Where a group ended: what a later checkpoint may speak of. */
struct check_mark {
	uint64_t size;
	size_t edge; /* where the tree's edge stands in `edges` */
};

struct check {
	const struct check_keys *keys;
	struct check_fault fault;
	struct check_sum sum;
	bool begun; /* a segment was read */
	struct tree tree;
	uint64_t covered; /* size at the last group frame */
	uint8_t mac[SHA256_LEN];
	uint64_t good; /* size at the last checkpoint that was right */

	uint8_t boot[16];
	uint64_t time_us;

	struct check_mark *marks; /* CHECK_BEHIND_MAX of them, the oldest first */
	size_t mark_n;
	struct buf edges;

	struct record record; /* too large for a stack, as the items are */
	struct record_item items[BATCH_MAX];
};

/* Notes what is wrong with the record that comes next; KMS_E_AUDIT_CORRUPT. */
kms_err check_bad(struct check *c, enum check_why why);
/* A group frame: the place is kept for a checkpoint. */
MUST_USE kms_err check_mark(struct check *c);
/* A checkpoint frame's payload. */
MUST_USE kms_err check_checkpoint(struct check *c, struct bytes note);
