/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bodies as only who has the keys could write them, and should not: a reader that trusts the seal
 * still checks what is in it. kms/store/archive_body.c writes them, kms/store/archive_read.c reads.
 */
#include "kms/store/archive_read.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "kms/store/archive_private.h"
#include "tests/unit/archive_help.h"

struct forged {
	struct shelf s;
	struct archive_about about;
	struct buf body;
};

static struct forged forged_new(struct tried *t)
{
	return (struct forged){ .s = shelf_new(t), .about = { .schema = STORE_SCHEMA } };
}

static void forged_done(struct forged *f)
{
	buf_done(&f->body);
	shelf_done(&f->s);
}

static void add_bytes(struct forged *f, const void *p, size_t n)
{
	assert_int_equal(buf_put(&f->body, bytes_of(p, n)), KMS_OK);
}

static void add_row(struct forged *f, uint8_t table, struct bytes key, struct bytes value)
{
	const uint8_t head[2] = { table, (uint8_t)key.n };
	uint8_t length[4];

	store_u32(length, (uint32_t)value.n);
	add_bytes(f, head, sizeof(head));
	add_bytes(f, key.p, key.n);
	add_bytes(f, length, sizeof(length));
	add_bytes(f, value.p, value.n);
	f->about.rows++;
}

static struct bytes zeros_of(size_t n)
{
	static const uint8_t room[STORE_VALUE_MAX + 1];

	return bytes_of(room, n);
}

static void add_small(struct forged *f, enum store_table table, const char *key)
{
	add_row(f, (uint8_t)table, bytes_of_str(key), zeros_of(3));
}

static void add_end(struct forged *f, uint64_t rows)
{
	uint8_t end[9] = { 0 };

	store_u64(end + 1, rows);
	add_bytes(f, end, sizeof(end));
}

/* Seals what was added, behind a head that says f->about. Borrowed, until the next call. */
static int seal_it(const struct forged *f)
{
	const struct archive_doors doors = { .keyring = bytes_of_str("k") };
	AUTO(buf_done) struct buf head = { .p = NULL };
	AUTO(archive_body_free) struct archive_body *body = NULL;

	assert_int_equal(archive_head_encode(&f->about, &doors, &f->s.keys, &head), KMS_OK);
	int fd = memory_file(buf_bytes(&head));
	assert_true(lseek(fd, 0, SEEK_END) > 0);
	assert_int_equal(archive_body_new(fd, &f->s.keys, buf_bytes(&head), &body), KMS_OK);
	assert_int_equal(archive_body_put(body, buf_bytes(&f->body)), KMS_OK);
	assert_int_equal(archive_body_finish(body), KMS_OK);
	return fd;
}

static kms_err index_of(const struct forged *f)
{
	AUTO(archive_close) struct archive *a = NULL;

	TRY(archive_open(seal_it(f), &f->s.keys, &a));
	return archive_index(a);
}

static void rows_in_order_are_read(void **state)
{
	AUTO(forged_done) struct forged f = forged_new(*state);

	add_small(&f, TABLE_META, "a");
	add_small(&f, TABLE_META, "ab");
	add_small(&f, TABLE_META, "b");
	add_small(&f, TABLE_REPLY, "a");
	add_end(&f, 4);
	assert_int_equal(index_of(&f), KMS_OK);
}

static void no_rows_are_read(void **state)
{
	AUTO(forged_done) struct forged f = forged_new(*state);

	add_end(&f, 0);
	assert_int_equal(index_of(&f), KMS_OK);
}

/* The last chunk is empty then, and must be there. */
static void a_body_may_fill_its_chunks(void **state)
{
	AUTO(forged_done) struct forged f = forged_new(*state);

	for (int more = -1; more <= 1; more++) {
		f.body.n = 0;
		f.about.rows = 0;
		size_t n = 2 * (size_t)CHUNK_PLAIN - 9 - 2 - 1 - 4;
		add_row(&f, TABLE_META, bytes_of_str("a"),
		    zeros_of(more < 0 ? n - 1 : n + (size_t)more));
		add_end(&f, 1);
		assert_int_equal(f.body.n, 2 * CHUNK_PLAIN + more);
		assert_int_equal(index_of(&f), KMS_OK);
	}
}

static void rows_out_of_order_are_refused(void **state)
{
	static const struct {
		enum store_table table;
		const char *key;
	} pairs[][2] = {
		{ { TABLE_META, "b" }, { TABLE_META, "a" } },
		{ { TABLE_META, "ab" }, { TABLE_META, "a" } },
		{ { TABLE_META, "a" }, { TABLE_META, "a" } },
		{ { TABLE_SLOT, "a" }, { TABLE_META, "b" } },
	};

	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		AUTO(forged_done) struct forged f = forged_new(*state);
		add_small(&f, pairs[i][0].table, pairs[i][0].key);
		add_small(&f, pairs[i][1].table, pairs[i][1].key);
		add_end(&f, 2);
		assert_int_equal(index_of(&f), KMS_E_BACKUP_DAMAGED);
	}
}

static void counts_must_be_right(void **state)
{
	for (uint64_t said = 0; said < 3; said++) {
		AUTO(forged_done) struct forged f = forged_new(*state);
		add_small(&f, TABLE_META, "a");
		add_end(&f, said);
		assert_int_equal(index_of(&f), said == 1 ? KMS_OK : KMS_E_BACKUP_DAMAGED);
		f.about.rows = 2;
		assert_int_equal(index_of(&f), KMS_E_BACKUP_DAMAGED);
	}
}

static void nothing_is_missing_and_nothing_follows(void **state)
{
	AUTO(forged_done) struct forged f = forged_new(*state);

	assert_int_equal(index_of(&f), KMS_E_BACKUP_DAMAGED);
	add_small(&f, TABLE_META, "a");
	assert_int_equal(index_of(&f), KMS_E_BACKUP_DAMAGED);
	add_end(&f, 1);
	size_t n = f.body.n;
	for (f.body.n = 0; f.body.n < n; f.body.n++)
		assert_int_equal(index_of(&f), KMS_E_BACKUP_DAMAGED);
	assert_int_equal(index_of(&f), KMS_OK);
	add_bytes(&f, "x", 1);
	assert_int_equal(index_of(&f), KMS_E_BACKUP_DAMAGED);
	f.body.n = n;
	add_bytes(&f, f.body.p, n);
	assert_int_equal(index_of(&f), KMS_E_BACKUP_DAMAGED);
}

static void sizes_are_limits(void **state)
{
	static const uint8_t key[STORE_KEY_MAX + 1];
	static const struct {
		size_t key_n, n;
		kms_err want;
	} rows[] = {
		{ STORE_KEY_MAX, STORE_VALUE_MAX, KMS_OK },
		{ 1, 0, KMS_OK },
		{ 0, 0, KMS_E_BACKUP_DAMAGED },
		{ STORE_KEY_MAX + 1, 0, KMS_E_BACKUP_DAMAGED },
		{ 1, STORE_VALUE_MAX + 1, KMS_E_BACKUP_DAMAGED },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO(forged_done) struct forged f = forged_new(*state);
		add_row(&f, TABLE_META, bytes_of(key, rows[i].key_n), zeros_of(rows[i].n));
		add_end(&f, 1);
		assert_int_equal(index_of(&f), rows[i].want);
	}
}

static void tables_that_we_do_not_know_are_newer(void **state)
{
	AUTO(forged_done) struct forged f = forged_new(*state);

	add_row(&f, TABLE_COUNT_OF, bytes_of_str("a"), zeros_of(1));
	add_end(&f, 1);
	assert_int_equal(index_of(&f), KMS_E_NEWER_FORMAT);
}

static void a_newer_schema_is_named(void **state)
{
	AUTO(forged_done) struct forged f = forged_new(*state);

	f.about.schema = STORE_SCHEMA + 1;
	add_end(&f, 0);
	assert_int_equal(index_of(&f), KMS_E_NEWER_FORMAT);
}

static kms_err take_row(void *arg, enum store_table t, struct bytes key, struct bytes value)
{
	add_row(arg, (uint8_t)t, key, value);
	return KMS_OK;
}

/* Of the rows as they are, behind a head that tells another story. */
static kms_err verify_with(struct tried *t, const struct archive_about *about)
{
	AUTO(forged_done) struct forged f = forged_new(t);
	AUTO(buf_done) struct buf told = { .p = NULL };

	for (int table = TABLE_META; table < TABLE_COUNT_OF; table++)
		assert_int_equal(
		    store_scan(t->bench.store, (enum store_table)table, take_row, &f), KMS_OK);
	add_end(&f, f.about.rows);
	uint64_t rows = f.about.rows;
	f.about = *about;
	f.about.rows = rows;
	return check_file(&f.s, seal_it(&f), &f.s.keys, &told);
}

static void head_and_rows_must_agree(void **state)
{
	struct tried *t = *state;
	struct archive_about right = { .schema = STORE_SCHEMA, .epoch = first_epoch };

	fill(t);
	rows_digest(t->rows, right.set_digest);
	assert_int_equal(verify_with(t, &right), KMS_OK);
	struct archive_about wrong[5] = { right, right, right, right, right };
	wrong[0].epoch.number++;
	wrong[1].epoch.base++;
	wrong[2].epoch.audit_size++;
	wrong[3].epoch.audit_root[31]++;
	wrong[4].set_digest[0]++;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_int_equal(verify_with(t, &wrong[i]), KMS_E_BACKUP_DAMAGED);
}

/* One that was put together from rows of two days. */
static void rows_must_be_of_one_day(void **state)
{
	struct tried *t = *state;
	struct archive_about about = { .schema = STORE_SCHEMA, .epoch = first_epoch };

	fill(t);
	AUTO(buf_done) struct buf old = stored(t, TABLE_KEY, "key-1");
	put_now(t, TABLE_KEY, "key-1", "a newer one");
	rows_digest(t->rows, about.set_digest);
	assert_int_equal(verify_with(t, &about), KMS_OK);
	meddle(t, TABLE_KEY, "key-1", buf_bytes(&old));
	assert_int_equal(verify_with(t, &about), KMS_E_ROW_ROLLBACK);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rows_in_order_are_read),
		TEST(no_rows_are_read),
		TEST(a_body_may_fill_its_chunks),
		TEST(rows_out_of_order_are_refused),
		TEST(counts_must_be_right),
		TEST(nothing_is_missing_and_nothing_follows),
		TEST(sizes_are_limits),
		TEST(tables_that_we_do_not_know_are_newer),
		TEST(a_newer_schema_is_named),
		TEST(head_and_rows_must_agree),
		TEST(rows_must_be_of_one_day),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
