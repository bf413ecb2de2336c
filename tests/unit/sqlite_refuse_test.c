/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each file that kms/store/sqlite_open.c must refuse: locked, newer, foreign, forged, damaged, not
 * writable, without room. By name, and untouched.
 */
#include "kms/store/sqlite.h"

#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "tests/unit/store_help.h"

enum {
	NOBODY = 65534,
	FLIPS = 200,
	FILE_LIMIT = 65536
};

/* What somebody else does to the file, with SQLite and without us. */
static void meddle(const struct bench *b, const char *sql)
{
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(b->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* The store can't be opened, for this reason. */
static void refuses(const struct bench *b, kms_err why)
{
	struct store *s = NULL;

	assert_string_equal(err_name(sqlite_store_open(b->path, &s)), err_name(why));
	assert_null(s);
}

static kms_err join_keys(void *arg, enum store_table t, struct bytes key, struct bytes value)
{
	(void)t;
	(void)value;
	return buf_put(arg, key);
}

static void a_second_opener_is_locked_out(void **state)
{
	struct bench *b = *state;

	refuses(b, KMS_E_STORE_LOCKED);
	assert_int_equal(put_one(b->store, TABLE_KEY, "a", "1"), KMS_OK);
	refuses(b, KMS_E_STORE_LOCKED);
	bench_reopen(b);
	refuses(b, KMS_E_STORE_LOCKED);
}

/* Runs in a child, so that what it does to itself ends with it; gives its result. */
static kms_err in_child(const struct bench *b, kms_err (*f)(const struct bench *b))
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		_exit((int)f(b));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return (kms_err)WEXITSTATUS(status);
}

static kms_err just_open(const struct bench *b)
{
	struct store *s = NULL;

	return sqlite_store_open(b->path, &s);
}

static void another_process_is_locked_out(void **state)
{
	assert_int_equal(in_child(*state, just_open), KMS_E_STORE_LOCKED);
	bench_close(*state);
	assert_int_equal(in_child(*state, just_open), KMS_OK);
}

/* The file and all beside it are as they were after a refusal. */
static void refuses_untouched(const struct bench *b, kms_err why)
{
	char wal[2 * FOLDER_PATH];
	AUTO(buf_done)
	struct buf before = { 0 }, after = { 0 }, wal_before = { 0 }, wal_after = { 0 };

	folder_file(&b->folder, "store.db-wal", wal);
	bool has_wal = access(wal, F_OK) == 0;
	file_read(b->path, &before);
	if (has_wal)
		file_read(wal, &wal_before);
	refuses(b, why);
	file_read(b->path, &after);
	assert_true(bytes_equal(buf_bytes(&before), buf_bytes(&after)));
	if (has_wal)
		file_read(wal, &wal_after);
	assert_true(bytes_equal(buf_bytes(&wal_before), buf_bytes(&wal_after)));
}

static void a_newer_schema_stays_untouched(void **state)
{
	struct bench *b = *state;

	assert_int_equal(put_one(b->store, TABLE_KEY, "a", "1"), KMS_OK);
	bench_close(b);
	meddle(b, "PRAGMA user_version = 2; CREATE TABLE later (x)");
	refuses_untouched(b, KMS_E_STORE_NEWER);
	meddle(b, "DROP TABLE later; PRAGMA user_version = 1");
	bench_open(b);
	assert_true(row_is(b->store, TABLE_KEY, "a", "1"));
}

/* A newer version that was killed: only its WAL says that it is newer. */
static void a_newer_schema_in_the_wal_stays_untouched(void **state)
{
	struct bench *b = *state;
	sqlite3 *db = NULL;

	bench_close(b);
	assert_int_equal(sqlite3_open(b->path, &db), SQLITE_OK);
	assert_int_equal(
	    sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, (int *)NULL), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "PRAGMA user_version = 9", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	refuses_untouched(b, KMS_E_STORE_NEWER);
}

static void a_foreign_database_is_refused(void **state)
{
	struct bench *b = *state;

	bench_close(b);
	meddle(b, "PRAGMA application_id = 5");
	refuses_untouched(b, KMS_E_STORE_CORRUPT);
	meddle(b, "PRAGMA application_id = 1263358820; PRAGMA user_version = 0");
	refuses_untouched(b, KMS_E_STORE_CORRUPT);
	meddle(b, "PRAGMA user_version = -1");
	refuses_untouched(b, KMS_E_STORE_CORRUPT);
	meddle(b, "PRAGMA application_id = 0; PRAGMA user_version = 0");
	refuses_untouched(b, KMS_E_STORE_CORRUPT);
}

static void a_schema_with_more_or_other_things_is_refused(void **state)
{
	struct bench *b = *state;

	bench_close(b);
	meddle(b, "CREATE TRIGGER t AFTER INSERT ON rows BEGIN DELETE FROM rows; END");
	refuses_untouched(b, KMS_E_STORE_CORRUPT);
	meddle(b, "DROP TRIGGER t; CREATE INDEX i ON rows (value)");
	refuses_untouched(b, KMS_E_STORE_CORRUPT);
	meddle(b, "DROP INDEX i; ALTER TABLE rows ADD COLUMN more BLOB");
	refuses_untouched(b, KMS_E_STORE_CORRUPT);
	meddle(b,
	    "DROP TABLE rows; CREATE VIEW rows AS SELECT 1 AS kind, x'00' AS key, x'00' AS value");
	refuses_untouched(b, KMS_E_STORE_CORRUPT);
	meddle(b, "DROP VIEW rows");
	refuses_untouched(b, KMS_E_STORE_CORRUPT);
}

static void damage(const struct bench *b, struct bytes good, size_t at, size_t n)
{
	AUTO(buf_done) struct buf bad = { 0 };

	assert_int_equal(buf_put(&bad, good), KMS_OK);
	for (size_t i = 0; i < n; i++)
		bad.p[at + i] = (uint8_t)~bad.p[at + i];
	file_write(b->path, buf_bytes(&bad));
}

static void a_damaged_file_is_refused(void **state)
{
	struct bench *b = *state;
	AUTO(buf_done) struct buf good = { 0 };

	for (char key[] = "a"; key[0] <= 'z'; key[0]++)
		assert_int_equal(
		    put_one(b->store, TABLE_KEY, key, "a value of some length that fills pages"),
		    KMS_OK);
	bench_close(b);
	file_read(b->path, &good);
	damage(b, buf_bytes(&good), 0, good.n);
	refuses_untouched(b, KMS_E_STORE_CORRUPT);
	damage(b, buf_bytes(&good), 0, 100);
	refuses_untouched(b, KMS_E_STORE_CORRUPT);
	file_write(b->path, bytes_of(good.p, good.n / 2 / 4096 * 4096));
	refuses_untouched(b, KMS_E_STORE_CORRUPT);
	file_write(b->path, bytes_of_str("this is no database, whoever put it here"));
	refuses_untouched(b, KMS_E_STORE_CORRUPT);
	file_write(b->path, buf_bytes(&good));
	bench_open(b);
}

static kms_err open_and_scan(const struct bench *b)
{
	struct store *s = NULL;
	AUTO(buf_done) struct buf keys = { 0 };
	kms_err e = sqlite_store_open(b->path, &s);

	if (e != KMS_OK)
		return e;
	for (int t = TABLE_META; t < TABLE_COUNT_OF && e == KMS_OK; t++)
		e = store_scan(s, (enum store_table)t, join_keys, &keys);
	store_close(&s);
	return e;
}

/* A flip may hit what nobody reads; what the rows say is the seal's business. */
static void flipped_bytes_never_do_worse_than_a_refusal(void **state)
{
	struct bench *b = *state;
	AUTO(buf_done) struct buf good = { 0 };
	struct dice dice = { 1 };
	size_t refusals = 0;

	for (char key[] = "a"; key[0] <= 'z'; key[0]++)
		assert_int_equal(put_one(b->store, TABLE_KEY, key, "a value"), KMS_OK);
	bench_close(b);
	file_read(b->path, &good);
	for (size_t i = 0; i < FLIPS; i++) {
		damage(
		    b, buf_bytes(&good), i < FLIPS / 2 ? i : dice_roll(&dice, (uint32_t)good.n), 1);
		kms_err e = open_and_scan(b);
		refusals += e != KMS_OK;
		assert_true(e == KMS_OK || e == KMS_E_STORE_CORRUPT || e == KMS_E_STORE_NEWER ||
		            e == KMS_E_STORE_IO || e == KMS_E_STORE_FULL);
	}
	assert_int_not_equal(refusals, 0);
	file_write(b->path, buf_bytes(&good));
	assert_int_equal(open_and_scan(b), KMS_OK);
}

static void rows_that_we_never_write_are_refused(void **state)
{
	static const char *const rows[] = {
		"INSERT INTO rows VALUES (5, zeroblob(65), x'00')",
		"INSERT INTO rows VALUES (5, x'', x'00')",
		"INSERT INTO rows VALUES (5, x'00', zeroblob(65537))",
		"INSERT INTO rows VALUES (5, x'00', zeroblob(10000000))",
	};
	struct bench *b = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		bench_close(b);
		meddle(b, "DELETE FROM rows");
		meddle(b, rows[i]);
		assert_int_equal(open_and_scan(b), KMS_E_STORE_CORRUPT);
	}
}

/* As somebody whom permissions bind. */
static kms_err open_as_nobody(const struct bench *b)
{
	if (geteuid() == 0 && (setgid(NOBODY) != 0 || setuid(NOBODY) != 0))
		return KMS_E_INTERNAL;
	return just_open(b);
}

static void give_folder(const struct bench *b, mode_t mode)
{
	if (geteuid() == 0) {
		assert_int_equal(chown(b->folder.path, NOBODY, NOBODY), 0);
		assert_int_equal(chown(b->path, NOBODY, NOBODY), 0);
	}
	assert_int_equal(chmod(b->folder.path, mode), 0);
}

static void a_read_only_folder_is_an_io_error(void **state)
{
	struct bench *b = *state;

	bench_close(b);
	give_folder(b, 0500);
	assert_int_equal(in_child(b, open_as_nobody), KMS_E_STORE_IO);
	give_folder(b, 0700);
	assert_int_equal(in_child(b, open_as_nobody), KMS_OK);
	assert_int_equal(unlink(b->path), 0);
	assert_int_equal(chmod(b->folder.path, 0500), 0);
	assert_int_equal(in_child(b, open_as_nobody), KMS_E_STORE_IO);
	assert_int_equal(chmod(b->folder.path, 0700), 0);
}

static void a_read_only_file_is_an_io_error(void **state)
{
	struct bench *b = *state;

	bench_close(b);
	give_folder(b, 0700);
	assert_int_equal(chmod(b->path, 0400), 0);
	assert_int_equal(in_child(b, open_as_nobody), KMS_E_STORE_IO);
}

static void no_folder_is_an_io_error(void **state)
{
	struct store *s = NULL;

	(void)state;
	assert_int_equal(sqlite_store_open("/nonexistent/store.db", &s), KMS_E_STORE_IO);
	assert_int_equal(sqlite_store_open("/", &s), KMS_E_STORE_IO);
	assert_null(s);
}

/* A disk without room, as far as an ordinary user can have one. */
static kms_err write_until_full(const struct bench *b)
{
	static const uint8_t value[8192] = { 1 };
	const struct rlimit limit = { .rlim_cur = FILE_LIMIT, .rlim_max = FILE_LIMIT };
	struct store *s = NULL;
	uint8_t key = 0;

	(void)signal(SIGXFSZ, SIG_IGN);
	if (setrlimit(RLIMIT_FSIZE, &limit) != 0 || sqlite_store_open(b->path, &s) != KMS_OK)
		return KMS_E_INTERNAL;
	kms_err e = KMS_OK;
	while (e == KMS_OK && key < 100) {
		const struct bytes k = bytes_of(&key, 1);
		e = store_write_one(s, write_of(TABLE_KEY, k, bytes_of(value, sizeof(value))));
		key++;
	}
	/* Reading still works. */
	AUTO(buf_done) struct buf got = { 0 };
	key = 0;
	if (get_bytes(s, TABLE_KEY, bytes_of(&key, 1), &got) != KMS_OK)
		return KMS_E_INTERNAL;
	store_close(&s);
	return e;
}

static void a_full_disk_has_its_name_and_heals(void **state)
{
	struct bench *b = *state;

	assert_int_equal(put_one(b->store, TABLE_META, "a", "1"), KMS_OK);
	bench_close(b);
	assert_int_equal(in_child(b, write_until_full), KMS_E_STORE_FULL);
	bench_open(b);
	assert_true(row_is(b->store, TABLE_META, "a", "1"));
	assert_int_equal(put_one(b->store, TABLE_META, "a", "2"), KMS_OK);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, bench_set_up, bench_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_second_opener_is_locked_out),
		TEST(another_process_is_locked_out),
		TEST(a_newer_schema_stays_untouched),
		TEST(a_newer_schema_in_the_wal_stays_untouched),
		TEST(a_foreign_database_is_refused),
		TEST(a_schema_with_more_or_other_things_is_refused),
		TEST(a_damaged_file_is_refused),
		TEST(flipped_bytes_never_do_worse_than_a_refusal),
		TEST(rows_that_we_never_write_are_refused),
		TEST(a_read_only_folder_is_an_io_error),
		TEST(a_read_only_file_is_an_io_error),
		TEST(no_folder_is_an_io_error),
		TEST(a_full_disk_has_its_name_and_heals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
