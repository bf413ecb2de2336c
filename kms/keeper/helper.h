/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls to kms-seal: a queue of tasks, one under way, each with a deadline. The parent starts the
 * process and hands us a socket to it; past the deadline it is killed and the task fails by name.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/keeper/keeper.h"
#include "kms/seal/call.h"

struct helper;

/* Called once for each task, from the loop. The answer is the callee's to read; it is freed after. */
typedef void helper_done(struct keeper *k, void *arg, struct call_answer *a);

MUST_USE kms_err helper_new(struct keeper *k, struct helper **out);
/* The parent's answer: a socket to a new process, or -1: it could not be started. Takes fd. */
void helper_started(struct keeper *k, uint64_t number, int fd);
/* Tasks under way are dropped without a word. */
void helper_free(struct helper **h);
/*
 * Queues a task; blob and data are copied, root is borrowed until done is called. `fresh`: in a
 * process that has done nothing before. KMS_E_NO_MEMORY, KMS_E_TOO_MANY tasks wait,
 * KMS_E_PIN_WAIT while the slot rests after wrong PINs.
 */
MUST_USE kms_err helper_call(
    struct keeper *k, const struct call_task *task, bool fresh, helper_done *done, void *arg);
