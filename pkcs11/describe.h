/* SPDX-License-Identifier: Apache-2.0 */
/* What the token is and will be used for, in one line for people. */
#pragma once

#include "kms/base/buf.h"
#include "pkcs11/module.h"

/* Appends it, after something has been sealed and opened. Nothing remains in the token. */
MUST_USE kms_err describe_token(struct sealer *s, struct buf *out);
