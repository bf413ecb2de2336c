/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What must not open: a wrapped key with any bit changed, under another context, key, version or
 * algorithm. It is one and the same refusal, and nothing of the plaintext is left in the output.
 */
#include "kms/keys/ring.h"

#include "tests/unit/damage.h"
#include "tests/unit/ring_world.h"

enum {
	SECRETS = 256
};

struct broken {
	struct world *w;
	enum algorithm a;
};

static void does_not_open(struct bytes blob, size_t at, void *arg)
{
	const struct broken *x = arg;

	(void)at;
	assert_int_equal(unwrap(x->w, x->a, blob), KMS_E_INTEGRITY);
}

static void every_bit_counts(void **state)
{
	static uint8_t b[ROOM];
	struct world *w = *state;

	for (unsigned a = ALG_NONE + 1; a < ALG_COUNT; a++) {
		struct bytes blob = wrapped(w, (enum algorithm)a, b);
		struct broken x = { w, (enum algorithm)a };

		damage_flips(blob, does_not_open, &x);
		damage_cuts(blob, does_not_open, &x);
		damage_longer(blob, does_not_open, &x);
		assert_int_equal(unwrap(w, (enum algorithm)a, blob), KMS_OK);
	}
}

static void every_bit_of_the_context_counts(void **state)
{
	static uint8_t b[ROOM];
	struct world *w = *state;

	for (unsigned a = ALG_NONE + 1; a < ALG_AES_256_KWP; a++) {
		struct bytes blob = wrapped(w, (enum algorithm)a, b);
		struct bytes canon = canon_of((enum algorithm)a);
		struct key *k = w->key[a];
		uint8_t other[16];

		memcpy(other, canon.p, canon.n);
		for (size_t bit = 0; bit < canon.n * 8; bit++) {
			other[bit / 8] ^= (uint8_t)(1U << bit % 8);
			assert_int_equal(
			    unwrap_with(w, k, &k->versions[0], bytes_of(other, canon.n), blob),
			    KMS_E_INTEGRITY);
			other[bit / 8] ^= (uint8_t)(1U << bit % 8);
		}
		for (size_t n = 0; n < canon.n; n++)
			assert_int_equal(
			    unwrap_with(w, k, &k->versions[0], bytes_of(other, n), blob),
			    KMS_E_INTEGRITY);
	}
}

static void another_key_does_not_open(void **state)
{
	static uint8_t b[ROOM];
	struct world *w = *state;

	for (unsigned a = ALG_NONE + 1; a < ALG_COUNT; a++) {
		struct bytes blob = wrapped(w, (enum algorithm)a, b);
		struct key *other = master_new("other", 50 + a, (enum algorithm)a);

		assert_int_equal(
		    unwrap_with(w, other, &other->versions[0], canon_of((enum algorithm)a), blob),
		    KMS_E_INTEGRITY);
		/* Nor if it claims to be the same one. */
		other->id = w->key[a]->id;
		assert_int_equal(
		    unwrap_with(w, other, &other->versions[0], canon_of((enum algorithm)a), blob),
		    KMS_E_INTEGRITY);
		ring_touch(w->ring, other);
		key_free(&other);
	}
}

static void another_version_does_not_open(void **state)
{
	static uint8_t b[ROOM];
	struct world *w = *state;

	for (unsigned a = ALG_NONE + 1; a < ALG_COUNT; a++) {
		struct bytes blob = wrapped(w, (enum algorithm)a, b);
		struct key *k = w->key[a];
		struct key_version *second = master_version(k);

		assert_int_equal(
		    unwrap_with(w, k, second, canon_of((enum algorithm)a), blob), KMS_E_INTEGRITY);
		/* A head that names the second doesn't open with it either. */
		b[20] = 2;
		assert_int_equal(
		    unwrap_with(w, k, second, canon_of((enum algorithm)a), blob), KMS_E_INTEGRITY);
		b[20] = 1;
		assert_int_equal(unwrap(w, (enum algorithm)a, blob), KMS_OK);
	}
}

static void another_algorithm_does_not_open(void **state)
{
	static uint8_t b[ROOM];
	struct world *w = *state;

	for (unsigned a = ALG_NONE + 1; a < ALG_COUNT; a++) {
		(void)wrapped(w, (enum algorithm)a, b);
		for (unsigned other = ALG_NONE + 1; other < ALG_COUNT; other++) {
			struct bytes blob = bytes_of(b, wrapped_len((enum algorithm)a, DATA_KEY));
			if (other == a)
				continue;
			b[1] = (uint8_t)other;
			assert_int_equal(unwrap(w, (enum algorithm)a, blob), KMS_E_INTEGRITY);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD(every_bit_counts),
		WORLD(every_bit_of_the_context_counts),
		WORLD(another_key_does_not_open),
		WORLD(another_version_does_not_open),
		WORLD(another_algorithm_does_not_open),
	};

	CHECK(secret_init(SECRETS, true) == KMS_OK);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	secret_done();
	return failed;
}
