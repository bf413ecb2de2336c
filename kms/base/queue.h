/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The boundary between two threads: a bounded queue of owned pointers with an eventfd that the
 * reader can poll. Many writers, one reader. What is put in belongs to the queue, then to the
 * reader; nothing is shared.
 */
#pragma once

#include "kms/base/base.h"

struct queue;

/* Room for `capacity` items. KMS_E_NO_MEMORY. */
MUST_USE kms_err queue_new(size_t capacity, struct queue **out);
/* Items still inside are the caller's loss: drain first. Takes NULL. */
void queue_free(struct queue **q);
/* Takes `item` (not NULL). KMS_E_TOO_MANY when full or closed; then the item stays the caller's. */
MUST_USE kms_err queue_put(struct queue *q, void *item);
/* The oldest item, or NULL when there is none. Never blocks. Clears the eventfd when it empties. */
void *queue_take(struct queue *q);
/* Waits for an item; NULL once the queue is closed and empty. */
void *queue_wait(struct queue *q);
/* No more items can be put; wakes the reader. */
void queue_close(struct queue *q);
/* Readable while there is something to take. Owned by the queue. */
int queue_fd(const struct queue *q);
