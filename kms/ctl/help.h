/* SPDX-License-Identifier: Apache-2.0 */
/* Help texts and the shell's completion, both made from the table of commands. */
#pragma once

#include "kms/base/base.h"
#include "kms/base/buf.h"
#include "kms/ctl/command.h"

/* Appends how to use one command. KMS_E_NO_MEMORY. */
MUST_USE kms_err help_command(const struct command *command, struct buf *out);
/* Appends the list of commands; noun NULL: of all. KMS_E_NO_MEMORY. */
MUST_USE kms_err help_list(const char *noun, struct buf *out);
/* Appends a completion script for bash. KMS_E_NO_MEMORY. */
MUST_USE kms_err help_completion(struct buf *out);
