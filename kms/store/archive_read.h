/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of an open backup in the order of the file. For archive_*.c alone. */
#pragma once

#include "kms/base/base.h"
#include "kms/store/archive.h"

struct archive_row {
	uint8_t table;           /* BODY_END behind the last one */
	uint64_t rows;           /* then: how many there are, as the file says */
	struct bytes key, value; /* borrowed until the next one */
};

/* Opens every chunk and every row once, and remembers where tables begin. KMS_E_BACKUP_DAMAGED. */
MUST_USE kms_err archive_index(struct archive *a);
/* Where the rows of this table begin, or would. After archive_index. */
void archive_seek(struct archive *a, enum store_table t);
/* Reads on. KMS_E_BACKUP_DAMAGED where the file has changed since it was opened. */
MUST_USE kms_err archive_next(struct archive *a, struct archive_row *out);
