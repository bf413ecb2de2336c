/* SPDX-License-Identifier: Apache-2.0 */
/* What archive_*.c share: the bytes of a head, the body's key, and files that appear whole. */
#pragma once

#include "kms/base/base.h"
#include "kms/base/buf.h"
#include "kms/crypto/chunk.h"
#include "kms/store/archive.h"

enum {
	HEAD_MAC_LEN = 32,
	HEAD_START = 10, /* magic, format, flags, length of the fixed part */
	HEAD_FIXED = 2 * 16 + 4 + 5 * 8 + 2 * 32 + 8 + ARCHIVE_STORE_KEY_LEN,
	HEAD_VARIABLE_MAX = 1 + (ARCHIVE_SLOTS_MAX + 1) * (2 + ARCHIVE_DOOR_MAX),
	HEAD_FIRST = HEAD_START + HEAD_FIXED + 4, /* tells how long the whole is */
	BODY_END = 0,                             /* stands where a row has its table */
	ROW_HEAD = 2,                             /* table, length of the key */
	ARCHIVE_TEMP_MAX = 32
};

/* Appends a whole head, with its MAC. KMS_E_BAD_REQUEST for doors that don't fit. */
MUST_USE kms_err archive_head_encode(const struct archive_about *about,
    const struct archive_doors *doors, const struct archive_keys *keys, struct buf *out);
/* The length of the whole from its first bytes, HEAD_FIRST where there are so many. */
MUST_USE kms_err archive_head_length(struct bytes start, size_t *out);
/* Strict. Takes raw, also on failure. */
MUST_USE kms_err archive_head_decode(struct buf *raw, struct archive_head *out);
/* What seals the body behind this head, of which the fixed part is read. */
MUST_USE kms_err archive_body_key(const struct archive_keys *keys, struct bytes head,
    const uint8_t salt[static CHUNK_SALT_LEN], struct chunk **out);

/* The body on its way to a file, behind a head that has been written. */
struct archive_body;
MUST_USE kms_err archive_body_new(
    int fd, const struct archive_keys *keys, struct bytes head, struct archive_body **out);
void archive_body_free(struct archive_body **b);
MUST_USE kms_err archive_body_put(struct archive_body *b, struct bytes x);
/* The last chunk; nothing may follow. */
MUST_USE kms_err archive_body_finish(struct archive_body *b);

/* A file that has a temporary name until it is whole. */
struct archive_file {
	int dir_fd, fd;
	char temp[ARCHIVE_TEMP_MAX];
};
MUST_USE kms_err archive_file_new(int dir_fd, struct archive_file *out);
/* Flushes it and gives it its name: a new one (KMS_E_EXISTS), or another file's. */
MUST_USE kms_err archive_file_publish(struct archive_file *f, const char *name, bool replace);
/* Removes it unless it has been published. */
void archive_file_done(struct archive_file *f);
void archive_fd_close(const int *fd);
/* Writes all of x where the file's offset is. */
MUST_USE kms_err archive_file_put(int fd, struct bytes x);
/* n bytes, fewer only where the file ends. */
MUST_USE kms_err archive_file_get(int fd, uint64_t at, uint8_t *p, size_t n, size_t *out_n);
