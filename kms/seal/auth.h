/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a slot's auth value, or a token's PIN, from its file: one line, a regular file (not a
 * link), owned by root or by us, closed to everybody else, be it by mode or by its access list
 * (systemd opens a credential to the service's user by such a list). If $CREDENTIALS_DIRECTORY
 * holds "kms.tpm-auth", the caller passes that path instead.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/base/secret.h"

enum {
	AUTH_PIN_MIN = 4,
	AUTH_PIN_MAX = 64
};

/*
 * A line of 32 to 1,024 characters. KMS_E_AUTH_FILE. The value is SHA-256 of the line, so that any
 * text gives 32 bytes.
 */
MUST_USE kms_err auth_read(const char *path, struct secret **out);
/*
 * A PIN as the token takes it: 4 to 64 printable ASCII characters. KMS_E_PIN_FILE. "fd:N" names a
 * descriptor that the process was started with, of a regular file or a memfd; it is read from its
 * beginning each time. One without a name in any folder is nobody else's, whatever its mode.
 */
MUST_USE kms_err auth_read_pin(const char *path, struct secret **out);
