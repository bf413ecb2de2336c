/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One record with all that proves it, as a file (C2SP tlog-proof): the record's bytes, its number, its
 * path through the tree, and the signed checkpoint that the path ends in. Our certificates are
 * such files. Read without trust.
 */
#pragma once

#include "kms/audit/checkpoint.h"
#include "kms/audit/note.h"
#include "kms/audit/proof.h"
#include "kms/base/base.h"
#include "kms/base/buf.h"

enum {
	PROOF_FILE_MAX = 128 * 1024 /* bytes: a record of 64 KiB in base64, 64 hashes, a note */
};

struct proof_file {
	struct buf record; /* owned */
	uint64_t index;    /* its number */
	struct proof path;
	struct bytes note; /* borrowed: the signed checkpoint */
};
void proof_file_done(struct proof_file *f);
/* Appends the file. KMS_E_NO_MEMORY. */
MUST_USE kms_err proof_file_encode(const struct proof_file *f, struct buf *out);
/* Borrows in. KMS_E_BAD_REQUEST for what is no such file, or one without a record; KMS_E_NO_MEMORY. */
MUST_USE kms_err proof_file_decode(struct bytes in, struct proof_file *out);
/*
 * Checks the path and that the record says this number itself; the note's signatures are the
 * caller's to check. KMS_E_INTEGRITY; KMS_E_BAD_REQUEST where the note is no checkpoint.
 */
MUST_USE kms_err proof_file_check(
    const struct proof_file *f, struct note *out_note, struct checkpoint *out);
