/* SPDX-License-Identifier: Apache-2.0 */
/* The dispatch: what reaches a backend, what is refused before, and what passes through. */
#include "kms/store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* Remembers the last call, and answers with what it was told. */
struct fake {
	struct store base;
	const char *called;
	struct store_write wrote;
	enum store_table table;
	kms_err answer;
	bool *closed;
};

static kms_err note(struct store *s, const char *what)
{
	struct fake *f = (struct fake *)s;

	f->called = what;
	return f->answer;
}

static kms_err fake_begin(struct store *s)
{
	return note(s, "begin");
}

static kms_err fake_put(struct store *s, const struct store_write *w)
{
	((struct fake *)s)->wrote = *w;
	return note(s, "put");
}

static kms_err fake_commit(struct store *s)
{
	return note(s, "commit");
}

static void fake_rollback(struct store *s)
{
	(void)note(s, "rollback");
}

static kms_err fake_get(
    struct store *s, enum store_table t, struct bytes key, store_visit *visit, void *arg)
{
	((struct fake *)s)->table = t;
	(void)note(s, "get");
	return visit(arg, t, key, bytes_of_str("value"));
}

static kms_err fake_scan(struct store *s, enum store_table t, store_visit *visit, void *arg)
{
	((struct fake *)s)->table = t;
	(void)note(s, "scan");
	return visit(arg, t, bytes_of_str("key"), bytes_of_str("value"));
}

static kms_err fake_purge(struct store *s)
{
	return note(s, "purge");
}

static void fake_close(struct store *s)
{
	*((struct fake *)s)->closed = true;
}

static const struct store_backend fake_backend = {
	.name = "fake",
	.begin = fake_begin,
	.put = fake_put,
	.commit = fake_commit,
	.rollback = fake_rollback,
	.get = fake_get,
	.scan = fake_scan,
	.purge = fake_purge,
	.close = fake_close,
};

static struct fake fake_of(void)
{
	return (struct fake){ .base = { .backend = &fake_backend }, .called = "" };
}

static kms_err visit_fails(void *arg, enum store_table t, struct bytes key, struct bytes value)
{
	(void)arg;
	(void)t;
	(void)key;
	(void)value;
	return KMS_E_EXISTS;
}

static void every_call_reaches_the_backend(void **state)
{
	struct fake f = fake_of();
	const struct store_write w = { TABLE_KEY, bytes_of_str("k"), bytes_of_str("v") };

	(void)state;
	assert_int_equal(store_begin(&f.base), KMS_OK);
	assert_string_equal(f.called, "begin");
	assert_int_equal(store_put(&f.base, &w), KMS_OK);
	assert_string_equal(f.called, "put");
	assert_true(bytes_equal(f.wrote.value, w.value));
	assert_int_equal(store_commit(&f.base), KMS_OK);
	assert_string_equal(f.called, "commit");
	store_rollback(&f.base);
	assert_string_equal(f.called, "rollback");
	assert_int_equal(store_purge(&f.base), KMS_OK);
	assert_string_equal(f.called, "purge");
}

static void closing_takes_the_store_away(void **state)
{
	bool closed = false;
	struct fake f = fake_of();
	struct store *s = &f.base;

	(void)state;
	f.closed = &closed;
	store_close(&s);
	assert_true(closed);
	assert_null(s);
	store_close(&s);
}

static void what_the_backend_says_passes_through(void **state)
{
	struct fake f = fake_of();
	const struct store_write w = { TABLE_KEY, bytes_of_str("k"), bytes_of_str("v") };

	(void)state;
	f.answer = KMS_E_STORE_FULL;
	assert_int_equal(store_begin(&f.base), KMS_E_STORE_FULL);
	assert_int_equal(store_put(&f.base, &w), KMS_E_STORE_FULL);
	assert_int_equal(store_commit(&f.base), KMS_E_STORE_FULL);
	assert_int_equal(store_purge(&f.base), KMS_E_STORE_FULL);
}

static void what_a_visit_says_passes_through(void **state)
{
	struct fake f = fake_of();
	const struct bytes key = bytes_of_str("k");

	(void)state;
	assert_int_equal(store_get(&f.base, TABLE_KEY, key, visit_fails, NULL), KMS_E_EXISTS);
	assert_int_equal(store_scan(&f.base, TABLE_REPLY, visit_fails, NULL), KMS_E_EXISTS);
	assert_int_equal(f.table, TABLE_REPLY);
}

static void refused(enum store_table t, size_t key_n, size_t value_n)
{
	static uint8_t room[STORE_VALUE_MAX + 1];
	struct fake f = fake_of();
	const struct store_write w = { t, bytes_of(room, key_n), bytes_of(room, value_n) };

	assert_int_equal(store_put(&f.base, &w), KMS_E_INTERNAL);
	assert_string_equal(f.called, "");
}

static void limits_are_kept(void **state)
{
	static uint8_t room[STORE_VALUE_MAX];
	struct fake f = fake_of();
	struct store_write w = { TABLE_REPLY, bytes_of(room, STORE_KEY_MAX),
		bytes_of(room, STORE_VALUE_MAX) };

	(void)state;
	assert_int_equal(store_put(&f.base, &w), KMS_OK);
	w.value = (struct bytes){ 0 };
	w.key.n = 1;
	assert_int_equal(store_put(&f.base, &w), KMS_OK);
}

static void beyond_the_limits_is_refused(void **state)
{
	(void)state;
	refused(TABLE_KEY, 0, 1);
	refused(TABLE_KEY, STORE_KEY_MAX + 1, 1);
	refused(TABLE_KEY, 1, STORE_VALUE_MAX + 1);
	refused((enum store_table)0, 1, 1);
	refused(TABLE_COUNT_OF, 1, 1);
	refused((enum store_table) - 1, 1, 1);
}

static void reading_what_cannot_be_is_refused(void **state)
{
	static const uint8_t room[STORE_KEY_MAX + 1] = { 0 };
	struct fake f = fake_of();
	struct store *s = &f.base;

	(void)state;
	assert_int_equal(
	    store_get(s, TABLE_KEY, bytes_of(room, 0), visit_fails, NULL), KMS_E_INTERNAL);
	assert_int_equal(store_get(s, TABLE_KEY, bytes_of(room, sizeof(room)), visit_fails, NULL),
	    KMS_E_INTERNAL);
	assert_int_equal(
	    store_get(s, TABLE_COUNT_OF, bytes_of(room, 1), visit_fails, NULL), KMS_E_INTERNAL);
	assert_int_equal(store_scan(s, (enum store_table)0, visit_fails, NULL), KMS_E_INTERNAL);
	assert_int_equal(store_scan(s, TABLE_COUNT_OF, visit_fails, NULL), KMS_E_INTERNAL);
	assert_string_equal(f.called, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_call_reaches_the_backend),
		cmocka_unit_test(closing_takes_the_store_away),
		cmocka_unit_test(limits_are_kept),
		cmocka_unit_test(what_the_backend_says_passes_through),
		cmocka_unit_test(what_a_visit_says_passes_through),
		cmocka_unit_test(beyond_the_limits_is_refused),
		cmocka_unit_test(reading_what_cannot_be_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
