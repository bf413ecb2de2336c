/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the keeper gives up, in this order: cores and tracing, unlocked memory, privileges and
 * foreign files (Landlock), then every system call that serving doesn't need (seccomp). What was
 * enforced is noted for `status`. Builds for sanitizers and coverage link sandbox_none.c instead,
 * since their run-time needs files and calls of its own.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/keeper/keeper.h"

/* No core, no tracing. */
void sandbox_no_traces(void);
/*
 * Locks what is mapped now and later, and raises the limits as far as we may. False: it can't be,
 * for the limit has no room for keys, code and segments of the log that are being read.
 */
bool sandbox_lock_memory(const struct config *c);
/*
 * Gives up capabilities, and every file but those in the folders of store and log. Before any
 * thread is made. Kernels without Landlock are noted and accepted. KMS_E_INTERNAL.
 */
MUST_USE kms_err sandbox_restrict_files(struct keeper *k);
/* Of all threads; after the last one was made. KMS_E_INTERNAL. */
MUST_USE kms_err sandbox_restrict_calls(struct keeper *k);
