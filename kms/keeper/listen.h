/* SPDX-License-Identifier: Apache-2.0 */
/* The listening Unix socket: systemd's, or one of our own made without a moment of open rights. */
#pragma once

#include "kms/base/base.h"
#include "kms/keeper/config.h"

/*
 * Gives a listening, non-blocking socket. Without systemd it takes a lock beside the socket (kept
 * for the life of the process), removes a stale socket and makes a new one with the mode and
 * group of the configuration. KMS_E_STORE_LOCKED while another kmsd has it; KMS_E_IO.
 */
MUST_USE kms_err listen_open(const struct config *c, int *out_fd);
