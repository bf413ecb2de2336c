/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread for what is slow and may wait: making the next segment of the log, reading the log
 * for people. One chore at a time, in order; its end is told to the loop.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/keeper/keeper.h"

struct chores;

/* In the thread: touches nothing that the loop has, but arg. */
typedef kms_err chore_work(void *arg);
/* In the loop, once for each chore. */
typedef void chore_done(struct keeper *k, void *arg, kms_err e);
/* Instead of it, where the keeper ends first: wipes and frees arg. */
typedef void chore_drop(void *arg);

/* Starts the thread. dir_fd: the log's folder, borrowed. segment_size: bytes. */
MUST_USE kms_err chores_new(int dir_fd, uint32_t segment_size, struct chores **out);
/* Ends after the chore at hand; the others are dropped, and so is what nobody took. */
void chores_free(struct chores **c);
/*
 * arg belongs to the chore until done or drop is called; drop may be NULL. KMS_E_TOO_MANY,
 * KMS_E_NO_MEMORY: arg stays.
 */
MUST_USE kms_err chores_run(
    struct chores *c, chore_work *work, chore_done *done, chore_drop *drop, void *arg);
/* Makes a segment of the log ahead of its use. One that can't be made is made when it is needed. */
void chores_prepare_segment(struct chores *c, uint32_t number);
/* Calls what has been done. */
void chores_take(struct keeper *k);
/* Readable while there is something to take. */
int chores_fd(const struct chores *c);
