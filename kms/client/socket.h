/* SPDX-License-Identifier: Apache-2.0 */
/* Opening kmsd's socket, and saying why it does not open. */
#pragma once

#include "kms/base/base.h"

enum {
	SOCKET_DETAIL_MAX = 256
};

/* The path to use: `option`, else $KMS_SOCKET, else the usual one. Borrowed. */
const char *socket_choose(const char *option);
/*
 * Connects within deadline_ms. KMS_E_SOCKET_DENIED, KMS_E_UNAVAILABLE, KMS_E_TIMED_OUT; then
 * `detail` names the path and the reason, or the group that may open it.
 */
MUST_USE kms_err socket_open(
    const char *path, uint32_t deadline_ms, char detail[static SOCKET_DETAIL_MAX], int *out_fd);
