/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backups: written from a store that goes on, read as a store, put back into one. What is damaged
 * or foreign, and other doors, are archive_damage_test.c's, failing disks archive_fault_test.c's,
 * what the keys' holder might forge archive_forge_test.c's. kms/store/archive_write.c and
 * kms/store/archive_store.c stand behind each.
 */
#include "kms/store/archive.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <time.h>

#include <cmocka.h>

#include "kms/base/clock.h"
#include "tests/unit/archive_help.h"

enum {
	KEYS = 10000, /* of a large instance: three rows each */
	KEY_ROW = 54, /* clear bytes of a row of each kind, as docs/formats.md has them */
	VERSION_ROW = 98,
	COUNT_ROW = 25
};

static const char whole[] =
    "1 instance=0123456789abcdef;2 slot=the slot's bytes;3 keyring=wrapped keys;"
    "5 key-1=a master key;5 key-2=another one;6 key-1=its version;"
    "7 key-1=counters;8 asked=answered;";

static void a_backup_holds_every_row(void **state)
{
	AUTO(shelf_done) struct shelf s = shelf_new(*state);
	AUTO(buf_done) struct buf told = { .p = NULL };
	struct archive_about about = { .rows = 0 };

	fill(*state);
	assert_int_equal(back_up(&s, backup_name, &about), KMS_OK);
	assert_int_equal(about.rows, 9);
	assert_int_equal(check_name(&s, backup_name, &told), KMS_OK);
	assert_true(bytes_equal(buf_bytes(&told), bytes_of_str(whole)));
	assert_int_equal(count_temps(&s), 0);
}

static void its_head_is_read_without_a_key(void **state)
{
	struct tried *t = *state;
	AUTO(shelf_done) struct shelf s = shelf_new(t);
	AUTO(archive_head_done) struct archive_head h = { .doors = { .slot_n = 0 } };
	struct archive_about about = { .rows = 0 };
	uint8_t digest[SET_HASH_LEN];

	fill(t);
	rows_digest(t->rows, digest);
	assert_int_equal(back_up(&s, backup_name, &about), KMS_OK);
	AUTO(buf_done) struct buf file = file_of(&s, backup_name);
	assert_int_equal(archive_read_head(memory_file(buf_bytes(&file)), &h), KMS_OK);
	assert_memory_equal(h.about.id, about.id, sizeof(about.id));
	assert_int_equal(h.about.rows, about.rows);
	assert_memory_equal(h.about.instance, "0123456789abcdef", INSTANCE_ID_LEN);
	assert_true(h.about.created_us == 1000 && h.about.expires_us == 9000);
	assert_int_equal(h.about.schema, STORE_SCHEMA);
	assert_memory_equal(&h.about.epoch, &first_epoch, sizeof(first_epoch));
	assert_memory_equal(h.about.set_digest, digest, sizeof(digest));
	assert_int_equal(h.doors.slot_n, 1);
	assert_true(bytes_equal(h.doors.slots[0], bytes_of_str("the slot's bytes")));
	assert_true(bytes_equal(h.doors.keyring, bytes_of_str("wrapped keys")));
}

static void a_file_shows_no_row(void **state)
{
	struct tried *t = *state;
	AUTO(shelf_done) struct shelf s = shelf_new(t);
	struct archive_about about = { .rows = 0 };
	struct stat st;

	fill(t);
	assert_int_equal(back_up(&s, backup_name, &about), KMS_OK);
	AUTO(buf_done) struct buf file = file_of(&s, backup_name);
	AUTO(buf_done) struct buf sealed = stored(t, TABLE_KEY, "key-1");
	assert_null(memmem(file.p, file.n, sealed.p, sealed.n));
	assert_null(memmem(file.p, file.n, "key-1", 5));
	assert_int_equal(fstatat(s.dir_fd, backup_name, &st, 0), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void no_two_backups_are_the_same(void **state)
{
	AUTO(shelf_done) struct shelf s = shelf_new(*state);
	struct archive_about one = { .rows = 0 }, two = { .rows = 0 };

	fill(*state);
	assert_int_equal(back_up(&s, "one", &one), KMS_OK);
	assert_int_equal(back_up(&s, "two", &two), KMS_OK);
	assert_memory_not_equal(one.id, two.id, sizeof(one.id));
	AUTO(buf_done) struct buf a = file_of(&s, "one");
	AUTO(buf_done) struct buf b = file_of(&s, "two");
	assert_int_equal(a.n, b.n);
	assert_memory_not_equal(a.p + a.n - 64, b.p + b.n - 64, 64);
}

struct writer {
	const struct archive_making *making;
	int dir_fd;
	kms_err err;
};

static void *write_in_thread(void *arg)
{
	struct writer *w = arg;
	struct archive_about about = { .rows = 0 };

	w->err = archive_write(w->making, w->dir_fd, backup_name, &about);
	return NULL;
}

/* The store goes on in its own thread; the file shows the moment of the snapshot. */
static void a_store_goes_on_meanwhile(void **state)
{
	struct tried *t = *state;
	AUTO(shelf_done) struct shelf s = shelf_new(t);
	AUTO(rows_free) struct rows *r = rows_of(t->key);
	AUTO(store_close) struct store *snapshot = NULL;
	AUTO(buf_done) struct buf told = { .p = NULL };
	AUTO(archive_head_done) struct archive_head h = { .doors = { .slot_n = 0 } };
	pthread_t thread;

	fill(t);
	assert_int_equal(sqlite_store_snapshot(t->bench.store, &snapshot), KMS_OK);
	const struct archive_making m = { .store = snapshot, .rows = r, .keys = &s.keys };
	struct writer w = { .making = &m, .dir_fd = s.dir_fd, .err = KMS_E_INTERNAL };
	assert_int_equal(pthread_create(&thread, NULL, write_in_thread, &w), 0);
	for (int i = 0; i < 50; i++) {
		t->epoch.number++;
		put_now(t, TABLE_KEY, "key-1", "changed meanwhile");
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(w.err, KMS_OK);
	assert_int_equal(check_name(&s, backup_name, &told), KMS_OK);
	assert_true(bytes_equal(buf_bytes(&told), bytes_of_str(whole)));
	AUTO(buf_done) struct buf file = file_of(&s, backup_name);
	assert_int_equal(archive_read_head(memory_file(buf_bytes(&file)), &h), KMS_OK);
	assert_int_equal(h.about.epoch.number, first_epoch.number);
	assert_int_equal(load_error(t), KMS_OK);
}

static void open_backup(const struct shelf *s, struct archive **out_archive, struct store **out)
{
	AUTO(buf_done) struct buf file = file_of(s, backup_name);

	assert_int_equal(
	    archive_open(memory_file(buf_bytes(&file)), &s->keys, out_archive), KMS_OK);
	assert_int_equal(archive_store_open(*out_archive, out), KMS_OK);
}

static void it_reads_as_a_store(void **state)
{
	struct tried *t = *state;
	AUTO(shelf_done) struct shelf s = shelf_new(t);
	AUTO(archive_close) struct archive *a = NULL;
	AUTO(store_close) struct store *b = NULL;
	AUTO(buf_done) struct buf got = { .p = NULL };
	struct archive_about about = { .rows = 0 };

	fill(t);
	delete_now(t, TABLE_REPLY, "asked");
	assert_int_equal(back_up(&s, backup_name, &about), KMS_OK);
	open_backup(&s, &a, &b);
	/* In any order, and more than once. */
	for (int i = 0; i < 2; i++) {
		AUTO(buf_done) struct buf sealed = stored(t, TABLE_KEY, "key-2");
		buf_clear(&got);
		assert_int_equal(get_bytes(b, TABLE_KEY, bytes_of_str("key-2"), &got), KMS_OK);
		assert_true(bytes_equal(buf_bytes(&got), buf_bytes(&sealed)));
		assert_true(row_is(b, TABLE_SLOT, "slot", "the slot's bytes"));
		assert_true(row_absent(b, TABLE_KEY, "key-3"));
		assert_true(row_absent(b, TABLE_REPLY, "asked"));
		assert_int_equal(store_scan(b, TABLE_REPLY, keep_value, &got), KMS_OK);
	}
}

static kms_err refuse_row(void *arg, enum store_table t, struct bytes key, struct bytes value)
{
	(void)t;
	(void)key;
	(void)value;
	++*(int *)arg;
	return KMS_E_EXISTS;
}

static void it_is_only_read(void **state)
{
	struct tried *t = *state;
	AUTO(shelf_done) struct shelf s = shelf_new(t);
	AUTO(archive_close) struct archive *a = NULL;
	AUTO(store_close) struct store *b = NULL;
	const struct store_write w = write_of(TABLE_KEY, bytes_of_str("a"), bytes_of_str("b"));
	struct archive_about about = { .rows = 0 };
	int seen = 0;

	fill(t);
	assert_int_equal(back_up(&s, backup_name, &about), KMS_OK);
	open_backup(&s, &a, &b);
	assert_int_equal(store_begin(b), KMS_E_INTERNAL);
	assert_int_equal(store_put(b, &w), KMS_E_INTERNAL);
	assert_int_equal(store_commit(b), KMS_E_INTERNAL);
	assert_int_equal(store_purge(b), KMS_E_INTERNAL);
	store_rollback(b);
	assert_int_equal(store_scan(b, TABLE_KEY, refuse_row, &seen), KMS_E_EXISTS);
	assert_int_equal(seen, 1);
}

static void large_values_cross_chunks(void **state)
{
	static uint8_t room[STORE_VALUE_MAX];
	struct tried *t = *state;
	AUTO(shelf_done) struct shelf s = shelf_new(t);
	AUTO(archive_close) struct archive *a = NULL;
	AUTO(store_close) struct store *b = NULL;
	AUTO(buf_done) struct buf got = { .p = NULL };
	struct archive_about about = { .rows = 0 };

	fill(t);
	memset(room, 0xa5, sizeof(room));
	for (uint8_t i = 0; i < 3; i++) {
		struct row_batch *batch = batch_of();
		assert_int_equal(rows_put(t->rows, batch, TABLE_META, bytes_of(&i, 1),
		                     bytes_of(room, sizeof(room) - i)),
		    KMS_OK);
		apply(t, &batch);
	}
	assert_int_equal(back_up(&s, backup_name, &about), KMS_OK);
	open_backup(&s, &a, &b);
	for (uint8_t i = 0; i < 3; i++) {
		buf_clear(&got);
		assert_int_equal(get_bytes(b, TABLE_META, bytes_of(&i, 1), &got), KMS_OK);
		assert_true(bytes_equal(buf_bytes(&got), bytes_of(room, sizeof(room) - i)));
	}
}

/* ---- Back into a store -------------------------------------------------------------------- */

static kms_err join_row(void *arg, enum store_table t, struct bytes key, struct bytes value)
{
	TRY(buf_put_u8(arg, (uint8_t)t));
	TRY(buf_put_var(arg, key));
	return buf_put_var(arg, value);
}

static struct buf rows_as_they_stand(struct store *s)
{
	struct buf b = { .p = NULL };

	for (int t = TABLE_META; t < TABLE_COUNT_OF; t++)
		assert_int_equal(store_scan(s, (enum store_table)t, join_row, &b), KMS_OK);
	return b;
}

static kms_err restore(const struct shelf *s, const char *to, struct store **out)
{
	AUTO(buf_done) struct buf file = file_of(s, backup_name);
	AUTO(archive_close) struct archive *a = NULL;
	char path[2 * FOLDER_PATH];

	folder_file(&s->t->bench.folder, to, path);
	TRY(archive_open(memory_file(buf_bytes(&file)), &s->keys, &a));
	if (*out == NULL)
		TRY(sqlite_store_open(path, out));
	return archive_restore(a, *out);
}

static void a_restored_store_is_the_same(void **state)
{
	struct tried *t = *state;
	AUTO(shelf_done) struct shelf s = shelf_new(t);
	AUTO(store_close) struct store *restored = NULL;
	AUTO(rows_free) struct rows *r = rows_of(t->key);
	AUTO(buf_done) struct buf told = { .p = NULL };
	struct archive_about about = { .rows = 0 };
	struct epoch e;

	fill(t);
	AUTO(buf_done) struct buf before = rows_as_they_stand(t->bench.store);
	assert_int_equal(back_up(&s, backup_name, &about), KMS_OK);
	assert_int_equal(restore(&s, "other.db", &restored), KMS_OK);
	AUTO(buf_done) struct buf after = rows_as_they_stand(restored);
	assert_true(bytes_equal(buf_bytes(&before), buf_bytes(&after)));
	assert_int_equal(rows_load(r, restored, tell, &told, &e), KMS_OK);
	assert_int_equal(e.number, first_epoch.number);
}

static void only_an_empty_store_is_filled(void **state)
{
	struct tried *t = *state;
	AUTO(shelf_done) struct shelf s = shelf_new(t);
	AUTO(store_close) struct store *other = NULL;
	char path[2 * FOLDER_PATH];
	struct archive_about about = { .rows = 0 };

	fill(t);
	assert_int_equal(back_up(&s, backup_name, &about), KMS_OK);
	assert_int_equal(restore(&s, "", &t->bench.store), KMS_E_STORE_NOT_EMPTY);
	assert_int_equal(load_error(t), KMS_OK);
	folder_file(&t->bench.folder, "other.db", path);
	assert_int_equal(sqlite_store_open(path, &other), KMS_OK);
	assert_int_equal(put_one(other, TABLE_REPLY, "a", "b"), KMS_OK);
	assert_int_equal(restore(&s, "", &other), KMS_E_STORE_NOT_EMPTY);
	assert_true(row_absent(other, TABLE_META, "instance"));
}

/* ---- What can't be made ------------------------------------------------------------------- */

static void names_are_checked_and_never_taken_twice(void **state)
{
	AUTO(shelf_done) struct shelf s = shelf_new(*state);
	struct archive_about about = { .rows = 0 };

	fill(*state);
	for (const char *const *name =
	         (const char *const[]){ "", ".hidden", "a/b", "../x", "a b", NULL };
	     *name != NULL; name++)
		assert_int_equal(back_up(&s, *name, &about), KMS_E_BAD_NAME);
	assert_int_equal(about.rows, 0);
	assert_int_equal(back_up(&s, backup_name, &about), KMS_OK);
	AUTO(buf_done) struct buf before = file_of(&s, backup_name);
	assert_int_equal(back_up(&s, backup_name, &about), KMS_E_EXISTS);
	AUTO(buf_done) struct buf after = file_of(&s, backup_name);
	assert_true(bytes_equal(buf_bytes(&before), buf_bytes(&after)));
	assert_int_equal(count_temps(&s), 0);
}

static void a_store_that_does_not_load_is_not_backed_up(void **state)
{
	struct tried *t = *state;
	AUTO(shelf_done) struct shelf s = shelf_new(t);
	struct archive_about about = { .rows = 0 };

	put_now(t, TABLE_KEY, "key-1", "a master key");
	assert_int_equal(back_up(&s, backup_name, &about), KMS_E_NOT_INITIALISED);
	fill(t);
	AUTO(buf_done) struct buf old = stored(t, TABLE_KEY, "key-1");
	put_now(t, TABLE_KEY, "key-1", "a newer one");
	meddle(t, TABLE_KEY, "key-1", buf_bytes(&old));
	assert_int_equal(back_up(&s, backup_name, &about), KMS_E_ROW_ROLLBACK);
	meddle(t, TABLE_KEY, "key-1", bytes_of_str("nonsense"));
	assert_int_equal(back_up(&s, backup_name, &about), KMS_E_STORE_CORRUPT);
	assert_false(file_there(&s, backup_name));
	assert_int_equal(about.rows, 0);
}

static void doors_have_limits(void **state)
{
	static char large[ARCHIVE_DOOR_MAX + 2];
	struct tried *t = *state;
	AUTO(shelf_done) struct shelf s = shelf_new(t);
	struct archive_about about = { .rows = 0 };
	char slot[] = "slot-a";

	fill(t);
	memset(large, 'x', ARCHIVE_DOOR_MAX);
	for (size_t i = 1; i < ARCHIVE_SLOTS_MAX; i++, slot[5]++)
		put_now(t, TABLE_SLOT, slot, large);
	put_now(t, TABLE_ROOT, "keyring", large);
	assert_int_equal(back_up(&s, "full", &about), KMS_OK);
	AUTO(buf_done) struct buf file = file_of(&s, "full");
	assert_int_equal(check_bytes(&s, buf_bytes(&file)), KMS_OK);
	put_now(t, TABLE_SLOT, slot, "one too many");
	assert_int_equal(back_up(&s, backup_name, &about), KMS_E_STORE_CORRUPT);
	put_now(t, TABLE_SLOT, slot, "");
	delete_now(t, TABLE_SLOT, "slot");
	assert_int_equal(back_up(&s, backup_name, &about), KMS_E_STORE_CORRUPT);
	delete_now(t, TABLE_SLOT, slot);
	large[ARCHIVE_DOOR_MAX] = 'x';
	put_now(t, TABLE_ROOT, "keyring", large);
	assert_int_equal(back_up(&s, backup_name, &about), KMS_E_STORE_CORRUPT);
	put_now(t, TABLE_ROOT, "keyring", "wrapped keys");
	put_now(t, TABLE_META, "instance", "short");
	assert_int_equal(back_up(&s, backup_name, &about), KMS_E_STORE_CORRUPT);
}

static void leftovers_are_cleaned_and_others_stay(void **state)
{
	AUTO(shelf_done) struct shelf s = shelf_new(*state);
	static const char *const names[] = { ".kmsb-12.tmp", ".kmsb-.tmp", "notes.tmp",
		".kmsb-12" };
	char path[2 * FOLDER_PATH];

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		folder_file(&s.t->bench.folder, names[i], path);
		file_write(path, bytes_of_str("x"));
	}
	assert_int_equal(archive_clean(s.dir_fd), KMS_OK);
	assert_false(file_there(&s, names[0]) || file_there(&s, names[1]));
	assert_true(file_there(&s, names[2]) && file_there(&s, names[3]));
	assert_int_equal(archive_clean(-1), KMS_E_BACKUP_IO);
}

/* ---- How large, how fast ------------------------------------------------------------------ */

static void put_large(struct tried *t)
{
	static const uint8_t value[VERSION_ROW] = { 0x11 };
	static const struct {
		enum store_table table;
		size_t key_n, n;
	} kinds[] = { { TABLE_KEY, 16, KEY_ROW }, { TABLE_VERSION, 20, VERSION_ROW },
		{ TABLE_COUNT, 20, COUNT_ROW } };
	struct row_batch *b = batch_of();
	uint8_t key[20] = { 0 };

	for (uint32_t i = 0; i < KEYS; i++) {
		store_u32(key, i * 2654435761u);
		for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
			assert_int_equal(
			    rows_put(t->rows, b, kinds[k].table, bytes_of(key, kinds[k].key_n),
			        bytes_of(value, kinds[k].n)),
			    KMS_OK);
	}
	apply(t, &b);
}

static kms_err count_row(void *arg, enum store_table t, struct bytes key, struct bytes value)
{
	(void)t;
	(void)key;
	(void)value;
	++*(size_t *)arg;
	return KMS_OK;
}

static void say_took(const char *what, uint64_t since)
{
	print_message("30,000 rows %s: %lu us\n", what, (unsigned long)(clock_mono_us() - since));
}

static void a_backup_of_ten_thousand_keys(void **state)
{
	struct tried *t = *state;
	AUTO(shelf_done) struct shelf s = shelf_new(t);
	AUTO(rows_free) struct rows *r = rows_of(t->key);
	AUTO(archive_close) struct archive *a = NULL;
	AUTO(store_close) struct store *snapshot = NULL, *restored = NULL;
	struct archive_about about = { .rows = 0 };
	size_t n = 0;

	fill(t);
	put_large(t);
	uint64_t start = clock_mono_us();
	assert_int_equal(sqlite_store_snapshot(t->bench.store, &snapshot), KMS_OK);
	say_took("copied", start);
	const struct archive_making m = { .store = snapshot, .rows = r, .keys = &s.keys };
	start = clock_mono_us();
	assert_int_equal(archive_write(&m, s.dir_fd, backup_name, &about), KMS_OK);
	say_took("proved, written and flushed", start);
	AUTO(buf_done) struct buf file = file_of(&s, backup_name);
	print_message("file: %zu bytes\n", file.n);
	start = clock_mono_us();
	assert_int_equal(archive_open(memory_file(buf_bytes(&file)), &s.keys, &a), KMS_OK);
	assert_int_equal(archive_verify(a, r, count_row, &n), KMS_OK);
	say_took("verified", start);
	assert_int_equal(n, 3 * KEYS + 8);
	start = clock_mono_us();
	assert_int_equal(restore(&s, "other.db", &restored), KMS_OK);
	say_took("restored", start);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_backup_holds_every_row),
		TEST(its_head_is_read_without_a_key),
		TEST(a_file_shows_no_row),
		TEST(no_two_backups_are_the_same),
		TEST(a_store_goes_on_meanwhile),
		TEST(it_reads_as_a_store),
		TEST(it_is_only_read),
		TEST(large_values_cross_chunks),
		TEST(a_restored_store_is_the_same),
		TEST(only_an_empty_store_is_filled),
		TEST(names_are_checked_and_never_taken_twice),
		TEST(a_store_that_does_not_load_is_not_backed_up),
		TEST(doors_have_limits),
		TEST(leftovers_are_cleaned_and_others_stay),
		TEST(a_backup_of_ten_thousand_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
