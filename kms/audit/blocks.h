/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing at any place of a file in whole blocks, so that the file can be open with O_DIRECT: a
 * flush then has neither a page to write back nor an inode to go with it, which is a third of its
 * cost. What stands in the last block is remembered, so appending reads nothing back. Part of
 * segment_write.c; nobody else includes it.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/base/types.h"

enum {
	BLOCK_LEN = 4096 /* no disk of today has larger sectors */
};

struct blocks;

MUST_USE kms_err blocks_new(struct blocks **out);
void blocks_free(struct blocks **b);
/* Another file comes: nothing is known of its last block. */
void blocks_forget(struct blocks *b);
/*
 * Opens a file of the folder for reading and writing, with O_DIRECT where the filesystem has it
 * and the file's length is whole blocks. -1 and errno as openat.
 */
int blocks_open(int dir_fd, const char *name);
/* Borrows the first block; shorter where the file is. KMS_E_AUDIT_IO. */
MUST_USE kms_err blocks_first(struct blocks *b, int fd, struct bytes *out);
/*
 * Writes x at `at`; behind it, up to the end of its block, the file gets zeros. at + x.n is within
 * the file. KMS_E_AUDIT_IO, KMS_E_AUDIT_FULL.
 */
MUST_USE kms_err blocks_write(struct blocks *b, int fd, struct bytes x, uint64_t at);
