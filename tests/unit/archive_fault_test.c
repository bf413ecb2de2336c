/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backups where the disk or the process ends at any call: under its name stands nothing or the
 * whole when one is made, the old file or the new one when it gets other doors. What stood in a temporary
 * file is gone, at the latest after archive_clean. kms/store/archive_file.c stands behind each.
 */
#include "kms/store/archive.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "tests/unit/archive_help.h"
#include "tests/unit/disk_fault.h"
#include "tests/unit/file_fault.h"

enum {
	FAULTS_MAX = 200 /* a story has far fewer calls */
};

static const struct archive_doors other_doors = {
	.slots = { { (const uint8_t *)"another slot", 12 } },
	.slot_n = 1,
	.keyring = { (const uint8_t *)"wrapped anew", 12 },
};

typedef kms_err story(const struct shelf *s);

static kms_err make_one(const struct shelf *s)
{
	struct archive_about about = { .rows = 0 };

	return back_up(s, backup_name, &about);
}

static kms_err reseal_it(const struct shelf *s)
{
	return archive_reseal(s->dir_fd, backup_name, &s->keys, &other_doors);
}

/* A row that takes several chunks, so that there are several writes. */
static void fill_large(struct tried *t)
{
	static char value[50000];

	fill(t);
	memset(value, 'v', sizeof(value) - 1);
	put_now(t, TABLE_KEY, "large", value);
}

static void remove_it(const struct shelf *s)
{
	(void)unlinkat(s->dir_fd, backup_name, 0);
}

static void put_back(const struct shelf *s, const struct buf *file)
{
	char path[2 * FOLDER_PATH];

	folder_file(&s->t->bench.folder, backup_name, path);
	file_write(path, buf_bytes(file));
}

static bool stands_there(const struct shelf *s, const struct buf *file)
{
	AUTO(buf_done) struct buf now = file_of(s, backup_name);

	return bytes_equal(buf_bytes(&now), buf_bytes(file));
}

static kms_err check_it(const struct shelf *s)
{
	AUTO(buf_done) struct buf told = { .p = NULL };

	return check_name(s, backup_name, &told);
}

static kms_err fail_in(const struct shelf *s, story *tell_it, size_t in, int error)
{
	file_fault = (struct file_fault){ .in = in, .kind = FILE_FAIL, .error = error };
	kms_err e = tell_it(s);
	file_fault.in = 0;
	return e;
}

static const struct {
	int error;
	kms_err want;
} faults[] = { { ENOSPC, KMS_E_BACKUP_FULL }, { EDQUOT, KMS_E_BACKUP_FULL },
	{ EFBIG, KMS_E_BACKUP_FULL }, { EIO, KMS_E_BACKUP_IO } };

static void a_failing_disk_leaves_no_new_backup(void **state)
{
	AUTO(shelf_done) struct shelf s = shelf_new(*state);

	fill_large(*state);
	for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
		size_t n = 1;
		for (; n < FAULTS_MAX; n++) {
			kms_err e = fail_in(&s, make_one, n, faults[i].error);
			if (e == KMS_OK)
				break;
			assert_int_equal(e, faults[i].want);
			assert_false(file_there(&s, backup_name));
			assert_int_equal(count_temps(&s), 0);
		}
		assert_true(n > 6 && n < FAULTS_MAX);
		assert_int_equal(check_it(&s), KMS_OK);
		remove_it(&s);
	}
}

static void a_failing_disk_leaves_the_old_doors(void **state)
{
	AUTO(shelf_done) struct shelf s = shelf_new(*state);

	fill_large(*state);
	assert_int_equal(make_one(&s), KMS_OK);
	AUTO(buf_done) struct buf old = file_of(&s, backup_name);
	assert_int_equal(reseal_it(&s), KMS_OK);
	AUTO(buf_done) struct buf new = file_of(&s, backup_name);
	for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
		size_t n = 1;
		for (; n < FAULTS_MAX; n++) {
			put_back(&s, &old);
			kms_err e = fail_in(&s, reseal_it, n, faults[i].error);
			assert_int_equal(count_temps(&s), 0);
			/* Once it has its name, only the flush of the folder can fail. */
			assert_true(stands_there(&s, &old) || stands_there(&s, &new));
			if (e == KMS_OK)
				break;
			assert_int_equal(e, faults[i].want);
		}
		assert_true(n > 5 && n < FAULTS_MAX);
		assert_true(stands_there(&s, &new));
	}
}

/* True if the process was killed before the story's end. */
static bool die_in(const struct shelf *s, story *tell_it, size_t in, enum file_fault_kind kind)
{
	int status = 0;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		file_fault = (struct file_fault){ .in = in, .kind = kind };
		_exit(tell_it(s) == KMS_OK ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
	return WIFSIGNALED(status);
}

static void a_killed_writer_leaves_all_or_nothing(void **state)
{
	AUTO(shelf_done) struct shelf s = shelf_new(*state);
	size_t left = 0;

	fill_large(*state);
	for (int kind = FILE_KILL; kind <= FILE_TEAR; kind++) {
		size_t n = 1;
		for (; die_in(&s, make_one, n, (enum file_fault_kind)kind); n++) {
			assert_true(n < FAULTS_MAX);
			if (file_there(&s, backup_name))
				assert_int_equal(check_it(&s), KMS_OK);
			left += count_temps(&s);
			assert_int_equal(archive_clean(s.dir_fd), KMS_OK);
			assert_int_equal(count_temps(&s), 0);
			remove_it(&s);
		}
		assert_true(n > 6);
		assert_int_equal(check_it(&s), KMS_OK);
		remove_it(&s);
	}
	assert_true(left > 0);
}

static void a_killed_reseal_leaves_old_or_new(void **state)
{
	AUTO(shelf_done) struct shelf s = shelf_new(*state);

	fill_large(*state);
	assert_int_equal(make_one(&s), KMS_OK);
	AUTO(buf_done) struct buf old = file_of(&s, backup_name);
	assert_int_equal(reseal_it(&s), KMS_OK);
	AUTO(buf_done) struct buf new = file_of(&s, backup_name);
	for (int kind = FILE_KILL; kind <= FILE_TEAR; kind++) {
		size_t n = 1, seen_old = 0, seen_new = 0;
		for (; put_back(&s, &old), die_in(&s, reseal_it, n, (enum file_fault_kind)kind);
		     n++) {
			assert_true(n < FAULTS_MAX);
			seen_old += stands_there(&s, &old);
			seen_new += stands_there(&s, &new);
			assert_int_equal(seen_old + seen_new, n);
			assert_int_equal(archive_clean(s.dir_fd), KMS_OK);
		}
		assert_true(seen_old > 3 && seen_new > 0);
		assert_true(stands_there(&s, &new));
	}
}

/* What a killed one left under the same name is no hindrance, and is not written into. */
static void a_leftover_is_replaced(void **state)
{
	AUTO(shelf_done) struct shelf s = shelf_new(*state);
	char temp[64], path[2 * FOLDER_PATH];

	fill(*state);
	(void)snprintf(temp, sizeof(temp), ".kmsb-%d.tmp", gettid());
	assert_int_equal(symlinkat("victim", s.dir_fd, temp), 0);
	folder_file(&s.t->bench.folder, "victim", path);
	file_write(path, bytes_of_str("untouched"));
	assert_int_equal(make_one(&s), KMS_OK);
	assert_int_equal(check_it(&s), KMS_OK);
	AUTO(buf_done) struct buf victim = file_of(&s, "victim");
	assert_true(bytes_equal(buf_bytes(&victim), bytes_of_str("untouched")));
}

/* Some network file systems don't know how to rename without replacing. */
static void a_file_system_without_flags_will_do(void **state)
{
	AUTO(shelf_done) struct shelf s = shelf_new(*state);

	fill(*state);
	file_fault.no_flags = true;
	assert_int_equal(make_one(&s), KMS_OK);
	assert_int_equal(make_one(&s), KMS_E_EXISTS);
	file_fault.no_flags = false;
	assert_int_equal(check_it(&s), KMS_OK);
	assert_int_equal(count_temps(&s), 0);
}

/* Into a store of its own, which is there afterwards. */
static kms_err restore_it(const struct shelf *s, int fd)
{
	AUTO(archive_close) struct archive *a = NULL;
	AUTO(store_close) struct store *target = NULL;
	char path[2 * FOLDER_PATH];

	folder_file(&s->t->bench.folder, "other.db", path);
	TRY(archive_open(fd, &s->keys, &a));
	TRY(sqlite_store_open(path, &target));
	return archive_restore(a, target);
}

/* True if all rows are there; false if none is, and a second try would be fine. */
static bool is_restored(const struct shelf *s)
{
	AUTO(store_close) struct store *target = NULL;
	AUTO(buf_done) struct buf rows = { .p = NULL };
	char path[2 * FOLDER_PATH];
	struct epoch e;

	folder_file(&s->t->bench.folder, "other.db", path);
	assert_int_equal(sqlite_store_open(path, &target), KMS_OK);
	for (int t = TABLE_META; t < TABLE_COUNT_OF; t++)
		assert_int_equal(
		    store_scan(target, (enum store_table)t, keep_value, &rows), KMS_OK);
	if (rows.n == 0)
		return false;
	buf_clear(&rows);
	assert_int_equal(rows_load(s->rows, target, tell, &rows, &e), KMS_OK);
	return true;
}

static void remove_restored(const struct shelf *s)
{
	(void)unlinkat(s->dir_fd, "other.db", 0);
	(void)unlinkat(s->dir_fd, "other.db-wal", 0);
}

static void a_killed_restore_leaves_all_or_nothing(void **state)
{
	AUTO(shelf_done) struct shelf s = shelf_new(*state);
	size_t empty = 0, n = 1;
	int status = 0;

	fill_large(*state);
	assert_int_equal(make_one(&s), KMS_OK);
	AUTO(buf_done) struct buf file = file_of(&s, backup_name);
	int fd = memory_file(buf_bytes(&file));
	do {
		remove_restored(&s);
		pid_t pid = fork();
		assert_true(pid >= 0 && n < FAULTS_MAX);
		if (pid == 0) {
			disk.kind = DISK_KILL;
			disk.in = n;
			_exit(restore_it(&s, fd) == KMS_OK ? 0 : 1);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		empty += !is_restored(&s);
		n++;
	} while (WIFSIGNALED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_true(is_restored(&s) && empty > 3);
}

static void a_failing_disk_restores_nothing(void **state)
{
	AUTO(shelf_done) struct shelf s = shelf_new(*state);
	kms_err e = KMS_E_STORE_FULL;

	fill_large(*state);
	assert_int_equal(make_one(&s), KMS_OK);
	AUTO(buf_done) struct buf file = file_of(&s, backup_name);
	int fd = memory_file(buf_bytes(&file));
	for (size_t n = 1; e != KMS_OK; n++) {
		assert_true(e == KMS_E_STORE_FULL && n < FAULTS_MAX);
		remove_restored(&s);
		disk.kind = DISK_FAIL;
		disk.error = ENOSPC;
		disk.in = n;
		e = restore_it(&s, fd);
		/* Closing copies the WAL, and what can't be copied stays there. */
		disk.in = 0;
		disk.error = 0;
		if (e != KMS_OK)
			assert_false(is_restored(&s));
	}
	assert_true(is_restored(&s));
}

static void a_disk_that_cannot_be_read_is_named(void **state)
{
	AUTO(shelf_done) struct shelf s = shelf_new(*state);

	fill_large(*state);
	assert_int_equal(make_one(&s), KMS_OK);
	size_t n = 1;
	for (; n < FAULTS_MAX; n++) {
		file_fault = (struct file_fault){ .reads_in = n, .error = EIO };
		kms_err e = check_it(&s);
		file_fault.reads_in = 0;
		if (e == KMS_OK)
			break;
		assert_int_equal(e, KMS_E_BACKUP_IO);
	}
	/* Head twice, salt, then the chunks. */
	assert_true(n > 6 && n < FAULTS_MAX);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_failing_disk_leaves_no_new_backup),
		TEST(a_failing_disk_leaves_the_old_doors),
		TEST(a_killed_writer_leaves_all_or_nothing),
		TEST(a_killed_reseal_leaves_old_or_new),
		TEST(a_leftover_is_replaced),
		TEST(a_file_system_without_flags_will_do),
		TEST(a_killed_restore_leaves_all_or_nothing),
		TEST(a_failing_disk_restores_nothing),
		TEST(a_disk_that_cannot_be_read_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
