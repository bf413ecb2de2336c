/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What somebody who can write to the store's file may try with its rows: moved, put back, removed,
 * added, changed. Each is noticed, by its name.
 */
#include "kms/store/rows.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/unit/rows_help.h"

static void a_row_moved_to_another_key_does_not_open(void **state)
{
	struct tried *t = *state;

	fill(t);
	AUTO(buf_done) struct buf one = stored(t, TABLE_KEY, "key-1");
	AUTO(buf_done) struct buf two = stored(t, TABLE_KEY, "key-2");
	meddle(t, TABLE_KEY, "key-1", buf_bytes(&two));
	meddle(t, TABLE_KEY, "key-2", buf_bytes(&one));
	assert_int_equal(load_error(t), KMS_E_STORE_CORRUPT);
}

static void a_row_moved_to_another_table_does_not_open(void **state)
{
	struct tried *t = *state;

	fill(t);
	AUTO(buf_done) struct buf one = stored(t, TABLE_VERSION, "key-1");
	meddle(t, TABLE_COUNT, "key-1", buf_bytes(&one));
	assert_int_equal(load_error(t), KMS_E_STORE_CORRUPT);
}

static void a_row_of_yesterday_is_noticed(void **state)
{
	static const enum store_table tables[] = { TABLE_SLOT, TABLE_KEY, TABLE_COUNT,
		TABLE_REPLY };
	struct tried *t = *state;

	for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
		put_now(t, tables[i], "row", "yesterday");
		AUTO(buf_done) struct buf old = stored(t, tables[i], "row");
		put_now(t, tables[i], "row", "today");
		AUTO(buf_done) struct buf now = stored(t, tables[i], "row");
		meddle(t, tables[i], "row", buf_bytes(&old));
		assert_int_equal(load_error(t), KMS_E_ROW_ROLLBACK);
		meddle(t, tables[i], "row", buf_bytes(&now));
		assert_int_equal(load_error(t), KMS_OK);
	}
}

static void a_row_removed_is_noticed(void **state)
{
	static const char *const keys[TABLE_COUNT_OF] = { NULL, "instance", "slot", "keyring",
		"epoch", "key-1", "key-1", "key-1", "asked" };
	struct tried *t = *state;

	fill(t);
	for (int table = TABLE_META; table < TABLE_COUNT_OF; table++) {
		AUTO(buf_done) struct buf row = stored(t, (enum store_table)table, keys[table]);
		meddle(t, (enum store_table)table, keys[table], (struct bytes){ 0 });
		assert_int_equal(load_error(t), KMS_E_ROW_ROLLBACK);
		meddle(t, (enum store_table)table, keys[table], buf_bytes(&row));
		assert_int_equal(load_error(t), KMS_OK);
	}
}

static void a_row_added_is_noticed(void **state)
{
	struct tried *t = *state;

	fill(t);
	AUTO(buf_done) struct buf row = stored(t, TABLE_KEY, "key-2");
	delete_now(t, TABLE_KEY, "key-2");
	meddle(t, TABLE_KEY, "key-2", buf_bytes(&row));
	assert_int_equal(load_error(t), KMS_E_ROW_ROLLBACK);
	meddle(t, TABLE_KEY, "key-2", (struct bytes){ 0 });
	meddle(t, TABLE_META, "more", bytes_of_str("x"));
	assert_int_equal(load_error(t), KMS_E_ROW_ROLLBACK);
}

static void the_epoch_row_of_yesterday_is_noticed(void **state)
{
	struct tried *t = *state;

	fill(t);
	AUTO(buf_done) struct buf old = stored(t, TABLE_EPOCH, "epoch");
	t->epoch.number++;
	put_now(t, TABLE_KEY, "key-1", "changed");
	meddle(t, TABLE_EPOCH, "epoch", buf_bytes(&old));
	assert_int_equal(load_error(t), KMS_E_ROW_ROLLBACK);
}

static void a_second_epoch_row_is_noticed(void **state)
{
	struct tried *t = *state;

	fill(t);
	AUTO(buf_done) struct buf row = stored(t, TABLE_EPOCH, "epoch");
	meddle(t, TABLE_EPOCH, "epoch2", buf_bytes(&row));
	assert_int_equal(load_error(t), KMS_E_ROW_ROLLBACK);
	meddle(t, TABLE_EPOCH, "a", buf_bytes(&row));
	assert_int_equal(load_error(t), KMS_E_ROW_ROLLBACK);
}

/* Its epoch tells how old it is: the hardware's counter is what it is held against. */
static void the_whole_of_yesterday_opens_with_its_epoch(void **state)
{
	struct tried *t = *state;
	AUTO(buf_done) struct buf yesterday = { 0 }, told = { 0 };
	struct epoch e;

	fill(t);
	bench_close(&t->bench);
	file_read(t->bench.path, &yesterday);
	bench_open(&t->bench);
	t->epoch.number++;
	put_now(t, TABLE_KEY, "key-1", "changed");
	bench_close(&t->bench);
	file_write(t->bench.path, buf_bytes(&yesterday));
	bench_open(&t->bench);
	assert_int_equal(load_fresh(t, t->key, &told, &e), KMS_OK);
	assert_int_equal(e.number, first_epoch.number);
}

static void flip_each_byte(struct tried *t, enum store_table table, const char *key, kms_err want)
{
	AUTO(buf_done) struct buf row = stored(t, table, key);

	for (size_t i = 0; i < row.n; i++) {
		row.p[i] ^= (uint8_t)(1 << i % 8);
		meddle(t, table, key, buf_bytes(&row));
		assert_int_equal(load_error(t), want);
		row.p[i] ^= (uint8_t)(1 << i % 8);
	}
	meddle(t, table, key, buf_bytes(&row));
	assert_int_equal(load_error(t), KMS_OK);
}

static void every_flipped_byte_is_noticed(void **state)
{
	fill(*state);
	flip_each_byte(*state, TABLE_VERSION, "key-1", KMS_E_STORE_CORRUPT);
	flip_each_byte(*state, TABLE_EPOCH, "epoch", KMS_E_STORE_CORRUPT);
	flip_each_byte(*state, TABLE_SLOT, "slot", KMS_E_ROW_ROLLBACK);
}

static void every_cut_row_is_noticed(void **state)
{
	struct tried *t = *state;

	fill(t);
	AUTO(buf_done) struct buf row = stored(t, TABLE_KEY, "key-1");
	for (size_t n = 0; n < row.n; n++) {
		meddle(t, TABLE_KEY, "key-1", bytes_of(row.p, n));
		assert_int_equal(load_error(t), KMS_E_STORE_CORRUPT);
	}
	meddle(t, TABLE_KEY, "key-1", buf_bytes(&row));
	assert_int_equal(load_error(t), KMS_OK);
}

static void another_store_key_opens_nothing(void **state)
{
	struct tried *t = *state;
	AUTO(buf_done) struct buf told = { 0 };
	AUTO(secret_free) struct secret *other = key_of(0x4c);
	struct epoch e;

	fill(t);
	assert_int_equal(load_fresh(t, other, &told, &e), KMS_E_STORE_CORRUPT);
}

static kms_err refuse(void *arg, enum store_table table, struct bytes key, struct bytes value)
{
	(void)key;
	(void)value;
	return table == *(enum store_table *)arg ? KMS_E_STORE_NEWER : KMS_OK;
}

static void what_a_visit_refuses_ends_the_load(void **state)
{
	struct tried *t = *state;
	struct epoch e = { .number = 1 };

	fill(t);
	for (enum store_table table = TABLE_META; table < TABLE_COUNT_OF; table++) {
		kms_err want = table == TABLE_EPOCH ? KMS_OK : KMS_E_STORE_NEWER;
		assert_int_equal(rows_load(t->rows, t->bench.store, refuse, &table, &e), want);
	}
}

/* As a file with a forged tree would. */
static kms_err scan_twice(struct store *s, enum store_table t, store_visit *visit, void *arg)
{
	(void)s;
	if (t != TABLE_META)
		return KMS_OK;
	TRY(visit(arg, t, bytes_of_str("key"), bytes_of_str("old")));
	return visit(arg, t, bytes_of_str("key"), bytes_of_str("new"));
}

static void a_row_that_shows_twice_is_refused(void **state)
{
	static const struct store_backend backend = { .name = "twice", .scan = scan_twice };
	struct tried *t = *state;
	struct store s = { &backend };
	AUTO(buf_done) struct buf told = { 0 };
	struct epoch e;

	assert_int_equal(rows_load(t->rows, &s, tell, &told, &e), KMS_E_STORE_CORRUPT);
	assert_int_equal(rows_adopt(t->rows, &s), KMS_E_STORE_CORRUPT);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_row_moved_to_another_key_does_not_open),
		TEST(a_row_moved_to_another_table_does_not_open),
		TEST(a_row_of_yesterday_is_noticed),
		TEST(a_row_removed_is_noticed),
		TEST(a_row_added_is_noticed),
		TEST(the_epoch_row_of_yesterday_is_noticed),
		TEST(a_second_epoch_row_is_noticed),
		TEST(the_whole_of_yesterday_opens_with_its_epoch),
		TEST(every_flipped_byte_is_noticed),
		TEST(every_cut_row_is_noticed),
		TEST(another_store_key_opens_nothing),
		TEST(what_a_visit_refuses_ends_the_load),
		TEST(a_row_that_shows_twice_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
