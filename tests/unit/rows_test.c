/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealed rows on a real store: what is put is loaded, the sum follows, and what can't be a row, an
 * epoch or key bits is refused. kms/store/set_hash.c and kms/store/row_batch.c stand behind each.
 * What others do to the file is rows_tamper_test.c's.
 */
#include "kms/store/rows.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#include "kms/store/epoch.h"
#include "tests/unit/rows_help.h"

enum {
	MANY = 1000,
	BIND_LEN = 20,
	KEYS = 10000, /* of a large instance: three rows each */
};

static void what_is_put_is_loaded(void **state)
{
	struct tried *t = *state;
	AUTO(buf_done) struct buf told = { 0 };
	struct epoch e;

	fill(t);
	assert_int_equal(load_fresh(t, t->key, &told, &e), KMS_OK);
	assert_true(bytes_equal(buf_bytes(&told),
	    bytes_of_str(
	        "1 instance=0123456789abcdef;2 slot=the slot's bytes;3 keyring=wrapped keys;"
	        "5 key-1=a master key;5 key-2=another one;6 key-1=its version;"
	        "7 key-1=counters;8 asked=answered;")));
	assert_memory_equal(&e, &first_epoch, sizeof(e));
}

static void only_what_opens_the_root_is_readable(void **state)
{
	struct tried *t = *state;

	fill(t);
	assert_true(row_is(t->bench.store, TABLE_META, "instance", "0123456789abcdef"));
	assert_true(row_is(t->bench.store, TABLE_SLOT, "slot", "the slot's bytes"));
	assert_true(row_is(t->bench.store, TABLE_ROOT, "keyring", "wrapped keys"));
	for (const char *const *clear = (const char *const[]){ "a master key", "another one",
	         "its version", "counters", "answered", NULL };
	     *clear != NULL; clear++)
		assert_int_equal(folder_find(&t->bench.folder, bytes_of_str(*clear)), 0);
}

static void the_same_value_is_sealed_anew_each_time(void **state)
{
	struct tried *t = *state;

	fill(t);
	AUTO(buf_done) struct buf before = stored(t, TABLE_KEY, "key-1");
	put_now(t, TABLE_KEY, "key-1", "a master key");
	AUTO(buf_done) struct buf after = stored(t, TABLE_KEY, "key-1");
	assert_int_equal(before.n, after.n);
	assert_false(bytes_equal(buf_bytes(&before), buf_bytes(&after)));
	assert_int_equal(load_error(t), KMS_OK);
}

static void rows_come_and_go(void **state)
{
	struct tried *t = *state;

	fill(t);
	delete_now(t, TABLE_KEY, "key-2");
	assert_int_equal(load_error(t), KMS_OK);
	delete_now(t, TABLE_KEY, "never there");
	assert_int_equal(load_error(t), KMS_OK);
	put_now(t, TABLE_KEY, "key-2", "");
	t->epoch.number++;
	put_now(t, TABLE_META, "instance", "other");
	assert_int_equal(load_error(t), KMS_OK);
}

static void an_empty_store_loads(void **state)
{
	struct tried *t = *state;
	struct row_batch *b = batch_of();

	apply(t, &b);
	assert_int_equal(load_error(t), KMS_OK);
}

static void a_first_set_is_adopted(void **state)
{
	struct tried *t = *state;

	meddle(t, TABLE_META, "instance", bytes_of_str("made while there was no key"));
	assert_int_equal(rows_adopt(t->rows, t->bench.store), KMS_OK);
	put_now(t, TABLE_KEY, "key-1", "a master key");
	assert_int_equal(load_error(t), KMS_OK);
}

static void the_digest_follows_the_rows_alone(void **state)
{
	struct tried *t = *state;
	AUTO(buf_done) struct buf told = { 0 };
	uint8_t before[SET_HASH_LEN], with[SET_HASH_LEN], after[SET_HASH_LEN], loaded[SET_HASH_LEN];
	struct epoch e;

	fill(t);
	rows_digest(t->rows, before);
	put_now(t, TABLE_SLOT, "second", "slot");
	rows_digest(t->rows, with);
	assert_int_equal(rows_load(t->rows, t->bench.store, tell, &told, &e), KMS_OK);
	rows_digest(t->rows, loaded);
	delete_now(t, TABLE_SLOT, "second");
	rows_digest(t->rows, after);
	assert_memory_not_equal(before, with, sizeof(before));
	assert_memory_equal(with, loaded, sizeof(with));
	assert_memory_equal(before, after, sizeof(before));
}

static void number_key(uint32_t i, char out[static 16])
{
	(void)snprintf(out, 16, "key-%u", i);
}

/* The set grows and shrinks past its table's sizes; a fresh reading finds the same sum. */
static void many_rows_come_and_go(void **state)
{
	struct tried *t = *state;
	struct row_batch *b = batch_of();
	struct dice dice = { 3 };
	char key[16];

	for (uint32_t i = 0; i < MANY; i++) {
		number_key(i, key);
		put(t, b, i % 2 == 0 ? TABLE_KEY : TABLE_META, key, "value");
	}
	apply(t, &b);
	assert_int_equal(load_error(t), KMS_OK);
	b = batch_of();
	for (uint32_t i = 0; i < MANY; i++) {
		number_key(dice_roll(&dice, MANY), key);
		enum store_table table = dice_roll(&dice, 2) == 0 ? TABLE_KEY : TABLE_META;
		if (dice_roll(&dice, 3) == 0)
			put(t, b, table, key, "another");
		else
			assert_int_equal(rows_delete(t->rows, b, table, bytes_of_str(key)), KMS_OK);
	}
	apply(t, &b);
	assert_int_equal(load_error(t), KMS_OK);
}

static void batches_share_a_transaction(void **state)
{
	struct tried *t = *state;
	AUTO(row_batch_free) struct row_batch *a = batch_of();
	AUTO(row_batch_free) struct row_batch *b = batch_of();

	put(t, a, TABLE_KEY, "key-1", "first");
	assert_int_equal(rows_finish(t->rows, a, &t->epoch), KMS_OK);
	put(t, b, TABLE_KEY, "key-1", "second");
	assert_int_equal(rows_finish(t->rows, b, &t->epoch), KMS_OK);
	const struct row_batch *const both[] = { a, b };
	assert_int_equal(row_batch_apply(t->bench.store, both, ARRAY_LEN(both)), KMS_OK);
	assert_int_equal(load_error(t), KMS_OK);
}

static void a_purging_batch_leaves_nothing(void **state)
{
	struct tried *t = *state;
	struct row_batch *b = batch_of();

	fill(t);
	AUTO(buf_done) struct buf gone = stored(t, TABLE_VERSION, "key-1");
	assert_int_equal(folder_find(&t->bench.folder, buf_bytes(&gone)), 1);
	put(t, b, TABLE_VERSION, "key-1", "destroyed");
	b->purge = true;
	apply(t, &b);
	assert_int_equal(folder_find(&t->bench.folder, buf_bytes(&gone)), 0);
	assert_int_equal(load_error(t), KMS_OK);
}

static void key_bits_open_to_a_secret(void **state)
{
	struct tried *t = *state;
	const struct bytes bind = bytes_of("0123456789abcdef0001", BIND_LEN);
	uint8_t sealed[ROWS_BITS_OVERHEAD + KEY_BITS_LEN];
	AUTO(secret_free) struct secret *back = NULL;

	assert_int_equal(rows_seal_bits(t->rows, bind, t->key, sealed), KMS_OK);
	assert_int_equal(
	    rows_open_bits(t->rows, bind, bytes_of(sealed, sizeof(sealed)), &back), KMS_OK);
	assert_true(secret_equal(back, secret_bytes(t->key)));
}

static void key_bits_are_checked_without_a_secret(void **state)
{
	struct tried *t = *state;
	const struct bytes bind = bytes_of("0123456789abcdef0001", BIND_LEN);
	uint8_t sealed[ROWS_BITS_OVERHEAD + KEY_BITS_LEN];

	assert_int_equal(rows_seal_bits(t->rows, bind, t->key, sealed), KMS_OK);
	assert_int_equal(rows_check_bits(t->rows, bind, bytes_of(sealed, sizeof(sealed))), KMS_OK);
	assert_int_equal(secret_info().used, 1);
}

static kms_err count_visit(void *arg, enum store_table table, struct bytes key, struct bytes value)
{
	(void)table;
	(void)key;
	(void)value;
	++*(size_t *)arg;
	return KMS_OK;
}

/* Of this process: what others run meanwhile doesn't count. */
static uint64_t cpu_us(void)
{
	struct timespec t;

	assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t), 0);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void put_large(struct tried *t)
{
	static const uint8_t value[140] = { 0x11 };
	static const enum store_table tables[] = { TABLE_KEY, TABLE_VERSION, TABLE_COUNT };
	struct row_batch *b = batch_of();
	uint8_t key[BIND_LEN] = { 0 };

	for (uint32_t i = 0; i < KEYS * ARRAY_LEN(tables); i++) {
		store_u32(key, (i / 3) * 2654435761u);
		assert_int_equal(rows_put(t->rows, b, tables[i % 3], bytes_of(key, sizeof(key)),
		                     bytes_of(value, sizeof(value))),
		    KMS_OK);
	}
	apply(t, &b);
}

static void the_rows_of_ten_thousand_keys_load(void **state)
{
	struct tried *t = *state;
	size_t n = 0;
	struct epoch e;

	put_large(t);
	uint64_t start = cpu_us();
	assert_int_equal(rows_load(t->rows, t->bench.store, count_visit, &n, &e), KMS_OK);
	uint64_t loaded = cpu_us();
	assert_int_equal(store_purge(t->bench.store), KMS_OK);
	uint64_t purged = cpu_us();
	assert_int_equal(n, 3 * KEYS);
	print_message("30,000 rows: loaded in %lu us, purged in %lu us\n",
	    (unsigned long)(loaded - start), (unsigned long)(purged - loaded));
}

static void sealed_rows_are_not_adopted(void **state)
{
	struct tried *t = *state;

	meddle(t, TABLE_KEY, "key-1", bytes_of_str("x"));
	assert_int_equal(rows_adopt(t->rows, t->bench.store), KMS_E_STORE_CORRUPT);
	meddle(t, TABLE_KEY, "key-1", (struct bytes){ 0 });
	assert_int_equal(rows_adopt(t->rows, t->bench.store), KMS_OK);
	meddle(t, TABLE_EPOCH, "epoch", bytes_of_str("x"));
	assert_int_equal(rows_adopt(t->rows, t->bench.store), KMS_E_STORE_CORRUPT);
}

static void a_row_past_the_limits_changes_nothing(void **state)
{
	static uint8_t room[STORE_VALUE_MAX + 1];
	struct tried *t = *state;
	struct row_batch *b = batch_of();
	const struct bytes key = bytes_of_str("key"), large = bytes_of(room, STORE_VALUE_MAX);

	assert_int_equal(rows_put(t->rows, b, TABLE_META, key, large), KMS_OK);
	assert_int_equal(rows_put(t->rows, b, TABLE_KEY, key, large), KMS_E_INTERNAL);
	assert_int_equal(
	    rows_put(t->rows, b, TABLE_META, key, bytes_of(room, sizeof(room))), KMS_E_INTERNAL);
	assert_int_equal(rows_put(t->rows, b, TABLE_META, bytes_of(room, STORE_KEY_MAX + 1), key),
	    KMS_E_INTERNAL);
	assert_int_equal(rows_put(t->rows, b, TABLE_META, bytes_of(room, 0), key), KMS_E_INTERNAL);
	assert_int_equal(rows_delete(t->rows, b, TABLE_META, bytes_of(room, 0)), KMS_E_INTERNAL);
	assert_int_equal(b->n, 1);
	apply(t, &b);
	assert_int_equal(load_error(t), KMS_OK);
}

static void bits_open_only_where_they_were_bound(void **state)
{
	struct tried *t = *state;
	const struct bytes bind = bytes_of("0123456789abcdef0001", BIND_LEN);
	const struct bytes other = bytes_of("0123456789abcdef0002", BIND_LEN);
	uint8_t sealed[ROWS_BITS_OVERHEAD + KEY_BITS_LEN];
	const struct bytes in = bytes_of(sealed, sizeof(sealed));
	struct secret *out = NULL;

	assert_int_equal(rows_seal_bits(t->rows, bind, t->key, sealed), KMS_OK);
	assert_int_equal(rows_open_bits(t->rows, other, in, &out), KMS_E_STORE_CORRUPT);
	assert_int_equal(rows_check_bits(t->rows, other, in), KMS_E_STORE_CORRUPT);
	for (size_t i = 0; i < sizeof(sealed); i++) {
		sealed[i] ^= 0x20;
		assert_int_equal(rows_open_bits(t->rows, bind, in, &out), KMS_E_STORE_CORRUPT);
		assert_int_equal(rows_check_bits(t->rows, bind, in), KMS_E_STORE_CORRUPT);
		sealed[i] ^= 0x20;
		assert_int_equal(
		    rows_open_bits(t->rows, bind, bytes_of(sealed, i), &out), KMS_E_STORE_CORRUPT);
	}
	assert_null(out);
	assert_int_equal(secret_info().used, 1);
}

static void bits_of_no_possible_length_are_refused(void **state)
{
	static const uint8_t room[ROWS_BITS_OVERHEAD + SECRET_MAX + 1] = { 0 };
	struct tried *t = *state;
	const struct bytes bind = bytes_of_str("bind");
	struct secret *out = NULL;

	assert_int_equal(
	    rows_open_bits(t->rows, bind, bytes_of(room, sizeof(room)), &out), KMS_E_STORE_CORRUPT);
	assert_int_equal(rows_open_bits(t->rows, bind, bytes_of(room, ROWS_BITS_OVERHEAD), &out),
	    KMS_E_STORE_CORRUPT);
	assert_int_equal(
	    rows_check_bits(t->rows, bind, bytes_of(room, sizeof(room))), KMS_E_STORE_CORRUPT);
	assert_int_equal(rows_check_bits(t->rows, bind, bytes_of(room, ROWS_BITS_OVERHEAD)),
	    KMS_E_STORE_CORRUPT);
	assert_null(out);
}

static void an_epoch_of_other_formats_is_refused(void **state)
{
	uint8_t bytes[EPOCH_LEN + 1] = { 0 }, set[SET_HASH_LEN] = { 9 };
	struct epoch e = { .number = 1 };

	(void)state;
	epoch_encode(&first_epoch, set, bytes);
	for (size_t n = 0; n <= sizeof(bytes); n++) {
		kms_err want = n == EPOCH_LEN ? KMS_OK : KMS_E_STORE_CORRUPT;
		assert_int_equal(epoch_decode(bytes_of(bytes, n), &e, set), want);
	}
	bytes[0] = EPOCH_FORMAT + 1;
	assert_int_equal(epoch_decode(bytes_of(bytes, EPOCH_LEN), &e, set), KMS_E_STORE_NEWER);
	bytes[0] = 0;
	assert_int_equal(epoch_decode(bytes_of(bytes, EPOCH_LEN), &e, set), KMS_E_STORE_CORRUPT);
}

/* A backend that fails its N-th call. */
struct bad_store {
	struct store base;
	int calls, fail_at, rolled_back;
};

static kms_err bad_call(struct store *s)
{
	struct bad_store *b = (struct bad_store *)s;

	return ++b->calls == b->fail_at ? KMS_E_STORE_IO : KMS_OK;
}

static kms_err bad_put(struct store *s, const struct store_write *w)
{
	(void)w;
	return bad_call(s);
}

static void bad_rollback(struct store *s)
{
	((struct bad_store *)s)->rolled_back++;
}

static const struct store_backend bad_backend = { .name = "bad",
	.begin = bad_call,
	.put = bad_put,
	.commit = bad_call,
	.rollback = bad_rollback,
	.purge = bad_call };

static void a_batch_that_fails_is_rolled_back(void **state)
{
	struct tried *t = *state;
	AUTO(row_batch_free) struct row_batch *b = batch_of();

	put(t, b, TABLE_KEY, "key-1", "value");
	assert_int_equal(rows_finish(t->rows, b, &t->epoch), KMS_OK);
	b->purge = true;
	const struct row_batch *one = b;
	/* begin, two puts, commit, purge */
	for (int n = 1; n <= 6; n++) {
		struct bad_store s = { .base = { &bad_backend }, .fail_at = n };
		kms_err want = n <= 5 ? KMS_E_STORE_IO : KMS_OK;
		assert_int_equal(row_batch_apply(&s.base, &one, 1), want);
		assert_int_equal(s.calls, n <= 5 ? n : 5);
		assert_int_equal(s.rolled_back, n >= 2 && n <= 4);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_put_is_loaded),
		TEST(only_what_opens_the_root_is_readable),
		TEST(the_same_value_is_sealed_anew_each_time),
		TEST(rows_come_and_go),
		TEST(an_empty_store_loads),
		TEST(a_first_set_is_adopted),
		TEST(the_digest_follows_the_rows_alone),
		TEST(many_rows_come_and_go),
		TEST(batches_share_a_transaction),
		TEST(a_purging_batch_leaves_nothing),
		TEST(key_bits_open_to_a_secret),
		TEST(key_bits_are_checked_without_a_secret),
		TEST(the_rows_of_ten_thousand_keys_load),
		TEST(sealed_rows_are_not_adopted),
		TEST(a_row_past_the_limits_changes_nothing),
		TEST(bits_open_only_where_they_were_bound),
		TEST(bits_of_no_possible_length_are_refused),
		TEST(an_epoch_of_other_formats_is_refused),
		TEST(a_batch_that_fails_is_rolled_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
