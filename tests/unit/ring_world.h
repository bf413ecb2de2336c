/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of the ring share: a ring with one key for each algorithm, and a data key to wrap
 * and unwrap. Include it in one file of a test.
 */
#pragma once

#include <stdlib.h>

#include "kms/crypto/aead.h"
#include "kms/keys/ring.h"
#include "tests/unit/master.h"

enum {
	WORLD_CACHE = 4, /* versions with expanded keys */
	DATA_KEY = 32,
	ROOM = WRAPPED_OVERHEAD_MAX + PLAINTEXT_MAX + 8
};

static const char *const names[ALG_COUNT] = { NULL, "xaes", "gcm", "kwp" };

/* A ring with one key for each algorithm. */
struct world {
	struct ring *ring;
	struct rand_block *rand;
	struct key *key[ALG_COUNT];
	uint8_t plain[DATA_KEY];
};

static inline int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_int_equal(ring_new(WORLD_CACHE, &w->ring), KMS_OK);
	assert_int_equal(rand_block_new(&w->rand), KMS_OK);
	for (unsigned a = ALG_NONE + 1; a < ALG_COUNT; a++) {
		w->key[a] = master_new(names[a], a, (enum algorithm)a);
		assert_int_equal(ring_add(w->ring, w->key[a]), KMS_OK);
	}
	memset(w->plain, 0xd7, sizeof(w->plain));
	*state = w;
	return 0;
}

static inline int tear_down(void **state)
{
	struct world *w = *state;

	ring_free(&w->ring);
	ring_free(&w->ring);
	rand_block_free(&w->rand);
	assert_int_equal(secret_info().used, 0);
	free(w);
	return 0;
}

static inline struct bytes canon_of(enum algorithm a)
{
	static const uint8_t canon[] = { 1, 1, 'n', 1, 0, 'v' };
	static const uint8_t none[] = { 0 };

	return a == ALG_AES_256_KWP ? bytes_of(none, 1) : bytes_of(canon, sizeof(canon));
}

static inline kms_err wrap(struct world *w, enum algorithm a, struct bytes canon, uint8_t *out)
{
	const struct wrap_input in = {
		.canon = canon, .plain = bytes_of(w->plain, sizeof(w->plain)), .rand = w->rand
	};
	struct key *k = w->key[a];

	return ring_wrap(w->ring, k, &k->versions[k->n - 1], &in, out);
}

/* A data key wrapped in the usual way. */
static inline struct bytes wrapped(struct world *w, enum algorithm a, uint8_t out[static ROOM])
{
	assert_int_equal(wrap(w, a, canon_of(a), out), KMS_OK);
	return bytes_of(out, wrapped_len(a, DATA_KEY));
}

/* Reads the blob and opens it with what is given, in memory of exactly the stated room. */
static inline kms_err unwrap_with(
    struct world *w, struct key *k, struct key_version *v, struct bytes canon, struct bytes blob)
{
	struct wrapped head;
	TRY(wrapped_decode(blob, &head));
	const struct unwrap_input in = { .canon = canon, .w = &head };
	uint8_t *out = malloc(head.sealed.n);
	size_t n = 0;

	assert_non_null(out);
	memset(out, 0xa5, head.sealed.n);
	kms_err e = ring_unwrap(w->ring, k, v, &in, out, &n);
	if (e == KMS_OK) {
		assert_int_equal(n, DATA_KEY);
		assert_memory_equal(out, w->plain, DATA_KEY);
	} else {
		for (size_t i = 0; i < head.sealed.n; i++)
			assert_int_equal(out[i], 0);
	}
	free(out);
	return e;
}

static inline kms_err unwrap(struct world *w, enum algorithm a, struct bytes blob)
{
	return unwrap_with(w, w->key[a], &w->key[a]->versions[0], canon_of(a), blob);
}

#define WORLD(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
