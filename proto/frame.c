/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds frames. The first file that sees a peer's bytes; it looks at the length alone and
 * allocates nothing, so a length is believed only as far as FRAME_MAX.
 */
#include "proto/frame.h"

#include "kms/base/buf.h"

kms_err frame_find(struct bytes in, struct bytes *out_message, size_t *out_used, size_t *out_need)
{
	if (in.n < FRAME_HEAD) {
		*out_used = 0;
		*out_need = FRAME_HEAD;
		return KMS_OK;
	}

	size_t n = load_u32(in.p);
	if (n == 0)
		return KMS_E_BAD_FRAME;
	if (n > FRAME_MAX)
		return KMS_E_FRAME_TOO_BIG;

	*out_need = FRAME_HEAD + n;
	*out_used = in.n < *out_need ? 0 : *out_need;
	if (*out_used > 0)
		*out_message = bytes_of(in.p + FRAME_HEAD, n);
	return KMS_OK;
}
