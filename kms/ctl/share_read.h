/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking in a recovery share: from a file, a pipe, or a person's fingers, unseen. It is read here
 * first, so that a slip of the pen is named by its place before anything is sent.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/base/buf.h"
#include "kms/ctl/ctl.h"

/*
 * path "-": stdin. Appends the share's line, without what people put between its letters. The
 * errors of share_text_decode, with the place; KMS_E_IO; a usage error where there is no share.
 */
MUST_USE kms_err share_read(struct ctl *c, const char *path, struct buf *out);
