/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is done under master keys: wrapped keys open again, states and limits are kept, the MAC
 * binds its context. ring_open_test.c has what must not open.
 */
#include "kms/keys/ring.h"

#include "kms/crypto/kwp.h"
#include "tests/unit/dice.h"
#include "tests/unit/ring_world.h"

enum {
	SECRETS = 256
};

/* ---- Keys of the ring ---------------------------------------------------------------------- */

static void keys_are_found(void **state)
{
	struct world *w = *state;

	assert_int_equal(ring_count(w->ring), 3);
	assert_int_equal(ring_version_count(w->ring), 3);
	(void)master_version(w->key[1]);
	assert_int_equal(ring_version_count(w->ring), 4);
	for (unsigned a = ALG_NONE + 1; a < ALG_COUNT; a++) {
		assert_ptr_equal(ring_find(w->ring, bytes_of_str(names[a])), w->key[a]);
		assert_ptr_equal(ring_find_id(w->ring, w->key[a]->id), w->key[a]);
	}
	assert_null(ring_find(w->ring, bytes_of_str("none")));
	assert_null(ring_find_id(w->ring, master_id(77)));
	assert_ptr_equal(ring_next(w->ring, bytes_of(NULL, 0)), w->key[ALG_AES_256_GCM]);
	assert_ptr_equal(ring_next(w->ring, bytes_of_str("gcm")), w->key[ALG_AES_256_KWP]);
	assert_null(ring_next(w->ring, bytes_of_str("xaes")));
}

static void a_refused_key_stays_the_callers(void **state)
{
	struct world *w = *state;
	struct key *double_name = master_new("gcm", 9, ALG_AES_256_GCM);

	assert_int_equal(ring_add(w->ring, double_name), KMS_E_EXISTS);
	key_free(&double_name);
	assert_int_equal(ring_count(w->ring), 3);
}

/* ---- Wrap and unwrap ----------------------------------------------------------------------- */

static void wrapped_keys_open_again(void **state)
{
	static uint8_t b[ROOM];
	struct world *w = *state;

	for (unsigned a = ALG_NONE + 1; a < ALG_COUNT; a++) {
		struct bytes blob = wrapped(w, (enum algorithm)a, b);
		struct wrapped head;

		assert_int_equal(wrapped_decode(blob, &head), KMS_OK);
		assert_int_equal(head.algorithm, a);
		assert_int_equal(head.version, 1);
		assert_memory_equal(head.key.b, w->key[a]->id.b, KEY_ID_LEN);
		assert_int_equal(unwrap(w, (enum algorithm)a, blob), KMS_OK);
	}
}

/* 92 to 100 bytes for a data key under the default algorithm: it goes into a file's header. */
static void a_wrapped_data_key_is_short(void **state)
{
	(void)state;
	assert_in_range(wrapped_len(ALG_XAES_256_GCM, DATA_KEY), 92, 100);
	assert_true(wrapped_len(ALG_AES_256_GCM, DATA_KEY) < 100);
	assert_true(wrapped_len(ALG_AES_256_KWP, DATA_KEY) < 100);
}

static void no_two_blobs_are_alike(void **state)
{
	static uint8_t x[ROOM], y[ROOM];
	struct world *w = *state;

	for (unsigned i = 0; i < 200; i++) {
		struct bytes one = wrapped(w, ALG_XAES_256_GCM, x);
		struct bytes two = wrapped(w, ALG_XAES_256_GCM, y);
		assert_memory_not_equal(
		    one.p + WRAPPED_HEAD_LEN, two.p + WRAPPED_HEAD_LEN, AEAD_NONCE_MAX);
	}
}

static void every_size_goes(void **state)
{
	static uint8_t plain[PLAINTEXT_MAX + 1], b[ROOM], out[ROOM];
	static const size_t sizes[] = { 0, 1, 7, 8, 9, 15, 16, 17, 31, 33, 4095, 65535, 65536 };
	struct world *w = *state;

	dice_fill(&(struct dice){ .x = 5 }, plain, sizeof(plain));
	for (unsigned a = ALG_NONE + 1; a < ALG_COUNT; a++) {
		struct key *k = w->key[a];
		for (size_t i = a == ALG_AES_256_KWP; i < ARRAY_LEN(sizes); i++) {
			const struct wrap_input in = { canon_of((enum algorithm)a),
				bytes_of(plain, sizes[i]), w->rand };
			struct wrapped head;
			size_t n = 0;

			assert_int_equal(ring_wrap(w->ring, k, &k->versions[0], &in, b), KMS_OK);
			assert_int_equal(
			    wrapped_decode(bytes_of(b, wrapped_len(k->algorithm, sizes[i])), &head),
			    KMS_OK);
			const struct unwrap_input back = { canon_of((enum algorithm)a), &head };
			assert_int_equal(
			    ring_unwrap(w->ring, k, &k->versions[0], &back, out, &n), KMS_OK);
			assert_int_equal(n, sizes[i]);
			assert_memory_equal(out, plain, n);
		}
	}
}

static void sizes_are_limited(void **state)
{
	static uint8_t plain[PLAINTEXT_MAX + 1], b[ROOM];
	struct world *w = *state;

	for (unsigned a = ALG_NONE + 1; a < ALG_COUNT; a++) {
		struct key *k = w->key[a];
		struct wrap_input in = { canon_of((enum algorithm)a),
			bytes_of(plain, sizeof(plain)), w->rand };

		assert_int_equal(
		    ring_wrap(w->ring, k, &k->versions[0], &in, b), KMS_E_PLAINTEXT_TOO_BIG);
	}
	const struct wrap_input empty = { canon_of(ALG_AES_256_KWP), bytes_of(plain, 0), w->rand };
	assert_int_equal(ring_wrap(w->ring, w->key[ALG_AES_256_KWP],
	                     &w->key[ALG_AES_256_KWP]->versions[0], &empty, b),
	    KMS_E_BAD_REQUEST);
}

static void kwp_binds_no_context(void **state)
{
	static uint8_t b[ROOM];
	struct world *w = *state;
	struct key *k = w->key[ALG_AES_256_KWP];
	struct bytes context = canon_of(ALG_XAES_256_GCM);

	assert_int_equal(wrap(w, ALG_AES_256_KWP, context, b), KMS_E_CONTEXT_NOT_POSSIBLE);
	struct bytes blob = wrapped(w, ALG_AES_256_KWP, b);
	assert_int_equal(unwrap_with(w, k, &k->versions[0], context, blob), KMS_E_INTEGRITY);
}

/* For interchange: under the same bits any other RFC 5649 opens ours. */
static void kwp_is_the_rfcs(void **state)
{
	static uint8_t b[ROOM];
	struct world *w = *state;
	struct bytes blob = wrapped(w, ALG_AES_256_KWP, b);
	uint8_t again[40];

	assert_int_equal(kwp_wrap(KWP_PADDED, w->key[ALG_AES_256_KWP]->versions[0].bits,
	                     bytes_of(w->plain, DATA_KEY), again),
	    KMS_OK);
	assert_int_equal(blob.n, WRAPPED_HEAD_LEN + sizeof(again));
	assert_memory_equal(blob.p + WRAPPED_HEAD_LEN, again, sizeof(again));
}

/* ---- States -------------------------------------------------------------------------------- */

static void only_the_active_version_wraps(void **state)
{
	static uint8_t b[ROOM];
	struct world *w = *state;

	for (unsigned a = ALG_NONE + 1; a < ALG_COUNT; a++) {
		for (unsigned s = 0; s < STATE_COUNT; s++) {
			w->key[a]->versions[0].state = (enum key_state)s;
			assert_int_equal(wrap(w, (enum algorithm)a, canon_of((enum algorithm)a), b),
			    s == STATE_ACTIVE ? KMS_OK : KMS_E_WRONG_STATE);
		}
	}
}

static void a_destroyed_version_opens_nothing(void **state)
{
	static uint8_t b[ROOM];
	struct world *w = *state;
	uint8_t mac[32];

	for (unsigned a = ALG_NONE + 1; a < ALG_COUNT; a++) {
		struct bytes blob = wrapped(w, (enum algorithm)a, b);
		struct key *k = w->key[a];
		struct key_version *v = &k->versions[0];

		secret_free(&v->bits);
		ring_touch(w->ring, k);
		assert_null(v->cached);
		assert_int_equal(unwrap(w, (enum algorithm)a, blob), KMS_E_INTEGRITY);
		assert_int_equal(
		    wrap(w, (enum algorithm)a, canon_of((enum algorithm)a), b), KMS_E_WRONG_STATE);
		assert_int_equal(
		    ring_mac(w->ring, k, v, bytes_of_str("x"), canon_of(ALG_XAES_256_GCM), mac),
		    KMS_E_DESTROYED);
	}
}

/* More versions than the cache holds, in turns: what went out is derived again. */
static void a_small_cache_is_enough(void **state)
{
	static uint8_t b[4 * WORLD_CACHE][ROOM];
	struct world *w = *state;
	struct key *k = w->key[ALG_XAES_256_GCM];

	for (size_t i = 0; i < ARRAY_LEN(b); i++) {
		(void)wrapped(w, ALG_XAES_256_GCM, b[i]);
		(void)master_version(k);
	}
	for (unsigned round = 0; round < 2; round++) {
		for (size_t i = 0; i < ARRAY_LEN(b); i++) {
			struct bytes blob = bytes_of(b[i], wrapped_len(k->algorithm, DATA_KEY));
			assert_int_equal(
			    unwrap_with(w, k, &k->versions[i], canon_of(k->algorithm), blob),
			    KMS_OK);
		}
	}
}

/* ---- MAC ----------------------------------------------------------------------------------- */

static void mac_of(struct world *w, struct bytes data, struct bytes canon, uint8_t out[static 32])
{
	struct key *k = w->key[ALG_XAES_256_GCM];

	assert_int_equal(ring_mac(w->ring, k, &k->versions[k->n - 1], data, canon, out), KMS_OK);
}

static void a_mac_is_the_same_again(void **state)
{
	struct world *w = *state;
	struct bytes canon = canon_of(ALG_XAES_256_GCM);
	uint8_t x[32], y[32];

	mac_of(w, bytes_of_str("data"), canon, x);
	ring_touch(w->ring, w->key[ALG_XAES_256_GCM]);
	mac_of(w, bytes_of_str("data"), canon, y);
	assert_memory_equal(x, y, 32);
}

/* Data, context, where one ends and the other begins, and the key: each makes another MAC. */
static void a_mac_binds_all_its_parts(void **state)
{
	struct world *w = *state;
	const struct {
		const char *data, *canon;
	} inputs[] = { { "data", "canon" }, { "datb", "canon" }, { "data", "canoo" },
		{ "ndata", "cano" }, { "", "canondata" }, { "canondata", "" }, { "", "" } };
	uint8_t macs[ARRAY_LEN(inputs) + 1][32];

	for (size_t i = 0; i < ARRAY_LEN(inputs); i++)
		mac_of(w, bytes_of_str(inputs[i].data), bytes_of_str(inputs[i].canon), macs[i]);
	(void)master_version(w->key[ALG_XAES_256_GCM]);
	mac_of(w, bytes_of_str("data"), bytes_of_str("canon"), macs[ARRAY_LEN(inputs)]);

	for (size_t i = 0; i < ARRAY_LEN(macs); i++) {
		for (size_t k = 0; k < i; k++)
			assert_memory_not_equal(macs[i], macs[k], 32);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD(keys_are_found),
		WORLD(a_refused_key_stays_the_callers),
		WORLD(wrapped_keys_open_again),
		WORLD(a_wrapped_data_key_is_short),
		WORLD(no_two_blobs_are_alike),
		WORLD(every_size_goes),
		WORLD(sizes_are_limited),
		WORLD(kwp_binds_no_context),
		WORLD(kwp_is_the_rfcs),
		WORLD(only_the_active_version_wraps),
		WORLD(a_destroyed_version_opens_nothing),
		WORLD(a_small_cache_is_enough),
		WORLD(a_mac_is_the_same_again),
		WORLD(a_mac_binds_all_its_parts),
	};

	CHECK(secret_init(SECRETS, true) == KMS_OK);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	secret_done();
	return failed;
}
