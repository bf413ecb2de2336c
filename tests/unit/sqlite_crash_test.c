/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The SQLite backend where the disk or the process ends at any call: what was acknowledged is
 * there afterwards, what was not is there whole or not at all, and what was destroyed is gone.
 */
#include "kms/store/sqlite.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "tests/unit/disk_fault.h"
#include "tests/unit/store_help.h"

enum {
	FAULTS_MAX = 1000, /* a story has far fewer calls */
	PADDING = 6000     /* bytes that make a transaction touch several pages */
};

/* How far a story had come, written by the one who may be killed. */
enum progress {
	NOTHING = 0,
	COMMITTED = 1,
	PURGED = 2
};

static const char before[] = "the value that stood there before and is to be destroyed";
static const char after[] = "the value that replaces it";

static int set_up(void **state)
{
	static struct bench b;

	b = (struct bench){ .store = NULL };
	bench_make(&b);
	bench_close(&b);
	*state = &b;
	return 0;
}

static int tear_down(void **state)
{
	bench_done(*state);
	return 0;
}

/* Both rows as they are before the story, in a store that was closed well. */
static void begin_again(struct bench *b)
{
	AUTO(buf_done) struct buf big = { 0 };

	disk.in = 0;
	disk.error = 0;
	bench_reopen(b);
	assert_int_equal(buf_reserve(&big, PADDING), KMS_OK);
	memset(big.p, 'x', PADDING);
	big.n = PADDING;
	assert_int_equal(put_one(b->store, TABLE_KEY, "a", before), KMS_OK);
	assert_int_equal(
	    store_write_one(b->store, write_of(TABLE_KEY, bytes_of_str("big"), buf_bytes(&big))),
	    KMS_OK);
	assert_int_equal(delete_one(b->store, TABLE_VERSION, "b"), KMS_OK);
	bench_close(b);
}

/* One transaction of three rows, then a purge. `progress` is told as soon as it is so. */
static kms_err tell_story(const struct bench *b, void (*progress)(void *, enum progress), void *arg)
{
	AUTO(store_close) struct store *s = NULL;
	const struct store_write writes[] = {
		write_of(TABLE_KEY, bytes_of_str("a"), bytes_of_str(after)),
		write_of(TABLE_KEY, bytes_of_str("big"), (struct bytes){ 0 }),
		write_of(TABLE_VERSION, bytes_of_str("b"), bytes_of_str(after)),
	};

	TRY(sqlite_store_open(b->path, &s));
	TRY(store_begin(s));
	kms_err e = KMS_OK;
	for (size_t i = 0; i < ARRAY_LEN(writes) && e == KMS_OK; i++)
		e = store_put(s, &writes[i]);
	if (e == KMS_OK)
		e = store_commit(s);
	if (e != KMS_OK) {
		store_rollback(s);
		return e;
	}
	progress(arg, COMMITTED);
	TRY(store_purge(s));
	progress(arg, PURGED);
	return KMS_OK;
}

/* All or nothing; all, if it was acknowledged. And no trace of what isn't there. */
static void check(struct bench *b, enum progress came)
{
	bench_open(b);
	bool done = row_is(b->store, TABLE_KEY, "a", after);

	if (done) {
		assert_true(row_absent(b->store, TABLE_KEY, "big"));
		assert_true(row_is(b->store, TABLE_VERSION, "b", after));
		assert_int_equal(folder_find(&b->folder, bytes_of_str(before)), 0);
	} else {
		assert_int_equal(came, NOTHING);
		assert_true(row_is(b->store, TABLE_KEY, "a", before));
		assert_true(row_absent(b->store, TABLE_VERSION, "b"));
		assert_false(row_absent(b->store, TABLE_KEY, "big"));
	}
	bench_close(b);
}

static void say(void *arg, enum progress p)
{
	const uint8_t byte = (uint8_t)p;

	CHECK(write(*(int *)arg, &byte, 1) == 1);
}

/* Tells the story in a child that dies at its N-th call. True if it lived. */
static bool lives(struct bench *b, size_t n, enum disk_fault_kind kind, enum progress *out)
{
	int ends[2], status = 0;
	uint8_t byte = 0;

	*out = NOTHING;
	assert_int_equal(pipe(ends), 0);
	pid_t pid = fork();
	if (pid == 0) {
		disk.in = n;
		disk.kind = kind;
		_exit(tell_story(b, say, &ends[1]) == KMS_OK ? 0 : 1);
	}
	(void)close(ends[1]);
	while (read(ends[0], &byte, 1) == 1)
		*out = (enum progress)byte;
	(void)close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status)) {
		assert_int_equal(WTERMSIG(status), SIGKILL);
		return false;
	}
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(*out, PURGED);
	return true;
}

static void survives(struct bench *b, enum disk_fault_kind kind)
{
	enum progress came = NOTHING;

	for (size_t n = 1;; n++) {
		assert_true(n < FAULTS_MAX);
		begin_again(b);
		bool lived = lives(b, n, kind, &came);
		check(b, came);
		if (lived) {
			/* open, WAL, pages, flushes, purge: fewer would mean that nothing was tried */
			assert_true(n > 20);
			return;
		}
	}
}

static void a_kill_at_any_call_loses_nothing(void **state)
{
	survives(*state, DISK_KILL);
}

static void a_torn_write_at_any_call_loses_nothing(void **state)
{
	survives(*state, DISK_TEAR);
}

static void note(void *arg, enum progress p)
{
	*(enum progress *)arg = p;
}

static void heals(struct bench *b, int error, kms_err want)
{
	for (size_t n = 1;; n++) {
		enum progress came = NOTHING;
		assert_true(n < FAULTS_MAX);
		begin_again(b);
		disk.in = n;
		disk.kind = DISK_FAIL;
		disk.error = error;
		kms_err e = tell_story(b, note, &came);
		bool untouched = disk.in > 0;
		disk.in = 0;
		/* Some calls are not worth an error: a WAL that could not be removed, say. */
		if (e != KMS_OK)
			assert_string_equal(err_name(e), err_name(want));
		check(b, came);
		if (untouched)
			return;
	}
}

static void a_failing_disk_is_an_io_error_and_heals(void **state)
{
	heals(*state, EIO, KMS_E_STORE_IO);
}

static void a_full_disk_has_its_name_and_heals(void **state)
{
	heals(*state, ENOSPC, KMS_E_STORE_FULL);
}

/* A sandbox closes behind the opening: from there on no file is opened. */
static void nothing_is_opened_later(void **state)
{
	struct bench *b = *state;
	static const uint8_t value[STORE_VALUE_MAX] = { 1 };

	bench_open(b);
	size_t opened = disk.opens;
	for (uint8_t i = 0; i < 100; i++)
		assert_int_equal(store_write_one(b->store, write_of(TABLE_KEY, bytes_of(&i, 1),
		                                               bytes_of(value, sizeof(value)))),
		    KMS_OK);
	for (uint8_t i = 0; i < 100; i++)
		assert_int_equal(store_write_one(b->store,
		                     write_of(TABLE_KEY, bytes_of(&i, 1), (struct bytes){ 0 })),
		    KMS_OK);
	assert_int_equal(store_purge(b->store), KMS_OK);
	assert_int_equal(put_one(b->store, TABLE_KEY, "a", "1"), KMS_OK);
	assert_true(row_is(b->store, TABLE_KEY, "a", "1"));
	assert_int_equal(disk.opens, opened);
	assert_true(opened > 0);
}

/* What a kill between the commit and the purge left is purged by the next to open. */
static void an_unfinished_purge_is_finished(void **state)
{
	struct bench *b = *state;

	begin_again(b);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		bench_open(b);
		(void)put_one(b->store, TABLE_KEY, "a", after);
		(void)raise(SIGKILL);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_true(folder_find(&b->folder, bytes_of_str(before)) > 0);
	bench_open(b);
	assert_int_equal(folder_find(&b->folder, bytes_of_str(before)), 0);
	assert_true(row_is(b->store, TABLE_KEY, "a", after));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_kill_at_any_call_loses_nothing),
		TEST(a_torn_write_at_any_call_loses_nothing),
		TEST(a_failing_disk_is_an_io_error_and_heals),
		TEST(a_full_disk_has_its_name_and_heals),
		TEST(an_unfinished_purge_is_finished),
		TEST(nothing_is_opened_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
