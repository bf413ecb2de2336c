/* SPDX-License-Identifier: Apache-2.0 */
/* The mark of a restore: what stands between its two writes is taken back, and nothing else ever. */
#include "kms/keeper/restore_mark.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/store_help.h"

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

/* A store to restore into, and one that stands for the backup. */
struct world {
	struct bench to, backup;
	char mark[2 * FOLDER_PATH];
};

static void put_row(struct bench *b, enum store_table table, const char *key, const char *value)
{
	const struct store_write w = {
		.table = table, .key = bytes_of_str(key), .value = bytes_of_str(value)
	};
	assert_int_equal(store_begin(b->store), KMS_OK);
	assert_int_equal(store_put(b->store, &w), KMS_OK);
	assert_int_equal(store_commit(b->store), KMS_OK);
}

static kms_err count_row(void *arg, enum store_table table, struct bytes key, struct bytes value)
{
	(void)table;
	(void)key;
	(void)value;
	(*(size_t *)arg)++;
	return KMS_OK;
}

static size_t rows_in(struct bench *b)
{
	size_t n = 0;
	for (int t = TABLE_META; t < TABLE_COUNT_OF; t++)
		assert_int_equal(store_scan(b->store, (enum store_table)t, count_row, &n), KMS_OK);
	return n;
}

/* As archive_restore does it: the same bytes. */
static void fill(struct bench *b)
{
	put_row(b, TABLE_META, "instance", "0123456789abcdef");
	put_row(b, TABLE_KEY, "key", "sealed");
	put_row(b, TABLE_EPOCH, "epoch", "nonce and tag");
}

static bool marked(const struct world *w)
{
	return access(w->mark, F_OK) == 0;
}

static kms_err check(struct world *w, bool *out)
{
	return restore_mark_check(w->to.folder.path, w->to.store, out);
}

static void is_kept(struct world *w, size_t rows)
{
	bool undone = true;
	assert_int_equal(check(w, &undone), KMS_OK);
	assert_false(undone);
	assert_int_equal(rows_in(&w->to), rows);
	assert_false(marked(w));
}

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	assert_non_null(w);
	bench_make(&w->to);
	bench_make(&w->backup);
	fill(&w->backup);
	folder_file(&w->to.folder, "restoring", w->mark);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	bench_done(&w->to);
	bench_done(&w->backup);
	free(w);
	return 0;
}

static void what_was_broken_off_is_taken_back(void **state)
{
	struct world *w = *state;
	bool undone = false;
	assert_int_equal(restore_mark_put(w->to.folder.path, w->backup.store), KMS_OK);
	assert_true(marked(w));
	fill(&w->to);
	bench_reopen(&w->to);
	assert_int_equal(check(w, &undone), KMS_OK);
	assert_true(undone);
	assert_int_equal(rows_in(&w->to), 0);
	assert_false(marked(w));
	/* And once more from the beginning. */
	assert_int_equal(restore_mark_put(w->to.folder.path, w->backup.store), KMS_OK);
	fill(&w->to);
	assert_int_equal(check(w, &undone), KMS_OK);
	assert_true(undone);
}

static void what_was_finished_stays(void **state)
{
	struct world *w = *state;
	assert_int_equal(restore_mark_put(w->to.folder.path, w->backup.store), KMS_OK);
	fill(&w->to);
	put_row(&w->to, TABLE_EPOCH, "epoch", "another nonce");
	is_kept(w, 3);
}

static void what_was_not_begun_stays(void **state)
{
	struct world *w = *state;
	assert_int_equal(restore_mark_put(w->to.folder.path, w->backup.store), KMS_OK);
	is_kept(w, 0);
	put_row(&w->to, TABLE_META, "instance", "fedcba9876543210");
	assert_int_equal(restore_mark_put(w->to.folder.path, w->backup.store), KMS_OK);
	is_kept(w, 1);
}

/* The mark that was cut short, or says something else, costs nothing. */
static void a_mark_that_says_nothing_takes_nothing(void **state)
{
	struct world *w = *state;
	fill(&w->to);
	is_kept(w, 3);
	file_write(w->mark, bytes_of_str("short"));
	is_kept(w, 3);
	file_write(w->mark, bytes_of_str("0123456789abcdef0123456789abcdef and more"));
	is_kept(w, 3);
}

static void what_can_not_be_marked_is_not_begun(void **state)
{
	struct world *w = *state;
	bool undone = false;
	assert_int_equal(restore_mark_put("/nonexistent", w->backup.store), KMS_E_STORE_IO);
	assert_int_equal(restore_mark_check("/nonexistent", w->to.store, &undone), KMS_E_STORE_IO);
	assert_int_equal(restore_mark_put(w->to.folder.path, w->to.store), KMS_E_NOT_FOUND);
	assert_false(marked(w));
	/* Never through a link. */
	assert_int_equal(symlink("elsewhere", w->mark), 0);
	assert_int_equal(restore_mark_put(w->to.folder.path, w->backup.store), KMS_E_STORE_IO);
	assert_int_equal(check(w, &undone), KMS_E_STORE_IO);
	assert_int_equal(unlink(w->mark), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_broken_off_is_taken_back),
		TEST(what_was_finished_stays),
		TEST(what_was_not_begun_stays),
		TEST(a_mark_that_says_nothing_takes_nothing),
		TEST(what_can_not_be_marked_is_not_begun),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
