/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that hold wrapped keys: one in binary, or one in base64, or many in base64, one a line.
 * And what a wrapped key says of itself (format 1, docs/protocol.md).
 */
#pragma once

#include "kms/base/base.h"
#include "kms/base/buf.h"
#include "kms/ctl/ctl.h"

struct wrapfile {
	struct buf raw;
	struct kms_bytes *blobs; /* of raw */
	size_t n;
};
void wrapfile_done(struct wrapfile *f);
/* path NULL or "-": stdin. KMS_E_IO; KMS_E_BAD_REQUEST when it is empty. */
MUST_USE kms_err wrapfile_read(struct ctl *c, const char *path, struct wrapfile *out);
/* Splits what was read; `in` is taken. KMS_E_BAD_REQUEST when it is empty, KMS_E_NO_MEMORY. */
MUST_USE kms_err wrapfile_parse(struct buf *in, struct wrapfile *out);

/* What stands at the beginning of a wrapped key. */
struct wrapped_head {
	uint8_t format;
	enum algorithm algorithm;
	struct key_id key;
	uint32_t version;
};
/* KMS_E_NEWER_FORMAT; KMS_E_BAD_REQUEST for what is no wrapped key. Proves nothing. */
MUST_USE kms_err wrapped_head_read(struct bytes blob, struct wrapped_head *out);
