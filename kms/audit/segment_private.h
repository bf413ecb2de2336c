/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this folder share about segments. Nobody outside includes it. */
#pragma once

#include <sys/types.h>

#include "kms/audit/segment.h"

enum {
	SEGMENT_HEAD_MIN = 73 + 36,
	SEGMENT_NAME_MAX = 40
};

/* "00000007.seg". */
void segment_name(uint32_t number, char out[static SEGMENT_NAME_MAX]);
/* An owner of a descriptor: `AUTO(segment_fd_close) int fd`. */
void segment_fd_close(const int *fd);
/* errno as a reason not to write: KMS_E_AUDIT_FULL or KMS_E_AUDIT_IO. */
kms_err segment_errno(void);
/* All n bytes at `at`, however often the call is cut short. */
MUST_USE kms_err segment_put(int fd, struct bytes x, uint64_t at);
/* n zeros at `at`. */
MUST_USE kms_err segment_put_zeros(int fd, uint64_t at, uint64_t n);
/* Removes files with temporary names. */
MUST_USE kms_err segments_clean(int dir_fd);
/* The table's way alone, for tests. */
uint32_t crc32c_portable(uint32_t crc, struct bytes x);

/* A segment mapped; its head may be wanting. */
struct segment_view {
	struct bytes map;
	size_t head_len; /* 0: the head was not read */
	struct segment_head head;
};

/* Maps the file and reads no head. KMS_E_NOT_FOUND, KMS_E_AUDIT_IO, KMS_E_NO_MEMORY. */
MUST_USE kms_err segment_view_map(int dir_fd, uint32_t number, struct segment_view **out);
/* KMS_E_NOT_FOUND where there are but zeros; KMS_E_AUDIT_CORRUPT, KMS_E_AUDIT_NEWER. */
MUST_USE kms_err segment_view_read_head(struct segment_view *v, uint32_t number);
/* One past the last byte that is not zero, `from` if there is none behind it. */
size_t bytes_used(struct bytes x, size_t from);

/*
 * True where a crash in the middle of the last write can have left what stands from `at` on, where
 * a head or frame should be: nothing but zeros or rubbish, or frames of that one write behind
 * sectors that never arrived.
 */
bool tear_explains(struct bytes segment, size_t at);
