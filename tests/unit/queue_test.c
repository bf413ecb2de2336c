/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queue between threads: order, capacity, its descriptor, closing, and many writers at
 * once. Run under ThreadSanitizer as well.
 */
#include "kms/base/queue.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "tests/unit/trap.h"

enum {
	WRITERS = 4,
	EACH = 5000
};

struct item {
	unsigned writer, number;
};

struct writer {
	struct queue *q;
	struct item items[EACH];
	pthread_t thread;
};

static bool readable(const struct queue *q)
{
	struct pollfd p = { .fd = queue_fd(q), .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

static void items_leave_in_order(void **state)
{
	AUTO(queue_free) struct queue *q = NULL;
	int items[3];

	(void)state;
	assert_int_equal(queue_new(3, &q), KMS_OK);
	/* Twice around the ring. */
	for (unsigned turn = 0; turn < 6; turn++) {
		assert_int_equal(queue_put(q, &items[0]), KMS_OK);
		assert_int_equal(queue_put(q, &items[1]), KMS_OK);
		assert_ptr_equal(queue_take(q), &items[0]);
		assert_int_equal(queue_put(q, &items[2]), KMS_OK);
		assert_ptr_equal(queue_wait(q), &items[1]);
		assert_ptr_equal(queue_take(q), &items[2]);
		assert_null(queue_take(q));
	}
}

static void the_descriptor_follows_the_content(void **state)
{
	AUTO(queue_free) struct queue *q = NULL;
	int a, b;

	(void)state;
	assert_int_equal(queue_new(2, &q), KMS_OK);
	assert_false(readable(q));
	assert_int_equal(queue_put(q, &a), KMS_OK);
	assert_int_equal(queue_put(q, &b), KMS_OK);
	assert_true(readable(q));
	assert_ptr_equal(queue_take(q), &a);
	assert_true(readable(q));
	assert_ptr_equal(queue_take(q), &b);
	assert_false(readable(q));
	assert_int_equal(queue_put(q, &a), KMS_OK);
	assert_true(readable(q));
	assert_ptr_equal(queue_wait(q), &a);
	assert_false(readable(q));
}

static void a_full_queue_refuses(void **state)
{
	AUTO(queue_free) struct queue *q = NULL;
	int a, b;

	(void)state;
	assert_int_equal(queue_new(1, &q), KMS_OK);
	assert_int_equal(queue_put(q, &a), KMS_OK);
	assert_int_equal(queue_put(q, &b), KMS_E_TOO_MANY);
	assert_ptr_equal(queue_take(q), &a);
	assert_int_equal(queue_put(q, &b), KMS_OK);
	assert_ptr_equal(queue_take(q), &b);
}

static void a_closed_queue_refuses_but_drains(void **state)
{
	AUTO(queue_free) struct queue *q = NULL;
	int a;

	(void)state;
	assert_int_equal(queue_new(2, &q), KMS_OK);
	assert_int_equal(queue_put(q, &a), KMS_OK);
	queue_close(q);
	queue_close(q);
	assert_int_equal(queue_put(q, &a), KMS_E_TOO_MANY);
	assert_ptr_equal(queue_wait(q), &a);
	assert_null(queue_wait(q));
	assert_null(queue_take(q));
}

static void closing_wakes_a_poll_once(void **state)
{
	AUTO(queue_free) struct queue *q = NULL;

	(void)state;
	assert_int_equal(queue_new(1, &q), KMS_OK);
	queue_close(q);
	assert_true(readable(q));
	assert_null(queue_take(q));
	assert_false(readable(q));
}

static void nothing_can_be_made_of_nothing(void **state)
{
	AUTO(queue_free) struct queue *q = NULL;

	(void)state;
	assert_int_equal(queue_new(0, &q), KMS_E_NO_MEMORY);
	assert_int_equal(queue_new(SIZE_MAX, &q), KMS_E_NO_MEMORY);
	assert_null(q);
	queue_free(&q);
}

static void without_a_descriptor_there_is_no_queue(void **state)
{
	AUTO(queue_free) struct queue *q = NULL;
	struct rlimit before;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	struct rlimit none = { .rlim_cur = 0, .rlim_max = before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	kms_err e = queue_new(1, &q);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(e, KMS_E_NO_MEMORY);
	assert_null(q);
}

static void no_item_is_null(void **state)
{
	AUTO(queue_free) struct queue *q = NULL;
	char text[256];

	(void)state;
	assert_int_equal(queue_new(1, &q), KMS_OK);
	struct capture c = capture_start();
	bool hit = TRAPS(SIGABRT, queue_put(q, NULL));
	(void)capture_end(&c, text, sizeof(text));
	assert_true(hit);
	assert_null(queue_take(q));
}

static void *write_all(void *arg)
{
	struct writer *w = arg;

	for (unsigned i = 0; i < EACH; i++) {
		while (queue_put(w->q, &w->items[i]) != KMS_OK)
			(void)sched_yield();
	}
	return NULL;
}

static void start_writers(struct writer *writers, struct queue *q)
{
	for (unsigned i = 0; i < WRITERS; i++) {
		writers[i].q = q;
		for (unsigned k = 0; k < EACH; k++)
			writers[i].items[k] = (struct item){ .writer = i, .number = k };
		assert_int_equal(
		    pthread_create(&writers[i].thread, NULL, write_all, &writers[i]), 0);
	}
}

/* Each writer's items come in its order; together they are complete. */
static void note(unsigned next[WRITERS], const struct item *item)
{
	assert_int_equal(item->number, next[item->writer]);
	next[item->writer]++;
}

static void join_all(struct writer *writers)
{
	for (unsigned i = 0; i < WRITERS; i++)
		assert_int_equal(pthread_join(writers[i].thread, NULL), 0);
}

static void many_writers_one_waiting_reader(void **state)
{
	static struct writer writers[WRITERS];
	AUTO(queue_free) struct queue *q = NULL;
	unsigned next[WRITERS] = { 0 };

	(void)state;
	assert_int_equal(queue_new(64, &q), KMS_OK);
	start_writers(writers, q);
	for (unsigned i = 0; i < WRITERS * EACH; i++)
		note(next, queue_wait(q));
	join_all(writers);
	assert_null(queue_take(q));
}

static void many_writers_one_polling_reader(void **state)
{
	static struct writer writers[WRITERS];
	AUTO(queue_free) struct queue *q = NULL;
	unsigned next[WRITERS] = { 0 };
	unsigned n = 0;

	(void)state;
	assert_int_equal(queue_new(64, &q), KMS_OK);
	start_writers(writers, q);
	while (n < WRITERS * EACH) {
		struct pollfd p = { .fd = queue_fd(q), .events = POLLIN };

		/* A wakeup that was lost would time out here. */
		assert_int_equal(poll(&p, 1, 30000), 1);
		for (struct item *x = queue_take(q); x != NULL; x = queue_take(q), n++)
			note(next, x);
	}
	join_all(writers);
	assert_false(readable(q));
}

static void *wait_for_the_end(void *arg)
{
	struct queue *q = arg;

	return queue_wait(q);
}

static void closing_wakes_a_waiting_reader(void **state)
{
	AUTO(queue_free) struct queue *q = NULL;
	pthread_t reader;
	void *item = &reader;

	(void)state;
	assert_int_equal(queue_new(1, &q), KMS_OK);
	assert_int_equal(pthread_create(&reader, NULL, wait_for_the_end, q), 0);
	queue_close(q);
	assert_int_equal(pthread_join(reader, &item), 0);
	assert_null(item);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(items_leave_in_order),
		cmocka_unit_test(the_descriptor_follows_the_content),
		cmocka_unit_test(a_full_queue_refuses),
		cmocka_unit_test(a_closed_queue_refuses_but_drains),
		cmocka_unit_test(closing_wakes_a_poll_once),
		cmocka_unit_test(nothing_can_be_made_of_nothing),
		cmocka_unit_test(without_a_descriptor_there_is_no_queue),
		cmocka_unit_test(no_item_is_null),
		cmocka_unit_test(many_writers_one_waiting_reader),
		cmocka_unit_test(many_writers_one_polling_reader),
		cmocka_unit_test(closing_wakes_a_waiting_reader),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
