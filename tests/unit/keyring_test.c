/* SPDX-License-Identifier: Apache-2.0 */
/* The row of working keys: it opens under its root and instance, and under nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "kms/keeper/keyring.h"

struct world {
	struct secret *root, *other;
	struct keyring keys;
	struct buf row;
};

static const uint8_t instance_bytes[INSTANCE_ID_LEN] = "an instance's id";

static struct bytes instance(void)
{
	return bytes_of(instance_bytes, INSTANCE_ID_LEN);
}

static int set_up(void **state)
{
	static struct world w;
	uint8_t clear[KEY_BITS_LEN] = { 1 };
	assert_int_equal(secret_init(64, true), KMS_OK);
	assert_int_equal(secret_from(bytes_of(clear, sizeof(clear)), &w.root), KMS_OK);
	clear[0] = 2;
	assert_int_equal(secret_from(bytes_of(clear, sizeof(clear)), &w.other), KMS_OK);
	assert_int_equal(keyring_make(&w.keys), KMS_OK);
	assert_int_equal(keyring_encode(&w.keys, w.root, instance(), &w.row), KMS_OK);
	*state = &w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	keyring_done(&w->keys);
	secret_free(&w->root);
	secret_free(&w->other);
	buf_done(&w->row);
	assert_int_equal(secret_info().used, 0);
	secret_done();
	return 0;
}

static bool same(const struct secret *a, const struct secret *b)
{
	return secret_equal(a, secret_bytes(b));
}

static void test_round_trip(void **state)
{
	struct world *w = *state;
	struct keyring back = { 0 };
	assert_int_equal(keyring_decode(buf_bytes(&w->row), w->root, instance(), &back), KMS_OK);
	assert_true(same(back.store_key, w->keys.store_key));
	assert_true(same(back.audit_key, w->keys.audit_key));
	assert_true(same(back.backup_key, w->keys.backup_key));
	assert_false(same(back.store_key, back.audit_key));
	keyring_done(&back);
}

static void test_fresh_each_time(void **state)
{
	struct world *w = *state;
	struct keyring more = { 0 };
	AUTO(buf_done) struct buf row = { 0 };
	assert_int_equal(keyring_make(&more), KMS_OK);
	assert_false(same(more.store_key, w->keys.store_key));
	keyring_done(&more);
	assert_int_equal(keyring_encode(&w->keys, w->root, instance(), &row), KMS_OK);
	assert_false(bytes_equal(buf_bytes(&row), buf_bytes(&w->row)));
}

/* Nothing of the keys stands in the row. */
static void test_sealed(void **state)
{
	struct world *w = *state;
	struct bytes key = secret_bytes(w->keys.store_key);
	assert_null(memmem(w->row.p, w->row.n, key.p, key.n));
	key = secret_bytes(w->keys.audit_key);
	assert_null(memmem(w->row.p, w->row.n, key.p, 8));
}

static void refused(struct bytes row, const struct secret *root, struct bytes id, kms_err want)
{
	struct keyring back = { 0 };
	assert_int_equal(keyring_decode(row, root, id, &back), want);
	assert_null(back.store_key);
	assert_null(back.audit_key);
	assert_null(back.backup_key);
}

static void test_other_root_or_instance(void **state)
{
	struct world *w = *state;
	refused(buf_bytes(&w->row), w->other, instance(), KMS_E_STORE_CORRUPT);
	refused(buf_bytes(&w->row), w->root, bytes_of("another instance", 16), KMS_E_STORE_CORRUPT);
}

static void test_every_flip(void **state)
{
	struct world *w = *state;
	for (size_t i = 1; i < w->row.n; i++) {
		w->row.p[i] ^= 0x20;
		refused(buf_bytes(&w->row), w->root, instance(), KMS_E_STORE_CORRUPT);
		w->row.p[i] ^= 0x20;
	}
}

static void test_every_cut(void **state)
{
	struct world *w = *state;
	for (size_t n = 0; n < w->row.n; n++)
		refused(bytes_of(w->row.p, n), w->root, instance(), KMS_E_STORE_CORRUPT);
	assert_int_equal(buf_put_u8(&w->row, 0), KMS_OK);
	refused(buf_bytes(&w->row), w->root, instance(), KMS_E_STORE_CORRUPT);
}

static void test_newer_format(void **state)
{
	struct world *w = *state;
	w->row.p[0] = 2;
	refused(buf_bytes(&w->row), w->root, instance(), KMS_E_STORE_NEWER);
	w->row.p[0] = 0;
	refused(buf_bytes(&w->row), w->root, instance(), KMS_E_STORE_CORRUPT);
}

/* Two keys of one row may not change their places. */
static void test_swapped(void **state)
{
	struct world *w = *state;
	const size_t one = 2 + 5 + 24 + 48; /* "store" and "audit" are of one length */
	uint8_t held[2 + 5 + 24 + 48];
	memcpy(held, w->row.p + 2, one);
	memmove(w->row.p + 2, w->row.p + 2 + one, one);
	memcpy(w->row.p + 2 + one, held, one);
	refused(buf_bytes(&w->row), w->root, instance(), KMS_E_STORE_CORRUPT);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(test_round_trip), TEST(test_fresh_each_time),
		TEST(test_sealed), TEST(test_other_root_or_instance), TEST(test_every_flip),
		TEST(test_every_cut), TEST(test_newer_format), TEST(test_swapped) };
	return cmocka_run_group_tests_name("keyring", tests, NULL, NULL);
}
