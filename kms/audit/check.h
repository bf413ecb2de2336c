/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole log checked by whoever has it, without a secret: framing, CRCs, numbers, times, heads, the
 * tree across segments and at each signed checkpoint, signatures. Goes through the segments once and
 * names the first thing that is wrong. Treats the log as hostile: whatever stands there, it ends, in
 * bounded memory. docs/auditing.md says what each finding means.
 */
#pragma once

#include "kms/audit/checkpoint.h"
#include "kms/audit/note.h"
#include "kms/base/base.h"

enum {
	CHECK_KEYS_MAX = 16,    /* keys that are given */
	CHECK_BEHIND_MAX = 4096 /* groups that may stand between a group and its checkpoint */
};

/* What is wrong. Names in check.c; only append. */
enum check_why {
	CHECK_FINE = 0,
	CHECK_MISSING,    /* a segment is not there */
	CHECK_HEAD,       /* a segment's head can't be read, or is another file's */
	CHECK_CHAIN,      /* a head does not continue the segment before it */
	CHECK_FRAME,      /* a frame's bytes don't fit its CRC, or its length is impossible */
	CHECK_TAIL,       /* something stands behind the end of a segment */
	CHECK_RECORD,     /* a record can't be decoded */
	CHECK_SEQUENCE,   /* a record has another number than its place */
	CHECK_TIME,       /* within one run of kmsd the time goes back */
	CHECK_GROUP,      /* a group frame says another size, or covers nothing */
	CHECK_CHECKPOINT, /* a checkpoint can't be read, or speaks of a size that it can't know */
	CHECK_SIGNATURE,  /* a checkpoint is not signed by a key that was given */
	CHECK_ROOT,       /* the records are others than those that were signed */
	CHECK_WHY_COUNT
};
/* "frame"…; stable. */
const char *check_why_name(enum check_why w);
/* A sentence for people. */
const char *check_why_text(enum check_why w);

/* The first thing that is wrong. */
struct check_fault {
	enum check_why why;
	uint64_t record;  /* number of the first record that can't be relied on */
	uint32_t segment; /* where it was noticed */
	uint64_t offset;
};

/* What was read. */
struct check_sum {
	uint64_t first, size; /* records [first, size) were read */
	uint8_t root[SHA256_LEN];
	uint64_t segments, groups, checkpoints;
	uint64_t torn;   /* bytes at the end that a crash left: nobody was answered for them */
	uint64_t proven; /* size at the last checkpoint that a key which was given has signed */
};

/* Public keys that the user trusts. */
struct check_keys;
/* KMS_E_TOO_MANY, KMS_E_BAD_REQUEST, KMS_E_NO_MEMORY. */
MUST_USE kms_err check_keys_new(const struct note_key *keys, size_t n, struct check_keys **out);
/* Takes NULL. */
void check_keys_free(struct check_keys **k);

/*
 * All of a folder. keys: borrowed; with none, checkpoints are compared with the records but their
 * signatures are not checked. KMS_E_AUDIT_CORRUPT where something is wrong, and then only out_fault
 * is written; KMS_E_AUDIT_NEWER, KMS_E_AUDIT_IO, KMS_E_NO_MEMORY.
 */
MUST_USE kms_err check_folder(const struct check_keys *keys, int dir_fd, struct check_sum *out,
    struct check_fault *out_fault);

/* What a proof file says. */
struct check_proof {
	uint64_t index; /* the record's number */
	struct checkpoint checkpoint;
	bool is_signed; /* by a key that was given */
};
/*
 * One record's proof (proof_file.h). KMS_E_BAD_REQUEST where it is none; KMS_E_INTEGRITY where it
 * proves nothing, or where keys were given and none of them has signed it; KMS_E_NO_MEMORY.
 */
MUST_USE kms_err check_proof(
    const struct check_keys *keys, struct bytes in, struct check_proof *out);
