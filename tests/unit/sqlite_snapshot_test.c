/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies of a store in memory: whole, of one moment, on their own, and not to be written to.
 * kms/store/sqlite_snapshot.c stands behind each.
 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "kms/base/clock.h"
#include "tests/unit/rows_help.h"

enum {
	MANY = 5000
};

/* 1: the next read of SQLite fails; 0: none. */
static size_t bad_read;

/* By its name for the linker alone: the header has an inline one. */
__attribute__((visibility("default"))) ssize_t failing_pread64(
    int fd, void *p, size_t n, __off64_t at) __asm__("pread64");

ssize_t failing_pread64(int fd, void *p, size_t n, __off64_t at)
{
	ssize_t (*real)(int, void *, size_t, __off64_t);
	void *found = dlsym(RTLD_NEXT, "pread64");

	CHECK(found != NULL);
	memcpy(&real, &found, sizeof(real));
	if (bad_read > 0 && --bad_read == 0) {
		errno = EIO;
		return -1;
	}
	return real(fd, p, n, at);
}

static struct store *snapshot_of(struct tried *t)
{
	struct store *s = NULL;

	assert_int_equal(sqlite_store_snapshot(t->bench.store, &s), KMS_OK);
	return s;
}

static kms_err load_of(struct tried *t, struct store *s, struct epoch *out)
{
	AUTO(rows_free) struct rows *r = rows_of(t->key);
	AUTO(buf_done) struct buf told = { 0 };

	return rows_load(r, s, tell, &told, out);
}

static void it_holds_what_the_store_held(void **state)
{
	struct tried *t = *state;
	struct epoch e;

	fill(t);
	AUTO(store_close) struct store *s = snapshot_of(t);
	t->epoch.number++;
	put_now(t, TABLE_KEY, "key-1", "changed");
	put_now(t, TABLE_KEY, "key-3", "new");
	delete_now(t, TABLE_VERSION, "key-1");
	assert_int_equal(load_of(t, s, &e), KMS_OK);
	assert_memory_equal(&e, &first_epoch, sizeof(e));
	assert_true(row_absent(s, TABLE_KEY, "key-3"));
	assert_true(row_is(s, TABLE_SLOT, "slot", "the slot's bytes"));
	AUTO(store_close) struct store *later = snapshot_of(t);
	assert_int_equal(load_of(t, later, &e), KMS_OK);
	assert_int_equal(e.number, first_epoch.number + 1);
}

/* A reader would have pinned the WAL. */
static void a_purge_passes_it_by(void **state)
{
	struct tried *t = *state;
	struct epoch e;

	fill(t);
	AUTO(buf_done) struct buf gone = stored(t, TABLE_VERSION, "key-1");
	AUTO(store_close) struct store *s = snapshot_of(t);
	delete_now(t, TABLE_VERSION, "key-1");
	assert_int_equal(store_purge(t->bench.store), KMS_OK);
	assert_int_equal(folder_find(&t->bench.folder, buf_bytes(&gone)), 0);
	assert_int_equal(load_of(t, s, &e), KMS_OK);
}

static void it_outlives_the_store(void **state)
{
	struct tried *t = *state;
	struct epoch e;

	fill(t);
	AUTO(store_close) struct store *s = snapshot_of(t);
	bench_close(&t->bench);
	assert_int_equal(load_of(t, s, &e), KMS_OK);
}

struct handed {
	struct store *snapshot;
	struct rows *rows;
	kms_err err;
};

static void *load_in_thread(void *arg)
{
	struct handed *h = arg;
	AUTO(buf_done) struct buf told = { 0 };
	struct epoch e;

	h->err = rows_load(h->rows, h->snapshot, tell, &told, &e);
	store_close(&h->snapshot);
	rows_free(&h->rows);
	return NULL;
}

static void another_thread_may_have_it(void **state)
{
	struct tried *t = *state;
	pthread_t thread;

	fill(t);
	struct handed h = {
		.snapshot = snapshot_of(t), .rows = rows_of(t->key), .err = KMS_E_INTERNAL
	};
	assert_int_equal(pthread_create(&thread, NULL, load_in_thread, &h), 0);
	for (int i = 0; i < 50; i++)
		put_now(t, TABLE_KEY, "key-1", "changed meanwhile");
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(h.err, KMS_OK);
}

static void fill_large(struct tried *t)
{
	static const uint8_t value[300] = { 0x11 };
	struct row_batch *b = batch_of();
	uint8_t key[16] = { 0 };

	fill(t);
	for (uint32_t i = 0; i < MANY; i++) {
		store_u32(key, i * 2654435761u);
		assert_int_equal(rows_put(t->rows, b, TABLE_KEY, bytes_of(key, sizeof(key)),
		                     bytes_of(value, sizeof(value))),
		    KMS_OK);
	}
	apply(t, &b);
}

/* What stands in the WAL alone is in it, too. */
static void many_rows_are_copied(void **state)
{
	struct tried *t = *state;
	struct epoch e;

	fill_large(t);
	uint64_t start = clock_mono_us();
	AUTO(store_close) struct store *s = snapshot_of(t);
	print_message("%d rows copied in %lu us\n", MANY, (unsigned long)(clock_mono_us() - start));
	assert_int_equal(load_of(t, s, &e), KMS_OK);
}

static void nothing_is_written_to_it(void **state)
{
	struct tried *t = *state;
	const struct store_write w = write_of(TABLE_KEY, bytes_of_str("a"), bytes_of_str("b"));

	fill(t);
	AUTO(store_close) struct store *s = snapshot_of(t);
	assert_int_equal(store_begin(s), KMS_E_INTERNAL);
	assert_int_equal(store_put(s, &w), KMS_E_INTERNAL);
	assert_int_equal(store_commit(s), KMS_E_INTERNAL);
	assert_int_equal(store_purge(s), KMS_E_INTERNAL);
	store_rollback(s);
	assert_true(row_absent(s, TABLE_KEY, "a"));
	assert_int_equal(load_error(t), KMS_OK);
}

/* Overwrites what stands in the file, from `at` to its end, while the store is closed. */
static void overwrite(struct tried *t, off_t at)
{
	struct stat st = { .st_size = 0 };

	bench_close(&t->bench);
	int fd = open(t->bench.path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0 && fstat(fd, &st) == 0);
	for (; at < st.st_size; at++)
		assert_int_equal(pwrite(fd, "\xff", 1, at), 1);
	(void)close(fd);
}

static void a_damaged_store_gives_no_snapshot_that_loads(void **state)
{
	struct tried *t = *state;
	struct store *s = NULL;
	struct epoch e;

	fill(t);
	overwrite(t, 4096);
	bench_open(&t->bench);
	kms_err err = sqlite_store_snapshot(t->bench.store, &s);
	if (err == KMS_OK)
		err = load_of(t, s, &e);
	assert_int_equal(err, KMS_E_STORE_CORRUPT);
	store_close(&s);
}

/* SQLite gives zeros for a page that it can't read. What was proved is whole all the same. */
static void no_page_is_left_out_unseen(void **state)
{
	struct tried *t = *state;
	size_t n = 1, seen = 0;

	fill_large(t);
	for (;; n += 37) {
		AUTO(store_close) struct store *s = NULL;
		struct epoch e;
		bad_read = n;
		kms_err err = sqlite_store_snapshot(t->bench.store, &s);
		if (bad_read > 0)
			break;
		if (err == KMS_OK)
			err = load_of(t, s, &e);
		assert_int_not_equal(err, KMS_OK);
		seen++;
	}
	bad_read = 0;
	assert_true(seen > 3);
	assert_int_equal(load_error(t), KMS_OK);
}

/* It could not have been a second connection: nobody gets in beside the first. */
static void the_file_stays_locked(void **state)
{
	struct tried *t = *state;
	struct store *second = NULL;

	fill(t);
	AUTO(store_close) struct store *s = snapshot_of(t);
	assert_non_null(s);
	assert_int_equal(sqlite_store_open(t->bench.path, &second), KMS_E_STORE_LOCKED);
	assert_null(second);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_holds_what_the_store_held),
		TEST(a_purge_passes_it_by),
		TEST(it_outlives_the_store),
		TEST(another_thread_may_have_it),
		TEST(many_rows_are_copied),
		TEST(nothing_is_written_to_it),
		TEST(a_damaged_store_gives_no_snapshot_that_loads),
		TEST(no_page_is_left_out_unseen),
		TEST(the_file_stays_locked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
