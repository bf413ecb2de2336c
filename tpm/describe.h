/* SPDX-License-Identifier: Apache-2.0 */
/* What the chip is and says of itself, in one line for people. */
#pragma once

#include "kms/base/buf.h"
#include "tpm/device.h"

/* Appends it, after all that a slot needs has been tried but the counter's NV index. */
MUST_USE kms_err describe_device(struct sealer *s, struct buf *out);
