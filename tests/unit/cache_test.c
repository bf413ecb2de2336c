/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Expanded keys: as many as were asked for are kept, the one used longest ago goes first, and what
 * goes is freed, which wipes it (aead_test and hash_test look into that memory).
 */
#include "kms/keys/cache.h"

#include <stdlib.h>

#include "tests/unit/master.h"

enum {
	SECRETS = 64,
	ROOM = 3,
	KEYS = 5
};

struct world {
	struct cache cache;
	struct key *keys[KEYS];
};

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	cache_init(&w->cache, ROOM);
	for (uint32_t i = 0; i < KEYS; i++) {
		char name[] = "key-0";
		name[4] = (char)('0' + i);
		w->keys[i] = master_new(name, i, ALG_XAES_256_GCM);
	}
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	cache_done(&w->cache);
	assert_int_equal(w->cache.n, 0);
	for (size_t i = 0; i < KEYS; i++)
		key_free(&w->keys[i]);
	free(w);
	return 0;
}

static struct aead *use(struct world *w, size_t i)
{
	struct aead *a = NULL;

	assert_int_equal(cache_aead(&w->cache, w->keys[i], &w->keys[i]->versions[0], &a), KMS_OK);
	assert_non_null(a);
	return a;
}

static struct mac *use_mac(struct world *w, size_t i)
{
	struct mac *m = NULL;

	assert_int_equal(cache_mac(&w->cache, w->keys[i], &w->keys[i]->versions[0], &m), KMS_OK);
	assert_non_null(m);
	return m;
}

/* which: one letter for each key, 'x' if it is kept. */
static void kept(const struct world *w, const char which[static KEYS])
{
	size_t n = 0;

	for (size_t i = 0; i < KEYS; i++) {
		bool is = w->keys[i]->versions[0].cached != NULL;
		assert_int_equal(is, which[i] == 'x');
		n += is;
	}
	assert_int_equal(w->cache.n, n);
}

static void what_is_kept_is_given_again(void **state)
{
	struct world *w = *state;
	struct aead *a = use(w, 0);
	struct mac *m = use_mac(w, 0);

	assert_ptr_equal(use(w, 0), a);
	(void)use(w, 1);
	assert_ptr_equal(use(w, 0), a);
	assert_ptr_equal(use_mac(w, 0), m);
	kept(w, "xx...");
}

static void the_one_used_longest_ago_goes(void **state)
{
	struct world *w = *state;

	(void)use(w, 0);
	(void)use(w, 1);
	(void)use_mac(w, 2);
	kept(w, "xxx..");
	(void)use(w, 0);
	(void)use(w, 3);
	kept(w, "x.xx.");
	(void)use_mac(w, 4);
	kept(w, "x..xx");
	(void)use(w, 1);
	kept(w, ".x.xx");
	/* From the middle to the front. */
	(void)use(w, 4);
	(void)use(w, 0);
	kept(w, "xx..x");
}

static void a_touched_key_is_dropped_alone(void **state)
{
	struct world *w = *state;

	(void)use(w, 0);
	(void)use(w, 1);
	(void)use(w, 2);
	cache_drop(&w->cache, w->keys[1]);
	kept(w, "x.x..");
	cache_drop(&w->cache, w->keys[1]);
	cache_drop(&w->cache, w->keys[4]);
	kept(w, "x.x..");
	(void)use(w, 1);
	kept(w, "xxx..");
}

/* Versions move when one is added; what is kept of them moves along. */
static void versions_may_move(void **state)
{
	struct world *w = *state;
	struct key *k = w->keys[0];
	struct aead *first = use(w, 0);
	struct aead *a;

	for (unsigned i = 0; i < 20; i++) {
		struct key_version *v = master_version(k);
		assert_int_equal(cache_aead(&w->cache, k, v, &a), KMS_OK);
		assert_ptr_not_equal(a, first);
		assert_ptr_equal(use(w, 0), first);
	}
	assert_int_equal(w->cache.n, ROOM);
	cache_drop(&w->cache, k);
	assert_int_equal(w->cache.n, 0);
	for (size_t i = 0; i < k->n; i++)
		assert_null(k->versions[i].cached);
}

/* One purpose, one derived key: neither two algorithms nor wrapping and MAC share one. */
static void keys_of_two_algorithms_differ(void **state)
{
	struct world *w = *state;
	const struct bytes aad[2] = { { NULL, 0 }, { NULL, 0 } };
	static const uint8_t nonce[AEAD_NONCE_MAX];
	uint8_t x[AEAD_TAG_LEN + 4], y[AEAD_TAG_LEN + 4];
	AUTO(aead_free) struct aead *raw = NULL;

	assert_int_equal(aead_seal(use(w, 0), nonce, aad, bytes_of_str("text"), x), KMS_OK);
	assert_int_equal(aead_new(ALG_XAES_256_GCM, w->keys[0]->versions[0].bits, &raw), KMS_OK);
	assert_int_equal(aead_seal(raw, nonce, aad, bytes_of_str("text"), y), KMS_OK);
	assert_memory_not_equal(x, y, sizeof(x));

	w->keys[1]->algorithm = ALG_AES_256_GCM;
	struct aead *gcm = use(w, 1);
	AUTO(aead_free) struct aead *raw_gcm = NULL;
	assert_int_equal(aead_new(ALG_AES_256_GCM, w->keys[1]->versions[0].bits, &raw_gcm), KMS_OK);
	assert_int_equal(aead_seal(gcm, nonce, aad, bytes_of_str("text"), x), KMS_OK);
	assert_int_equal(aead_seal(raw_gcm, nonce, aad, bytes_of_str("text"), y), KMS_OK);
	assert_memory_not_equal(x, y, sizeof(x));
}

static void kwp_has_no_aead(void **state)
{
	struct world *w = *state;
	struct aead *a = NULL;

	w->keys[0]->algorithm = ALG_AES_256_KWP;
	assert_int_equal(
	    cache_aead(&w->cache, w->keys[0], &w->keys[0]->versions[0], &a), KMS_E_BAD_ALGORITHM);
	assert_null(a);
	kept(w, ".....");
	(void)use_mac(w, 0);
	kept(w, "x....");
}

static void no_room_is_room_for_one(void **state)
{
	struct world *w = *state;
	struct cache small;
	struct aead *a;

	cache_init(&small, 0);
	for (size_t i = 0; i < KEYS; i++) {
		assert_int_equal(
		    cache_aead(&small, w->keys[i], &w->keys[i]->versions[0], &a), KMS_OK);
		assert_int_equal(small.n, 1);
	}
	cache_done(&small);
}

#define WORLD(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD(what_is_kept_is_given_again),
		WORLD(the_one_used_longest_ago_goes),
		WORLD(a_touched_key_is_dropped_alone),
		WORLD(versions_may_move),
		WORLD(keys_of_two_algorithms_differ),
		WORLD(kwp_has_no_aead),
		WORLD(no_room_is_room_for_one),
	};

	CHECK(secret_init(SECRETS, true) == KMS_OK);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	secret_done();
	return failed;
}
