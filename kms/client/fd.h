/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors as sinks and sources. Goes on after signals and short writes, and waits where a
 * descriptor would not block.
 */
#pragma once

#include <stdbool.h>

#include "kms/base/base.h"
#include "kms/base/types.h"
#include "kms/client/kms.h"

/* From where *fd stands on, in one go; the offsets asked for must follow each other. */
struct kms_source fd_stream(const int *fd);
/* True for a source of ours that can only be read in order. */
bool fd_is_stream(const struct kms_source *s);
/* Overwrites bytes of a file. KMS_E_IO; then *out_errno says why. */
MUST_USE kms_err fd_write_at(int fd, uint64_t offset, struct bytes x, int *out_errno);
