/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of the audit log: preallocated, zero-filled segments `00000000.seg`, `00000001.seg` …
 * of a fixed size. A segment is a head and frames; zeros follow the last one.
 *   head:  "KMSA" | format 1 | flags 3 | segment 4 | size 4 | instance 16 | first sequence 8 |
 *          MAC before it 32 | edge count 1 | edge hashes 32 each | HMAC 32 | CRC32C 4
 *   frame: length 4 | CRC32C 4 | type 1 | payload       (the CRC covers type and payload)
 * A record frame holds an encoded record. A group frame holds the log's size 8 and an HMAC 32 under
 * the audit key over the MAC before it, that size and the tree's root. A checkpoint frame holds a
 * signed note (note.h) about the log up to a group before it; other types are skipped. Frames
 * written while sealed wait for the first group frame after the unseal. docs/audit.md has every byte.
 * The loop lays out what is written where (trail.h); the journal thread writes it here.
 */
#pragma once

#include "kms/audit/tree.h"
#include "kms/base/base.h"
#include "kms/base/buf.h"
#include "kms/base/types.h"

enum {
	SEGMENT_FORMAT = 1,
	SEGMENT_SIZE_DEFAULT = 64 * 1024 * 1024,
	SEGMENT_SIZE_MIN = 1024 * 1024,
	SEGMENT_HEAD_MAX = 73 + 32 * TREE_EDGE_MAX + 36,
	SEGMENT_FRAME_HEAD = 9,
	SEGMENT_RECORD = 1,
	SEGMENT_GROUP = 2,
	SEGMENT_CHECKPOINT = 3,
	SEGMENT_GROUP_LEN = 40 /* bytes of a group frame's payload */
};

/* CRC-32C (Castagnoli, RFC 3720 appendix B.4), reflected, initial and final value all ones. */
uint32_t crc32c(uint32_t crc, struct bytes x);

struct segment_head {
	uint32_t number;
	uint32_t size; /* bytes of the file */
	uint8_t instance[INSTANCE_ID_LEN];
	struct tree tree; /* before the first record; tree.size is the first sequence number */
	uint8_t mac_before[32]; /* the last group's HMAC in the segment before */
	uint8_t mac[32];        /* of this head; zeros: written while sealed */
};
/* KMS_E_NO_MEMORY; then out is unchanged. */
MUST_USE kms_err segment_head_encode(const struct segment_head *h, struct buf *out);
/* The bytes of an encoded head that its MAC covers. */
struct bytes segment_head_signed(struct bytes head);
/* KMS_E_AUDIT_CORRUPT, KMS_E_AUDIT_NEWER. *out_len: bytes of the head. */
MUST_USE kms_err segment_head_decode(struct bytes in, struct segment_head *out, size_t *out_len);

/* One frame in `in`; *out_used = 0 at the zeros after the last. Else KMS_E_AUDIT_CORRUPT. */
MUST_USE kms_err segment_frame_find(
    struct bytes in, uint8_t *out_type, struct bytes *out_payload, size_t *out_used);

/* The writing side: one folder, one segment open at a time. Journal thread. */
struct segments;
/*
 * dir_fd: the log's folder, owned by the caller. Removes what a prepare that crashed left behind,
 * so nobody may be preparing yet. KMS_E_AUDIT_IO, KMS_E_NO_MEMORY.
 */
MUST_USE kms_err segments_new(int dir_fd, uint32_t size, struct segments **out);
void segments_free(struct segments **s);
/* Makes segment `number` ahead of its use: zero-filled under a temporary name, flushed, renamed.
 * Does nothing if it is there. Any thread. KMS_E_AUDIT_IO, KMS_E_AUDIT_FULL. */
MUST_USE kms_err segments_prepare(int dir_fd, uint32_t number, uint32_t size);
/* The same without hurry, while others flush: 64 MiB take about a second. */
MUST_USE kms_err segments_prepare_calmly(int dir_fd, uint32_t number, uint32_t size);

/* A piece to write: bytes at an offset of a segment. */
struct segment_write {
	uint32_t number;
	uint64_t offset;
	struct bytes bytes;
};
/*
 * Writes the pieces in their order: one pwrite each, one fdatasync for those of the same file,
 * which is on disk before the next file is touched. Makes a segment that begins here and was not
 * prepared. Writing the same pieces again after a failure is right. Refuses, until it is put back,
 * a file that was removed, cut or replaced since it was opened, and a folder that was moved away.
 * KMS_E_AUDIT_IO, KMS_E_AUDIT_FULL; KMS_E_AUDIT_CORRUPT for what a stranger put in its place.
 */
MUST_USE kms_err segments_write(struct segments *s, const struct segment_write *w, size_t n);

/* First and one past the last of the segments there are; 0, 0: none. A gap: KMS_E_AUDIT_CORRUPT. */
MUST_USE kms_err segments_range(int dir_fd, uint32_t *out_first, uint32_t *out_end);

/* Reading: a segment mapped read-only. */
struct segment_view;
/*
 * KMS_E_NOT_FOUND where there is no such segment or it was made ahead and not begun;
 * KMS_E_AUDIT_CORRUPT, KMS_E_AUDIT_NEWER, KMS_E_AUDIT_IO. While the journal writes, only what it
 * has reported as written may be read. Any thread.
 */
MUST_USE kms_err segment_view_open(int dir_fd, uint32_t number, struct segment_view **out);
void segment_view_free(struct segment_view **v);
const struct segment_head *segment_view_head(const struct segment_view *v);
/*
 * Iterates frames from *pos (0: the first); KMS_OK with out_type 0 at the end. Payloads live as
 * long as the view. KMS_E_AUDIT_CORRUPT; then *pos is where the bad frame stands.
 */
MUST_USE kms_err segment_view_next(
    const struct segment_view *v, uint64_t *pos, uint8_t *out_type, struct bytes *out_payload);
