/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading the log for people: at once, or when there is something new. Segments are read by the
 * chores thread, up to what is on disk. A reader that waits is woken by records of others, not
 * by those that reading leaves itself.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/keeper/keeper.h"
#include "kms/keeper/request.h"

struct tails;

MUST_USE kms_err tails_new(struct tails **out);
/* Answers nobody: the loop has ended. */
void tails_free(struct tails **t);
/*
 * Answers `t` (copied) with records from `from` on, at most `limit`; `wait`: as soon as there is
 * one. KMS_E_TOO_MANY readers, KMS_E_NO_MEMORY.
 */
MUST_USE kms_err tails_read(
    struct keeper *k, struct task *t, uint64_t from, uint32_t limit, bool wait);
/* Often: starts what has become possible, answers what has waited long enough. */
void tails_push(struct keeper *k);
/* Everybody who waits is refused: the keeper was sealed. */
void tails_fail(struct keeper *k, kms_err e);
