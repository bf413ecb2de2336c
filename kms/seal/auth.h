/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a slot's auth value from its file: one line of 32 to 1,024 characters, a regular file
 * (not a link), owned by root or by us, closed to everybody else, be it by mode or by its access
 * list (systemd opens a credential to the service's user by such a list). If
 * $CREDENTIALS_DIRECTORY holds "kms.tpm-auth", the caller passes that path instead.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/base/secret.h"

/* KMS_E_AUTH_FILE. The value is SHA-256 of the line, so that any text gives 32 bytes. */
MUST_USE kms_err auth_read(const char *path, struct secret **out);
