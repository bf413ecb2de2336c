/* SPDX-License-Identifier: Apache-2.0 */
/* A master key in memory: its versions are numbered, found and freed with their bits. */
#include "kms/keys/key.h"

#include "tests/unit/master.h"

enum {
	SECRETS = 128
};

static void a_new_key_is_empty(void **state)
{
	AUTO(key_free) struct key *k = NULL;

	(void)state;
	assert_int_equal(key_new(&k), KMS_OK);
	assert_int_equal(k->n, 0);
	assert_null(k->versions);
	assert_null(key_active(k));
	assert_null(key_find_version(k, 0));
	assert_null(key_find_version(k, 1));
}

static void versions_count_from_one(void **state)
{
	AUTO(key_free) struct key *k = NULL;
	struct key_version *v;

	(void)state;
	assert_int_equal(key_new(&k), KMS_OK);
	for (uint32_t n = 1; n <= 100; n++) {
		assert_int_equal(key_add_version(k, &v), KMS_OK);
		assert_int_equal(v->number, n);
		assert_int_equal(v->state, STATE_NONE);
		assert_null(v->bits);
		assert_int_equal(v->used.issued, 0);
		assert_ptr_equal(key_find_version(k, n), v);
	}
	for (uint32_t n = 1; n <= 100; n++)
		assert_int_equal(key_find_version(k, n)->number, n);
	assert_null(key_find_version(k, 0));
	assert_null(key_find_version(k, 101));
	assert_null(key_find_version(k, UINT32_MAX));
}

/* Old versions may have been dropped from the store. */
static void gaps_are_seen(void **state)
{
	AUTO(key_free) struct key *k = NULL;
	struct key_version *v;

	(void)state;
	assert_int_equal(key_new(&k), KMS_OK);
	assert_int_equal(key_add_version(k, &v), KMS_OK);
	v->number = 7;
	assert_int_equal(key_add_version(k, &v), KMS_OK);
	assert_int_equal(v->number, 8);
	assert_null(key_find_version(k, 1));
	assert_int_equal(key_find_version(k, 7)->number, 7);
}

static void the_active_one_is_found(void **state)
{
	AUTO(key_free) struct key *k = master_new("k", 1, ALG_AES_256_GCM);

	(void)state;
	assert_int_equal(key_active(k)->number, 1);
	k->versions[0].state = STATE_DEACTIVATED;
	assert_null(key_active(k));
	(void)master_version(k);
	(void)master_version(k);
	k->versions[2].state = STATE_PRE_ACTIVE;
	assert_int_equal(key_active(k)->number, 2);
}

static void numbers_end(void **state)
{
	AUTO(key_free) struct key *k = NULL;
	struct key_version *v = NULL;

	(void)state;
	assert_int_equal(key_new(&k), KMS_OK);
	for (size_t i = 0; i < KEY_VERSIONS_MAX; i++)
		assert_int_equal(key_add_version(k, &v), KMS_OK);
	assert_int_equal(v->number, KEY_VERSIONS_MAX);
	assert_int_equal(key_add_version(k, &v), KMS_E_KEYS_FULL);
	assert_int_equal(k->n, KEY_VERSIONS_MAX);
}

static void the_last_number_is_not_passed(void **state)
{
	AUTO(key_free) struct key *k = NULL;
	struct key_version *v;

	(void)state;
	assert_int_equal(key_new(&k), KMS_OK);
	assert_int_equal(key_add_version(k, &v), KMS_OK);
	v->number = UINT32_MAX;
	assert_int_equal(key_add_version(k, &v), KMS_E_KEYS_FULL);
	assert_int_equal(k->n, 1);
}

static void freeing_gives_bits_back(void **state)
{
	struct key *k = master_new("k", 1, ALG_AES_256_GCM);

	(void)state;
	(void)master_version(k);
	(void)master_version(k);
	/* A destroyed one has none. */
	secret_free(&k->versions[1].bits);
	assert_int_equal(secret_info().used, 2);
	key_free(&k);
	assert_null(k);
	assert_int_equal(secret_info().used, 0);
	key_free(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_key_is_empty),
		cmocka_unit_test(versions_count_from_one),
		cmocka_unit_test(gaps_are_seen),
		cmocka_unit_test(the_active_one_is_found),
		cmocka_unit_test(numbers_end),
		cmocka_unit_test(the_last_number_is_not_passed),
		cmocka_unit_test(freeing_gives_bits_back),
	};

	CHECK(secret_init(SECRETS, true) == KMS_OK);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	secret_done();
	return failed;
}
