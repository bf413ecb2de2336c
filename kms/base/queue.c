/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ring of pointers under one mutex. The lock is held for a few instructions and one write to
 * the eventfd at most; a loop turn puts once, so simple is fast enough here. This is the only
 * lock that two threads of a program share.
 */
#include "kms/base/queue.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct queue {
	pthread_mutex_t lock;
	pthread_cond_t filled;
	int fd;
	bool raised; /* the eventfd is readable; saves system calls */
	bool closed;
	size_t first, n, capacity;
	void *items[];
};

static void lock(struct queue *q)
{
	CHECK(pthread_mutex_lock(&q->lock) == 0);
}

static void unlock(struct queue *q)
{
	CHECK(pthread_mutex_unlock(&q->lock) == 0);
}

/* Neither call can fail or block: the count is 0 or 1, and the descriptor is our own. */
static void raise_fd(struct queue *q)
{
	if (!q->raised)
		CHECK(eventfd_write(q->fd, 1) == 0);
	q->raised = true;
}

static void lower_fd(struct queue *q)
{
	eventfd_t ignored;

	if (q->raised)
		CHECK(eventfd_read(q->fd, &ignored) == 0);
	q->raised = false;
}

kms_err queue_new(size_t capacity, struct queue **out)
{
	if (capacity == 0 || capacity > (PTRDIFF_MAX - sizeof(struct queue)) / sizeof(void *))
		return KMS_E_NO_MEMORY;

	struct queue *q = calloc(1, sizeof(*q) + capacity * sizeof(void *));
	if (q == NULL)
		return KMS_E_NO_MEMORY;
	q->capacity = capacity;
	q->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (q->fd < 0) {
		free(q);
		return KMS_E_NO_MEMORY;
	}

	/* With default attributes glibc never fails these. */
	CHECK(pthread_mutex_init(&q->lock, NULL) == 0);
	CHECK(pthread_cond_init(&q->filled, NULL) == 0);
	*out = q;
	return KMS_OK;
}

void queue_free(struct queue **q)
{
	struct queue *x = MOVE(*q);

	if (x == NULL)
		return;
	(void)close(x->fd);
	CHECK(pthread_cond_destroy(&x->filled) == 0);
	CHECK(pthread_mutex_destroy(&x->lock) == 0);
	free(x);
}

kms_err queue_put(struct queue *q, void *item)
{
	CHECK(item != NULL);
	lock(q);
	bool taken = !q->closed && q->n < q->capacity;
	if (taken) {
		q->items[(q->first + q->n) % q->capacity] = item;
		q->n++;
		raise_fd(q);
		CHECK(pthread_cond_signal(&q->filled) == 0);
	}
	unlock(q);
	return taken ? KMS_OK : KMS_E_TOO_MANY;
}

/* Under the lock. */
static void *take_first(struct queue *q)
{
	void *item = NULL;

	if (q->n > 0) {
		item = MOVE(q->items[q->first]);
		q->first = (q->first + 1) % q->capacity;
		q->n--;
	}
	if (q->n == 0)
		lower_fd(q);
	return item;
}

void *queue_take(struct queue *q)
{
	lock(q);
	void *item = take_first(q);
	unlock(q);
	return item;
}

void *queue_wait(struct queue *q)
{
	lock(q);
	while (q->n == 0 && !q->closed)
		CHECK(pthread_cond_wait(&q->filled, &q->lock) == 0);
	void *item = take_first(q);
	unlock(q);
	return item;
}

void queue_close(struct queue *q)
{
	lock(q);
	q->closed = true;
	raise_fd(q);
	CHECK(pthread_cond_broadcast(&q->filled) == 0);
	unlock(q);
}

int queue_fd(const struct queue *q)
{
	return q->fd;
}
