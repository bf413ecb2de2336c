/* SPDX-License-Identifier: Apache-2.0 */
/* The chores thread: two queues and a loop; see chores.h. */
#include "kms/keeper/chores.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "kms/audit/segment.h"
#include "kms/base/log.h"
#include "kms/base/queue.h"
#include "kms/keeper/thread.h"

enum {
	QUEUE_LEN = 256
};

struct chore {
	chore_work *work;
	chore_done *done;
	chore_drop *drop;
	void *arg;
	kms_err e;
};

struct chores {
	pthread_t thread;
	struct queue *todo, *finished;
	atomic_bool stopping;
	int dir_fd;
	uint32_t segment_size;
	atomic_uint wanted; /* the segment to prepare */
};

static void *run(void *arg)
{
	struct chores *c = arg;
	for (;;) {
		struct chore *x = queue_wait(c->todo);
		if (x == NULL)
			return NULL;
		x->e = atomic_load(&c->stopping) ? KMS_E_STOPPING : x->work(x->arg);
		/* As long as the queue of what is to do: there is always room. */
		CHECK(queue_put(c->finished, x) == KMS_OK);
	}
}

static void drop_chore(struct chore *x)
{
	if (x->drop != NULL)
		x->drop(x->arg);
	free(x);
}

static void parts_free(struct chores **c)
{
	if (*c == NULL)
		return;
	if ((*c)->finished != NULL)
		for (struct chore *x; (x = queue_take((*c)->finished)) != NULL;)
			drop_chore(x);
	queue_free(&(*c)->todo);
	queue_free(&(*c)->finished);
	free(*c);
	*c = NULL;
}

kms_err chores_new(int dir_fd, uint32_t segment_size, struct chores **out)
{
	AUTO(parts_free) struct chores *c = calloc(1, sizeof(*c));
	if (c == NULL)
		return KMS_E_NO_MEMORY;
	c->dir_fd = dir_fd;
	c->segment_size = segment_size;
	TRY(queue_new(QUEUE_LEN, &c->todo));
	TRY(queue_new((size_t)2 * QUEUE_LEN, &c->finished));
	TRY(thread_start(run, c, &c->thread));
	*out = MOVE(c);
	return KMS_OK;
}

void chores_free(struct chores **c)
{
	if (*c == NULL)
		return;
	atomic_store(&(*c)->stopping, true);
	queue_close((*c)->todo);
	(void)pthread_join((*c)->thread, NULL);
	parts_free(c);
}

kms_err chores_run(
    struct chores *c, chore_work *work, chore_done *done, chore_drop *drop, void *arg)
{
	struct chore *x = malloc(sizeof(*x));
	if (x == NULL)
		return KMS_E_NO_MEMORY;
	*x = (struct chore){ .work = work, .done = done, .drop = drop, .arg = arg };
	kms_err e = queue_put(c->todo, x);
	if (e != KMS_OK)
		free(x);
	return e;
}

static kms_err prepare(void *arg)
{
	struct chores *c = arg;
	return segments_prepare_calmly(c->dir_fd, atomic_load(&c->wanted), c->segment_size);
}

static void prepared(struct keeper *k, void *arg, kms_err e)
{
	(void)k;
	struct chores *c = arg;
	if (e != KMS_OK && e != KMS_E_STOPPING)
		LOG(LOG_LEVEL_WARNING, "audit-segment",
		    "The next segment of the log could not be made ahead.",
		    log_u64("segment", atomic_load(&c->wanted)), log_err(e));
}

void chores_prepare_segment(struct chores *c, uint32_t number)
{
	atomic_store(&c->wanted, number);
	kms_err e = chores_run(c, prepare, prepared, NULL, c);
	if (e != KMS_OK)
		prepared(NULL, c, e);
}

void chores_take(struct keeper *k)
{
	for (struct chore *x; (x = queue_take(k->chores->finished)) != NULL; free(x))
		x->done(k, x->arg, x->e);
}

int chores_fd(const struct chores *c)
{
	return queue_fd(c->finished);
}
