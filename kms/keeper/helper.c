/* SPDX-License-Identifier: Apache-2.0 */
/* See helper.h. The states are: nothing, a process asked for, a task sent. */
#include "kms/keeper/helper.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "kms/keeper/backoff.h"
#include "kms/keeper/link.h"

enum {
	JOBS_MAX = 64 /* tasks that wait; more are somebody's flood */
};

struct job {
	TAILQ_ENTRY(job) entry;
	struct call_task task;
	struct buf blob, data;
	bool fresh;
	helper_done *done;
	void *arg;
};

struct helper {
	struct keeper *k;
	TAILQ_HEAD(, job) jobs; /* the first is under way if `state` says so */
	size_t n;
	uint64_t asked; /* number of the last process asked for */
	enum {
		IDLE,
		STARTING,
		CALLING
	} state;
	int fd; /* to the process; -1: none */
	struct event *answer_event, *deadline_event;
};

static void next(struct helper *h);

static void job_free(struct job **j)
{
	if (*j == NULL)
		return;
	buf_done(&(*j)->blob);
	buf_done(&(*j)->data);
	free(*j);
	*j = NULL;
}

static void drop_process(struct helper *h)
{
	if (h->answer_event != NULL)
		event_free(h->answer_event);
	h->answer_event = NULL;
	if (h->fd >= 0)
		(void)close(h->fd);
	h->fd = -1;
}

/* The task at hand ends; the next one begins. */
static void finish(struct helper *h, struct call_answer *a)
{
	AUTO(job_free) struct job *j = TAILQ_FIRST(&h->jobs);
	TAILQ_REMOVE(&h->jobs, j, entry);
	h->n--;
	(void)event_del(h->deadline_event);
	h->state = IDLE;
	if (a->err != KMS_OK)
		LOG(LOG_LEVEL_WARNING, "hardware", "The hardware refused or failed.",
		    log_err(a->err), log_u64("operation", (uint64_t)j->task.op),
		    log_u64("code", a->code));
	backoff_note(h->k, j->task.slot, a->err);
	j->done(h->k, j->arg, a);
	next(h);
}

static void fail(struct helper *h, kms_err e)
{
	struct call_answer a = { .err = e };
	drop_process(h);
	finish(h, &a);
}

static void on_answer(evutil_socket_t fd, short what, void *arg)
{
	(void)what;
	struct helper *h = arg;
	keeper_tick(h->k);
	AUTO(call_answer_done) struct call_answer a = { 0 };
	kms_err e = call_receive(fd, &a);
	if (e == KMS_E_UNAVAILABLE)
		return;
	if (h->state != CALLING) { /* it had nothing to do and left */
		drop_process(h);
		return;
	}
	if (e != KMS_OK)
		fail(h, KMS_E_HARDWARE_HELPER);
	else
		finish(h, &a);
}

static kms_err send_task(struct helper *h)
{
	const struct job *j = TAILQ_FIRST(&h->jobs);
	h->state = CALLING;
	return call_send(h->fd, &j->task);
}

static void take_process(struct helper *h, int fd)
{
	int flags = fcntl(fd, F_GETFL);
	h->fd = fd;
	h->answer_event = event_new(h->k->base, fd, EV_READ | EV_PERSIST, on_answer, h);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 || h->answer_event == NULL ||
	    event_add(h->answer_event, NULL) != 0 || send_task(h) != KMS_OK)
		fail(h, KMS_E_HARDWARE_HELPER);
}

void helper_started(struct keeper *k, uint64_t number, int fd)
{
	struct helper *h = k->helper;
	/* A process for a task whose deadline has passed is nobody's. */
	bool mine = h->state == STARTING && number == h->asked;
	bool wanted = mine && fd >= 0;
	if (wanted)
		take_process(h, fd);
	else if (fd >= 0)
		(void)close(fd);
	if (mine && !wanted)
		fail(h, KMS_E_HARDWARE_HELPER);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct helper *h = arg;
	keeper_tick(h->k);
	const struct link_message kill = { .word = LINK_HELPER_KILL };
	/* Without a parent there is no helper either: its end is ours, by the kernel's word. */
	if (link_send(h->k->start->link_fd, &kill, -1) != KMS_OK)
		LOG(LOG_LEVEL_WARNING, "link", "The parent can't be told to stop kms-seal.",
		    log_err(KMS_E_IO));
	fail(h, KMS_E_HARDWARE_TIMEOUT);
}

static void start_process(struct helper *h)
{
	const struct link_message m = { .word = LINK_HELPER_START, .number = ++h->asked };
	h->state = STARTING;
	if (link_send(h->k->start->link_fd, &m, -1) != KMS_OK)
		fail(h, KMS_E_HARDWARE_HELPER);
}

static void next(struct helper *h)
{
	const struct job *j = TAILQ_FIRST(&h->jobs);
	if (j == NULL || h->state != IDLE)
		return;
	uint64_t us = j->task.deadline_us;
	const struct timeval deadline = { .tv_sec = (time_t)(us / 1000000),
		.tv_usec = (suseconds_t)(us % 1000000) };
	(void)event_add(h->deadline_event, &deadline);
	if (j->fresh)
		drop_process(h);
	/* One that was idle may be about to leave; then it takes nothing, and another one is started. */
	if (h->fd >= 0 && send_task(h) == KMS_OK)
		return;
	drop_process(h);
	start_process(h);
}

kms_err helper_call(
    struct keeper *k, const struct call_task *task, bool fresh, helper_done *done, void *arg)
{
	struct helper *h = k->helper;
	if (h->n >= JOBS_MAX)
		return KMS_E_TOO_MANY;
	TRY(backoff_check(k, task->slot));
	AUTO(job_free) struct job *j = calloc(1, sizeof(*j));
	if (j == NULL)
		return KMS_E_NO_MEMORY;
	j->task = *task;
	TRY(buf_put(&j->blob, task->blob));
	TRY(buf_put(&j->data, task->data));
	j->task.blob = buf_bytes(&j->blob);
	j->task.data = buf_bytes(&j->data);
	j->fresh = fresh;
	j->done = done;
	j->arg = arg;
	TAILQ_INSERT_TAIL(&h->jobs, j, entry);
	h->n++;
	j = NULL; /* the list's */
	next(h);
	return KMS_OK;
}

kms_err helper_new(struct keeper *k, struct helper **out)
{
	AUTO(helper_free) struct helper *h = calloc(1, sizeof(*h));
	if (h == NULL)
		return KMS_E_NO_MEMORY;
	h->k = k;
	h->fd = -1;
	TAILQ_INIT(&h->jobs);
	h->deadline_event = event_new(k->base, -1, 0, on_deadline, h);
	if (h->deadline_event == NULL)
		return KMS_E_NO_MEMORY;
	*out = MOVE(h);
	return KMS_OK;
}

void helper_free(struct helper **h)
{
	if (*h == NULL)
		return;
	drop_process(*h);
	for (struct job *j; (j = TAILQ_FIRST(&(*h)->jobs)) != NULL; job_free(&j))
		TAILQ_REMOVE(&(*h)->jobs, j, entry);
	if ((*h)->deadline_event != NULL)
		event_free((*h)->deadline_event);
	free(*h);
	*h = NULL;
}
