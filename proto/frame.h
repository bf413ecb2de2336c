/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames: a length of 4 bytes, little-endian, and that many bytes of one message. Finds whole
 * frames in what a connection has read so far; knows nothing of the messages.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/base/types.h"

enum {
	FRAME_HEAD = 4 /* bytes of the length */
};

/*
 * Looks for one frame at the start of `in`. With a whole one, *out_message borrows its message
 * and *out_used is the frame's length; with a part of one, *out_used is 0 and *out_need how many
 * bytes the frame has in all (FRAME_HEAD while the length itself is cut). KMS_E_BAD_FRAME for
 * the length 0, KMS_E_FRAME_TOO_BIG over FRAME_MAX: close the connection.
 */
MUST_USE kms_err frame_find(
    struct bytes in, struct bytes *out_message, size_t *out_used, size_t *out_need);
