/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal thread. One job at a time from one queue, one notice for each into another; the
 * loop never waits for either. May not see a key: everything here is sealed already.
 */
#include "kms/keeper/journal.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "kms/base/queue.h"
#include "kms/keeper/thread.h"
#include "kms/store/sqlite.h"

enum {
	QUEUE_LEN = 1024,             /* jobs and notices under way; the loop keeps far below */
	RETRY_NS = 250 * 1000 * 1000, /* between two tries of a stuck group */
	SLICE_NS = 100 * 1000         /* the least that there is */
};

/* linux/sched/types.h, whose header can't be had together with libc's sched.h. */
struct sched_attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

enum job_kind {
	JOB_GROUP,
	JOB_ROWS,
	JOB_GIVE_STORE,
	JOB_CLOSE_STORE,
	JOB_COPY_STORE
};

struct job {
	enum job_kind kind;
	uint64_t number;
	struct trail_group *group;
	struct row_batch *rows;
	struct store *store;
};

struct journal {
	pthread_t thread;
	struct queue *jobs, *notices;
	struct segments *segments; /* the thread's */
	struct store *store;       /* the thread's */
	atomic_bool stopping;
	bool gave_up; /* a group was left out: none behind it may be written */
};

static void job_free(struct job **j)
{
	if (*j == NULL)
		return;
	trail_group_free(&(*j)->group);
	row_batch_free(&(*j)->rows);
	if ((*j)->store != NULL)
		store_close(&(*j)->store);
	free(*j);
	*j = NULL;
}

void journal_done_free(struct journal_done **d)
{
	if (*d == NULL)
		return;
	if ((*d)->copy != NULL)
		store_close(&(*d)->copy);
	free(*d);
	*d = NULL;
}

static void tell(struct journal *j, const struct journal_done *what)
{
	struct journal_done *d = malloc(sizeof(*d));
	CHECK(d != NULL);
	*d = *what;
	/* The loop takes all there is in every turn, and gives far fewer jobs than this holds. */
	CHECK(queue_put(j->notices, d) == KMS_OK);
}

static void notify(struct journal *j, enum journal_kind kind, uint64_t number, kms_err err)
{
	tell(j, &(struct journal_done){ .kind = kind, .number = number, .err = err });
}

/* Until it is written or we stop: the records are numbered and chained, none may be left out. */
static void write_group(struct journal *j, const struct job *job)
{
	static const struct timespec pause = { .tv_nsec = RETRY_NS };
	bool told = false;
	for (;;) {
		kms_err e = segments_write(j->segments, job->group->writes, job->group->n);
		if (e == KMS_OK)
			break;
		if (!told)
			notify(j, JOURNAL_STUCK, job->number, e);
		told = true;
		j->gave_up = atomic_load(&j->stopping);
		if (j->gave_up)
			return;
		(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
	}
	notify(j, JOURNAL_GROUP, job->number, KMS_OK);
}

static void write_rows(struct journal *j, const struct job *job)
{
	const struct row_batch *batch = job->rows;
	kms_err e = j->store == NULL ? KMS_E_STORE_IO : row_batch_apply(j->store, &batch, 1);
	/* Behind a failed batch nothing may be written: the set hash counts it in. */
	if (e != KMS_OK && j->store != NULL)
		store_close(&j->store);
	notify(j, JOURNAL_ROWS, job->number, e);
}

/* Groups wait meanwhile: some milliseconds for ten thousand keys. */
static void copy_store(struct journal *j)
{
	struct journal_done d = { .kind = JOURNAL_SNAPSHOT, .err = KMS_E_STORE_IO };
	if (j->store != NULL)
		d.err = sqlite_store_snapshot(j->store, &d.copy);
	tell(j, &d);
}

static void do_job(struct journal *j, struct job *job)
{
	switch (job->kind) {
	case JOB_GROUP:
		if (!j->gave_up)
			write_group(j, job);
		break;
	case JOB_ROWS: write_rows(j, job); break;
	case JOB_GIVE_STORE:
		if (j->store != NULL)
			store_close(&j->store);
		j->store = MOVE(job->store);
		break;
	case JOB_COPY_STORE: copy_store(j); break;
	case JOB_CLOSE_STORE:
		if (j->store != NULL)
			store_close(&j->store);
		notify(j, JOURNAL_STORE_CLOSED, 0, KMS_OK);
		break;
	}
}

/*
 * A short slice: when a flush has ended this thread must not wait until the loop has nothing to do,
 * with the disk idle meanwhile. Kernels before 6.12 know no slices and change nothing.
 */
static void ask_for_short_slices(void)
{
	const struct sched_attr attr = { .size = sizeof(attr), .runtime = SLICE_NS };
	(void)syscall(SYS_sched_setattr, 0, &attr, 0U);
}

static void *run(void *arg)
{
	struct journal *j = arg;
	ask_for_short_slices();
	for (;;) {
		AUTO(job_free) struct job *job = queue_wait(j->jobs);
		if (job == NULL)
			return NULL;
		do_job(j, job);
	}
}

static void parts_free(struct journal **j)
{
	if (*j == NULL)
		return;
	if ((*j)->jobs != NULL)
		for (struct job *left; (left = queue_take((*j)->jobs)) != NULL; job_free(&left))
			continue;
	if ((*j)->notices != NULL)
		for (struct journal_done *d; (d = queue_take((*j)->notices)) != NULL;
		     journal_done_free(&d))
			continue;
	queue_free(&(*j)->jobs);
	queue_free(&(*j)->notices);
	segments_free(&(*j)->segments);
	if ((*j)->store != NULL)
		store_close(&(*j)->store);
	free(*j);
	*j = NULL;
}

kms_err journal_new(int dir_fd, uint32_t segment_size, struct journal **out)
{
	AUTO(parts_free) struct journal *j = calloc(1, sizeof(*j));
	if (j == NULL)
		return KMS_E_NO_MEMORY;
	TRY(queue_new(QUEUE_LEN, &j->jobs));
	TRY(queue_new(QUEUE_LEN, &j->notices));
	TRY(segments_new(dir_fd, segment_size, &j->segments));
	TRY(thread_start(run, j, &j->thread));
	*out = MOVE(j);
	return KMS_OK;
}

void journal_free(struct journal **j)
{
	if (*j == NULL)
		return;
	atomic_store(&(*j)->stopping, true);
	queue_close((*j)->jobs);
	(void)pthread_join((*j)->thread, NULL);
	parts_free(j);
}

static kms_err put(struct journal *j, const struct job *what)
{
	AUTO(job_free) struct job *job = malloc(sizeof(*job));
	if (job == NULL) {
		struct job lost = *what;
		trail_group_free(&lost.group);
		row_batch_free(&lost.rows);
		if (lost.store != NULL)
			store_close(&lost.store);
		return KMS_E_NO_MEMORY;
	}
	*job = *what;
	TRY(queue_put(j->jobs, job));
	job = NULL; /* the queue's */
	return KMS_OK;
}

kms_err journal_put_group(struct journal *j, struct trail_group *g, uint64_t number)
{
	return put(j, &(struct job){ .kind = JOB_GROUP, .number = number, .group = g });
}

kms_err journal_put_rows(struct journal *j, struct row_batch *b, uint64_t number)
{
	return put(j, &(struct job){ .kind = JOB_ROWS, .number = number, .rows = b });
}

kms_err journal_give_store(struct journal *j, struct store *s)
{
	return put(j, &(struct job){ .kind = JOB_GIVE_STORE, .store = s });
}

kms_err journal_close_store(struct journal *j)
{
	return put(j, &(struct job){ .kind = JOB_CLOSE_STORE });
}

kms_err journal_copy_store(struct journal *j)
{
	return put(j, &(struct job){ .kind = JOB_COPY_STORE });
}

struct journal_done *journal_take(struct journal *j)
{
	return queue_take(j->notices);
}

int journal_fd(const struct journal *j)
{
	return queue_fd(j->notices);
}
