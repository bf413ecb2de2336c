/* SPDX-License-Identifier: Apache-2.0 */
/* A line that is typed and not shown. */
#pragma once

#include "kms/base/base.h"
#include "kms/base/buf.h"

/*
 * Asks on stderr and appends what is typed on the terminal `fd`, at most `max` bytes, without its
 * end; the rest of a longer line is dropped. The terminal is as before when it returns, also after
 * a signal, which then ends the process as it would have. KMS_E_IO: no terminal, or it was closed.
 */
MUST_USE kms_err unseen_read(int fd, const char *question, size_t max, struct buf *out);
