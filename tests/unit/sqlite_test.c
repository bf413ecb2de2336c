/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The SQLite backend on a file of its own: what it keeps, and what stays of what was deleted. What
 * it must refuse is sqlite_refuse_test.c's, crashes and failing disks are sqlite_crash_test.c's.
 */
#include "kms/store/sqlite.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/unit/store_help.h"

enum {
	WORK = 1000,  /* steps of the work that a purge is tried on */
	MARK_LEN = 16 /* bytes that stand in one value and nowhere else */
};

static void rows_are_kept(void **state)
{
	struct bench *b = *state;

	assert_int_equal(put_one(b->store, TABLE_KEY, "a", "one"), KMS_OK);
	assert_int_equal(put_one(b->store, TABLE_META, "a", "two"), KMS_OK);
	assert_int_equal(put_one(b->store, TABLE_KEY, "b", ""), KMS_OK);
	for (int i = 0; i < 2; i++) {
		assert_true(row_is(b->store, TABLE_KEY, "a", "one"));
		assert_true(row_is(b->store, TABLE_META, "a", "two"));
		assert_true(row_is(b->store, TABLE_KEY, "b", ""));
		bench_reopen(b);
	}
}

static void a_row_is_replaced_and_deleted(void **state)
{
	struct bench *b = *state;

	assert_int_equal(put_one(b->store, TABLE_KEY, "a", "one"), KMS_OK);
	assert_int_equal(put_one(b->store, TABLE_KEY, "a", "more than one"), KMS_OK);
	assert_true(row_is(b->store, TABLE_KEY, "a", "more than one"));
	assert_int_equal(delete_one(b->store, TABLE_KEY, "a"), KMS_OK);
	assert_true(row_absent(b->store, TABLE_KEY, "a"));
	assert_int_equal(delete_one(b->store, TABLE_KEY, "a"), KMS_OK);
}

static void the_largest_row_fits(void **state)
{
	static uint8_t room[STORE_VALUE_MAX];
	struct bench *b = *state;
	AUTO(buf_done) struct buf got = { 0 };

	memset(room, 0xa5, sizeof(room));
	const struct bytes key = bytes_of(room, STORE_KEY_MAX),
	                   value = bytes_of(room, sizeof(room));
	assert_int_equal(store_write_one(b->store, write_of(TABLE_ROOT, key, value)), KMS_OK);
	bench_reopen(b);
	assert_int_equal(get_bytes(b->store, TABLE_ROOT, key, &got), KMS_OK);
	assert_true(bytes_equal(buf_bytes(&got), value));
}

static kms_err join_keys(void *arg, enum store_table t, struct bytes key, struct bytes value)
{
	(void)t;
	(void)value;
	return buf_put(arg, key);
}

static void a_scan_goes_by_key_through_one_table(void **state)
{
	struct bench *b = *state;
	AUTO(buf_done) struct buf keys = { 0 };

	assert_int_equal(put_one(b->store, TABLE_KEY, "c", "3"), KMS_OK);
	assert_int_equal(put_one(b->store, TABLE_KEY, "a", "1"), KMS_OK);
	assert_int_equal(put_one(b->store, TABLE_VERSION, "x", "-"), KMS_OK);
	assert_int_equal(put_one(b->store, TABLE_KEY, "bb", "2"), KMS_OK);
	assert_int_equal(store_scan(b->store, TABLE_KEY, join_keys, &keys), KMS_OK);
	assert_true(bytes_equal(buf_bytes(&keys), bytes_of_str("abbc")));
	assert_int_equal(store_scan(b->store, TABLE_COUNT, join_keys, &keys), KMS_OK);
	assert_int_equal(keys.n, 4);
}

static kms_err refuse_row(void *arg, enum store_table t, struct bytes key, struct bytes value)
{
	(void)t;
	(void)key;
	(void)value;
	++*(int *)arg;
	return KMS_E_EXISTS;
}

static void a_scan_ends_where_its_visitor_says(void **state)
{
	struct bench *b = *state;
	int seen = 0;

	assert_int_equal(put_one(b->store, TABLE_KEY, "a", "1"), KMS_OK);
	assert_int_equal(put_one(b->store, TABLE_KEY, "b", "2"), KMS_OK);
	assert_int_equal(store_scan(b->store, TABLE_KEY, refuse_row, &seen), KMS_E_EXISTS);
	assert_int_equal(seen, 1);
	/* Nothing is left open: a transaction can follow. */
	assert_int_equal(put_one(b->store, TABLE_KEY, "c", "3"), KMS_OK);
}

static void what_is_rolled_back_was_never_there(void **state)
{
	struct bench *b = *state;
	const struct store_write w = write_of(TABLE_KEY, bytes_of_str("b"), bytes_of_str("2"));

	assert_int_equal(put_one(b->store, TABLE_KEY, "a", "1"), KMS_OK);
	assert_int_equal(store_begin(b->store), KMS_OK);
	assert_int_equal(store_put(b->store, &w), KMS_OK);
	store_rollback(b->store);
	assert_true(row_absent(b->store, TABLE_KEY, "b"));
	store_rollback(b->store);
	assert_int_equal(store_begin(b->store), KMS_OK);
	assert_int_equal(store_put(b->store, &w), KMS_OK);
	bench_reopen(b);
	assert_true(row_absent(b->store, TABLE_KEY, "b"));
	assert_true(row_is(b->store, TABLE_KEY, "a", "1"));
}

static void writing_needs_a_transaction(void **state)
{
	struct bench *b = *state;
	const struct store_write w = write_of(TABLE_KEY, bytes_of_str("b"), bytes_of_str("2"));

	assert_int_equal(store_put(b->store, &w), KMS_E_INTERNAL);
	assert_true(row_absent(b->store, TABLE_KEY, "b"));
}

static void files_are_for_their_owner_alone(void **state)
{
	struct bench *b = *state;
	char wal[2 * FOLDER_PATH];
	struct stat st;

	assert_int_equal(put_one(b->store, TABLE_KEY, "a", "1"), KMS_OK);
	assert_int_equal(stat(b->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	folder_file(&b->folder, "store.db-wal", wal);
	assert_int_equal(stat(wal, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

/* Values with a mark each, in pages that split, shrink and merge. */
struct work {
	struct store *store;
	struct dice dice;
	struct {
		uint8_t key[20];
		uint32_t mark; /* 0: deleted */
	} rows[WORK];
	uint32_t n, marks;
	bool gone[2 * WORK];
};

static void mark_bytes(uint32_t mark, uint8_t out[static MARK_LEN])
{
	(void)snprintf((char *)out, MARK_LEN, "mark-%010u", mark);
}

static void work_put(struct work *w, uint32_t i)
{
	uint8_t value[180] = { 0 };

	w->gone[w->rows[i].mark] = true;
	w->rows[i].mark = ++w->marks;
	mark_bytes(w->marks, value);
	const struct bytes key = bytes_of(w->rows[i].key, sizeof(w->rows[i].key));
	const struct bytes v = bytes_of(value, 60 + dice_roll(&w->dice, 120));
	assert_int_equal(store_write_one(w->store, write_of(TABLE_VERSION, key, v)), KMS_OK);
}

static void work_delete(struct work *w, uint32_t i)
{
	const struct bytes key = bytes_of(w->rows[i].key, sizeof(w->rows[i].key));

	w->gone[w->rows[i].mark] = true;
	w->rows[i].mark = 0;
	assert_int_equal(
	    store_write_one(w->store, write_of(TABLE_VERSION, key, (struct bytes){ 0 })), KMS_OK);
}

static void work_step(struct work *w)
{
	uint32_t dice = dice_roll(&w->dice, 10);

	if (w->n == 0 || dice < 6) {
		for (size_t i = 0; i < sizeof(w->rows[0].key); i++)
			w->rows[w->n].key[i] = (uint8_t)dice_roll(&w->dice, 256);
		work_put(w, w->n++);
	} else if (dice < 8) {
		work_put(w, dice_roll(&w->dice, w->n));
	} else {
		work_delete(w, dice_roll(&w->dice, w->n));
	}
}

static size_t marks_found(const struct bench *b, const struct work *w, bool gone)
{
	uint8_t mark[MARK_LEN];
	size_t n = 0;

	for (uint32_t i = 1; i <= w->marks; i++) {
		mark_bytes(i, mark);
		if (w->gone[i] == gone)
			n += folder_find(&b->folder, bytes_of(mark, MARK_LEN)) > 0;
	}
	return n;
}

static size_t rows_left(const struct work *w)
{
	size_t n = 0;

	for (uint32_t i = 0; i < w->n; i++)
		n += w->rows[i].mark != 0;
	return n;
}

static void nothing_deleted_stays_after_a_purge(void **state)
{
	static struct work w;
	struct bench *b = *state;

	w = (struct work){ .store = b->store, .dice = { 7 } };
	for (size_t i = 0; i < WORK; i++)
		work_step(&w);
	assert_int_not_equal(marks_found(b, &w, true), 0);
	assert_int_equal(store_purge(b->store), KMS_OK);
	w.gone[0] = false;
	assert_int_equal(marks_found(b, &w, true), 0);
	assert_int_equal(marks_found(b, &w, false), rows_left(&w));
}

static void a_purge_changes_no_row(void **state)
{
	struct bench *b = *state;

	assert_int_equal(put_one(b->store, TABLE_KEY, "a", "1"), KMS_OK);
	assert_int_equal(store_purge(b->store), KMS_OK);
	assert_int_equal(store_purge(b->store), KMS_OK);
	assert_true(row_is(b->store, TABLE_KEY, "a", "1"));
	assert_int_equal(put_one(b->store, TABLE_KEY, "b", "2"), KMS_OK);
	bench_reopen(b);
	assert_true(row_is(b->store, TABLE_KEY, "a", "1"));
	assert_true(row_is(b->store, TABLE_KEY, "b", "2"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, bench_set_up, bench_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rows_are_kept),
		TEST(a_row_is_replaced_and_deleted),
		TEST(the_largest_row_fits),
		TEST(a_scan_goes_by_key_through_one_table),
		TEST(a_scan_ends_where_its_visitor_says),
		TEST(what_is_rolled_back_was_never_there),
		TEST(writing_needs_a_transaction),
		TEST(files_are_for_their_owner_alone),
		TEST(nothing_deleted_stays_after_a_purge),
		TEST(a_purge_changes_no_row),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
