/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backups that were changed, cut, lengthened or put together from two, by somebody without the
 * keys: each is refused by name. And other doors, which only who has the keys can put in.
 */
#include "kms/store/archive_head.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "kms/crypto/chunk.h"
#include "tests/unit/archive_help.h"
#include "tests/unit/damage.h"

enum {
	FORMAT_AT = 4, /* as docs/formats.md has them */
	FIXED_AT = 10,
	FIXED_LEN = 220,
	SCHEMA_AT = FIXED_AT + 32,
	DOORS_AT = FIXED_AT + FIXED_LEN,
	MAC_LEN = 32
};

static const struct archive_doors other_doors = {
	.slots = { { (const uint8_t *)"a", 1 }, { (const uint8_t *)"another slot", 12 } },
	.slot_n = 2,
	.keyring = { (const uint8_t *)"wrapped anew", 12 },
};

static struct buf backup_of(struct shelf *s, const char *name)
{
	struct archive_about about = { .rows = 0 };

	assert_int_equal(back_up(s, name, &about), KMS_OK);
	return file_of(s, name);
}

/* Bytes before the body. */
static size_t head_len(const struct buf *file)
{
	return DOORS_AT + 4 + load_u32(file->p + DOORS_AT) + MAC_LEN;
}

struct trial {
	const struct shelf *s;
	size_t refused, not_ours, newer;
};

static void is_refused(struct bytes damaged, size_t at, void *arg)
{
	struct trial *t = arg;
	kms_err e = check_bytes(t->s, damaged);

	(void)at;
	assert_true(
	    e == KMS_E_BACKUP_DAMAGED || e == KMS_E_NOT_A_BACKUP || e == KMS_E_NEWER_FORMAT);
	t->refused++;
	t->not_ours += e == KMS_E_NOT_A_BACKUP;
	t->newer += e == KMS_E_NEWER_FORMAT;
}

static void every_flipped_bit_is_refused(void **state)
{
	AUTO(shelf_done) struct shelf s = shelf_new(*state);
	struct trial t = { .s = &s };

	fill(*state);
	AUTO(buf_done) struct buf file = backup_of(&s, backup_name);
	damage_flips(buf_bytes(&file), is_refused, &t);
	print_message(
	    "%zu flips of %zu bytes: %zu refused, %zu of them as no backup, %zu as newer\n",
	    file.n * 8, file.n, t.refused, t.not_ours, t.newer);
	assert_int_equal(t.refused, file.n * 8);
	assert_int_equal(t.not_ours, 4 * 8);
}

static void every_cut_is_refused(void **state)
{
	AUTO(shelf_done) struct shelf s = shelf_new(*state);
	struct trial t = { .s = &s };

	fill(*state);
	AUTO(buf_done) struct buf file = backup_of(&s, backup_name);
	damage_cuts(buf_bytes(&file), is_refused, &t);
	assert_int_equal(t.refused, file.n);
	assert_int_equal(t.not_ours, 4);
	assert_int_equal(t.newer, 0);
}

static void appended_bytes_are_refused(void **state)
{
	static const uint8_t more[CHUNK_SEALED + 1];
	static const size_t lengths[] = { 1, 15, 16, 17, 1000, CHUNK_SEALED, sizeof(more) };
	AUTO(shelf_done) struct shelf s = shelf_new(*state);

	fill(*state);
	AUTO(buf_done) struct buf file = backup_of(&s, backup_name);
	const size_t n = file.n;
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		file.n = n;
		assert_int_equal(buf_put(&file, bytes_of(more, lengths[i])), KMS_OK);
		assert_int_equal(check_bytes(&s, buf_bytes(&file)), KMS_E_BACKUP_DAMAGED);
	}
	/* Its own end once more. */
	file.n = n;
	assert_int_equal(buf_reserve(&file, 100), KMS_OK);
	assert_int_equal(buf_put(&file, bytes_of(file.p + n - 100, 100)), KMS_OK);
	assert_int_equal(check_bytes(&s, buf_bytes(&file)), KMS_E_BACKUP_DAMAGED);
}

static void newer_ones_are_named(void **state)
{
	AUTO(shelf_done) struct shelf s = shelf_new(*state);
	static const size_t places[] = { FORMAT_AT, FORMAT_AT + 1, FORMAT_AT + 3, SCHEMA_AT };

	fill(*state);
	AUTO(buf_done) struct buf file = backup_of(&s, backup_name);
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		file.p[places[i]]++;
		assert_int_equal(check_bytes(&s, buf_bytes(&file)), KMS_E_NEWER_FORMAT);
		file.p[places[i]]--;
	}
	file.p[FORMAT_AT] = 0;
	assert_int_equal(check_bytes(&s, buf_bytes(&file)), KMS_E_BACKUP_DAMAGED);
}

static void other_files_are_no_backups(void **state)
{
	AUTO(shelf_done) struct shelf s = shelf_new(*state);
	AUTO(archive_head_done) struct archive_head h = { .doors = { .slot_n = 0 } };

	assert_int_equal(check_bytes(&s, bytes_of_str("")), KMS_E_NOT_A_BACKUP);
	assert_int_equal(check_bytes(&s, bytes_of_str("KMSF and more")), KMS_E_NOT_A_BACKUP);
	assert_int_equal(check_bytes(&s, bytes_of_str("KMSB")), KMS_E_BACKUP_DAMAGED);
	assert_int_equal(archive_read_head(s.dir_fd, &h), KMS_E_BACKUP_IO);
	assert_int_equal(archive_read_head(-1, &h), KMS_E_BACKUP_IO);
	assert_null(h.raw.p);
}

static void foreign_keys_open_nothing(void **state)
{
	AUTO(shelf_done) struct shelf s = shelf_new(*state);
	AUTO(buf_done) struct buf told = { .p = NULL };
	AUTO(archive_keys_wipe) struct archive_keys other = backup_keys(0x63);

	fill(*state);
	AUTO(buf_done) struct buf file = backup_of(&s, backup_name);
	int fd = memory_file(buf_bytes(&file));
	assert_int_equal(check_file(&s, fd, &other, &told), KMS_E_BACKUP_DAMAGED);
	/* Half of them is not enough. */
	other.head = s.keys.head;
	assert_int_equal(check_file(&s, fd, &other, &told), KMS_E_BACKUP_DAMAGED);
	assert_int_equal(told.n, 0);
}

static void bodies_are_not_exchanged(void **state)
{
	AUTO(shelf_done) struct shelf s = shelf_new(*state);

	fill(*state);
	AUTO(buf_done) struct buf one = backup_of(&s, "one");
	AUTO(buf_done) struct buf two = backup_of(&s, "two");
	const size_t n = head_len(&one);
	assert_true(one.n == two.n && n == head_len(&two));
	memcpy(one.p + n, two.p + n, one.n - n);
	assert_int_equal(check_bytes(&s, buf_bytes(&one)), KMS_E_BACKUP_DAMAGED);
	/* Nor heads in part: neither what the file says, nor the doors, nor the MAC. */
	AUTO(buf_done) struct buf again = file_of(&s, "one");
	memcpy(again.p + FIXED_AT, two.p + FIXED_AT, FIXED_LEN);
	assert_int_equal(check_bytes(&s, buf_bytes(&again)), KMS_E_BACKUP_DAMAGED);
	memcpy(again.p + n - MAC_LEN, two.p + n - MAC_LEN, MAC_LEN);
	assert_int_equal(check_bytes(&s, buf_bytes(&again)), KMS_E_BACKUP_DAMAGED);
}

static void put_many(struct tried *t)
{
	static char value[30000];

	memset(value, 'v', sizeof(value) - 1);
	for (const char *const *key = (const char *const[]){ "a", "b", "c", NULL }; *key != NULL;
	     key++)
		put_now(t, TABLE_KEY, *key, value);
}

static void chunks_keep_their_places(void **state)
{
	AUTO(shelf_done) struct shelf s = shelf_new(*state);
	static uint8_t chunk[CHUNK_SEALED];

	fill(*state);
	put_many(*state);
	AUTO(buf_done) struct buf file = backup_of(&s, backup_name);
	uint8_t *first = file.p + head_len(&file) + CHUNK_HEAD_LEN;
	const size_t n = (size_t)(file.p + file.n - first) / CHUNK_SEALED;
	assert_true(n >= 3);
	/* Without its last chunk, and without some in the middle. */
	for (size_t i = 0; i <= n; i++) {
		struct bytes cut = bytes_of(file.p, (size_t)(first - file.p) + i * CHUNK_SEALED);
		assert_int_equal(check_bytes(&s, cut), KMS_E_BACKUP_DAMAGED);
	}
	memcpy(chunk, first, sizeof(chunk));
	memcpy(first, first + CHUNK_SEALED, CHUNK_SEALED);
	memcpy(first + CHUNK_SEALED, chunk, sizeof(chunk));
	assert_int_equal(check_bytes(&s, buf_bytes(&file)), KMS_E_BACKUP_DAMAGED);
}

/* ---- Doors -------------------------------------------------------------------------------- */

static void doors_need_the_keys(void **state)
{
	AUTO(shelf_done) struct shelf s = shelf_new(*state);
	AUTO(archive_keys_wipe) struct archive_keys other = backup_keys(0x63);

	fill(*state);
	AUTO(buf_done) struct buf file = backup_of(&s, backup_name);
	/* In place, as somebody without them would. */
	file.p[DOORS_AT + 4 + 1 + 2] ^= 1;
	assert_int_equal(check_bytes(&s, buf_bytes(&file)), KMS_E_BACKUP_DAMAGED);
	file.p[DOORS_AT + 4 + 1 + 2] ^= 1;
	assert_int_equal(
	    archive_reseal(s.dir_fd, backup_name, &other, &other_doors), KMS_E_BACKUP_DAMAGED);
	AUTO(buf_done) struct buf after = file_of(&s, backup_name);
	assert_true(bytes_equal(buf_bytes(&file), buf_bytes(&after)));
}

static void other_doors_leave_the_body(void **state)
{
	AUTO(shelf_done) struct shelf s = shelf_new(*state);
	AUTO(archive_head_done) struct archive_head h = { .doors = { .slot_n = 0 } };
	AUTO(buf_done) struct buf told = { .p = NULL };
	struct stat st;

	fill(*state);
	put_many(*state);
	AUTO(buf_done) struct buf before = backup_of(&s, backup_name);
	const size_t old = head_len(&before);
	assert_int_equal(archive_reseal(s.dir_fd, backup_name, &s.keys, &other_doors), KMS_OK);
	AUTO(buf_done) struct buf after = file_of(&s, backup_name);
	const size_t new = head_len(&after);
	assert_true(bytes_equal(
	    bytes_of(before.p + old, before.n - old), bytes_of(after.p + new, after.n - new)));
	assert_memory_equal(before.p, after.p, DOORS_AT);

	assert_int_equal(archive_read_head(memory_file(buf_bytes(&after)), &h), KMS_OK);
	assert_int_equal(h.doors.slot_n, other_doors.slot_n);
	for (size_t i = 0; i < h.doors.slot_n; i++)
		assert_true(bytes_equal(h.doors.slots[i], other_doors.slots[i]));
	assert_true(bytes_equal(h.doors.keyring, other_doors.keyring));
	assert_int_equal(check_name(&s, backup_name, &told), KMS_OK);
	assert_int_equal(fstatat(s.dir_fd, backup_name, &st, 0), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(count_temps(&s), 0);
}

static void a_file_may_be_left_without_slots(void **state)
{
	AUTO(shelf_done) struct shelf s = shelf_new(*state);
	AUTO(buf_done) struct buf told = { .p = NULL };
	const struct archive_doors none = { .keyring = bytes_of_str("for shares alone") };

	fill(*state);
	AUTO(buf_done) struct buf before = backup_of(&s, backup_name);
	assert_int_equal(archive_reseal(s.dir_fd, backup_name, &s.keys, &none), KMS_OK);
	assert_int_equal(check_name(&s, backup_name, &told), KMS_OK);
	AUTO(buf_done) struct buf after = file_of(&s, backup_name);
	assert_true(after.n < before.n);
}

static void impossible_doors_change_nothing(void **state)
{
	static uint8_t large[ARCHIVE_DOOR_MAX + 1];
	AUTO(shelf_done) struct shelf s = shelf_new(*state);
	const struct archive_doors impossible[] = {
		{ .slot_n = 0 },
		{ .slot_n = 1, .keyring = bytes_of_str("k") },
		{ .slot_n = ARCHIVE_SLOTS_MAX + 1, .keyring = bytes_of_str("k") },
		{ .keyring = bytes_of(large, sizeof(large)) },
		{ .slots = { bytes_of(large, sizeof(large)) },
		    .slot_n = 1,
		    .keyring = bytes_of_str("k") },
	};

	fill(*state);
	AUTO(buf_done) struct buf before = backup_of(&s, backup_name);
	for (size_t i = 0; i < ARRAY_LEN(impossible); i++)
		assert_int_equal(archive_reseal(s.dir_fd, backup_name, &s.keys, &impossible[i]),
		    KMS_E_BAD_REQUEST);
	AUTO(buf_done) struct buf after = file_of(&s, backup_name);
	assert_true(bytes_equal(buf_bytes(&before), buf_bytes(&after)));
	assert_int_equal(count_temps(&s), 0);
}

static void only_a_backup_is_given_doors(void **state)
{
	AUTO(shelf_done) struct shelf s = shelf_new(*state);
	const int dir = s.dir_fd;

	fill(*state);
	AUTO(buf_done) struct buf file = backup_of(&s, backup_name);
	assert_int_equal(archive_reseal(dir, "absent", &s.keys, &other_doors), KMS_E_NOT_FOUND);
	assert_int_equal(archive_reseal(dir, "../x", &s.keys, &other_doors), KMS_E_BAD_NAME);
	assert_int_equal(
	    archive_reseal(dir, "store.db", &s.keys, &other_doors), KMS_E_NOT_A_BACKUP);
	/* A link might lead to anybody's file. */
	assert_int_equal(symlinkat(backup_name, dir, "link"), 0);
	assert_int_equal(archive_reseal(dir, "link", &s.keys, &other_doors), KMS_E_BACKUP_IO);
	AUTO(buf_done) struct buf after = file_of(&s, backup_name);
	assert_true(bytes_equal(buf_bytes(&file), buf_bytes(&after)));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_flipped_bit_is_refused),
		TEST(every_cut_is_refused),
		TEST(appended_bytes_are_refused),
		TEST(newer_ones_are_named),
		TEST(other_files_are_no_backups),
		TEST(foreign_keys_open_nothing),
		TEST(bodies_are_not_exchanged),
		TEST(chunks_keep_their_places),
		TEST(doors_need_the_keys),
		TEST(other_doors_leave_the_body),
		TEST(a_file_may_be_left_without_slots),
		TEST(impossible_doors_change_nothing),
		TEST(only_a_backup_is_given_doors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
