/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The growing end of the audit log, in the loop: gives each record its number, its leaf and its
 * place in a segment, and closes each group with a MAC under the audit key. Touches no file: take a group
 * with trail_take and give it to the journal.
 */
#pragma once

#include "kms/audit/record.h"
#include "kms/audit/segment.h"
#include "kms/base/base.h"
#include "kms/base/secret.h"

struct trail;

/* Where the log ends now. */
struct trail_end {
	struct tree tree;      /* tree.size: the next sequence number */
	uint32_t segment;      /* the last segment */
	uint32_t segment_size; /* of that one; the configured size may be another by now */
	uint64_t offset;       /* where the next frame goes */
	uint8_t mac[32];       /* of the last group; zeros: none yet */
	uint64_t dropped;      /* bytes of a torn tail that are gone */
	bool fresh;            /* there is no segment yet */
};
void trail_end_done(struct trail_end *e);

/*
 * Finds the end by reading the last segment. A torn tail (a frame cut short or with a wrong CRC,
 * and nothing but zeros or rubbish behind it, or frames of the same write behind sectors that
 * never arrived) is dropped and overwritten with zeros. Needs no key. Before anything is written.
 * KMS_E_AUDIT_CORRUPT for damage that a crash can't explain, KMS_E_AUDIT_NEWER, KMS_E_AUDIT_IO.
 */
MUST_USE kms_err trail_recover(int dir_fd, struct trail_end *out);
/*
 * Checks the head's and every group's MAC in the last segment under the audit key; records may be
 * written meanwhile. KMS_E_AUDIT_CORRUPT.
 */
MUST_USE kms_err trail_verify(int dir_fd, const struct secret *audit_key);
/*
 * The tree's root when the log had `size` records (for the store's epoch row). KMS_E_AUDIT_CORRUPT
 * if the log is shorter, or pruned beyond that; reads only the segment that holds that position.
 */
MUST_USE kms_err trail_root_at(int dir_fd, uint64_t size, uint8_t out[static 32]);

/*
 * The highest epoch that records from number `from` on say was reached: by changes that were done,
 * not by those that had only begun. 0: none. KMS_E_AUDIT_CORRUPT, KMS_E_NO_MEMORY.
 */
MUST_USE kms_err trail_epoch_since(int dir_fd, uint64_t from, uint64_t *out_epoch);

/* Called for each record; borrows. A failure ends the reading and is returned. */
typedef kms_err trail_visit(void *arg, const struct record *r);
/* Every record from number `from` on. KMS_E_AUDIT_CORRUPT, KMS_E_NO_MEMORY, visit's. */
MUST_USE kms_err trail_read_since(int dir_fd, uint64_t from, trail_visit *visit, void *arg);

/* Takes what `end` owns. segment_size: bytes, as segments_new's. */
MUST_USE kms_err trail_new(struct trail_end *end, const uint8_t instance[static INSTANCE_ID_LEN],
    uint32_t segment_size, struct trail **out);
void trail_free(struct trail **t);
/*
 * From unseal on: groups carry MACs. NULL: sealed again, which closes what was appended under the
 * key before and can't fail.
 */
MUST_USE kms_err trail_set_key(struct trail *t, const struct secret *audit_key);
/* The instance id becomes known at init; heads written from now on carry it. */
void trail_set_instance(struct trail *t, const uint8_t instance[static INSTANCE_ID_LEN]);
/*
 * Appends a record to the present group; fills r->seq. KMS_E_NO_MEMORY, KMS_E_INTERNAL (a record
 * over RECORD_MAX), KMS_E_CRYPTO; then nothing was appended.
 */
MUST_USE kms_err trail_append(struct trail *t, struct record *r);
/* Records appended since the last take. */
size_t trail_pending(const struct trail *t);
/* Size and root of the log with all that was appended. */
MUST_USE kms_err trail_root(const struct trail *t, uint64_t *out_size, uint8_t out[static 32]);

/*
 * A closed group: pieces for segments_write, owned. `first`/`count` are its records. Freed by any
 * thread, before or after the trail; its memory then serves a later group.
 */
struct trail_group {
	struct segment_write *writes;
	size_t n;
	uint64_t first;
	uint32_t count;
	uint32_t
	    segment; /* the last segment touched; its follower should be prepared when it changes */
	struct buf memory; /* private, as what follows */
	size_t room;
	struct trail_home *home;
};
/* Closes the group (with a MAC if there is a key). KMS_E_NOT_FOUND with nothing pending. */
MUST_USE kms_err trail_take(struct trail *t, struct trail_group **out);
void trail_group_free(struct trail_group **g);
