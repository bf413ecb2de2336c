/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Wrapped keys under fixed master keys. Nothing opens but the three that were wrapped here, with
 * the context that they were wrapped with; everything else is one and the same refusal.
 */
#include <stdio.h>

#include "kms/base/buf.h"
#include "kms/keys/ring.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/hex.h"
#include "tests/unit/wrapped_blobs.h"

enum {
	ROOM = 1 << 17,
	CANON_MAX = 16,
	DATA_KEY = 32
};

/* Of wrapped_blobs: call=123. */
static const uint8_t context[] = "\x01\x04"
                                 "call\x03\x00"
                                 "123";

struct world {
	struct ring *ring;
	struct key *keys[ALG_COUNT];
	struct hex blobs[ALG_COUNT];
};

static struct key *make_key(enum algorithm a)
{
	struct key *k = NULL;
	struct key_version *v;

	CHECK(key_new(&k) == KMS_OK && key_add_version(k, &v) == KMS_OK);
	v->number = 3;
	v->state = STATE_ACTIVE;
	CHECK(secret_from(secret_bytes(fuzz_secret()), &v->bits) == KMS_OK);
	for (size_t i = 0; i < KEY_ID_LEN; i++)
		k->id.b[i] = (uint8_t)(0x10 + i);
	k->algorithm = a;
	(void)snprintf(k->name, sizeof(k->name), "%s", algorithm_name(a));
	return k;
}

/* Kept for all inputs. */
static const struct world *world(void)
{
	static struct world w;

	if (w.ring != NULL)
		return &w;
	CHECK(ring_new(4, &w.ring) == KMS_OK);
	for (unsigned a = ALG_NONE + 1; a < ALG_COUNT; a++) {
		w.keys[a] = make_key((enum algorithm)a);
		w.blobs[a] = hex_of(wrapped_blobs[a]);
	}
	return &w;
}

static bool is_original(const struct world *w, struct bytes blob, struct bytes canon)
{
	static const uint8_t none[] = { 0 };

	for (unsigned a = ALG_NONE + 1; a < ALG_COUNT; a++) {
		bool same_context =
		    a == ALG_AES_256_KWP
		        ? canon.n == 0 || bytes_equal(canon, bytes_of(none, 1))
		        : bytes_equal(canon, bytes_of(context, sizeof(context) - 1));
		/* One byte of context is "no context" to aes-256-kwp, whatever it is. */
		if (a == ALG_AES_256_KWP && canon.n == 1)
			same_context = true;
		if (same_context && bytes_equal(blob, hex_bytes(w->blobs[a])))
			return true;
	}
	return false;
}

static void try_key(const struct world *w, struct key *k, const struct unwrap_input *in, bool opens)
{
	static uint8_t out[ROOM];
	size_t n = 0;

	CHECK(in->w->sealed.n <= sizeof(out));
	kms_err e = ring_unwrap(w->ring, k, &k->versions[0], in, out, &n);
	if (opens && in->w->algorithm == k->algorithm) {
		CHECK(e == KMS_OK && n == DATA_KEY && out[0] == 0x40);
		return;
	}
	CHECK(e == KMS_E_INTEGRITY);
	for (size_t i = 0; i < in->w->sealed.n; i++)
		CHECK(out[i] == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	(void)fuzz_secret();
	const struct world *x = world();
	size_t canon_n = fuzz_choice(&p, &n) % (CANON_MAX + 1);
	struct wrapped w;

	canon_n = canon_n < n ? canon_n : n;
	struct bytes canon = bytes_of(p, canon_n), blob = bytes_of(p + canon_n, n - canon_n);
	kms_err e = wrapped_decode(blob, &w);
	CHECK(e == KMS_OK || e == KMS_E_INTEGRITY || e == KMS_E_NEWER_FORMAT);
	if (e != KMS_OK)
		return 0;
	CHECK(w.head.n + w.nonce.n + w.sealed.n == blob.n);
	const struct unwrap_input in = { .canon = canon, .w = &w };
	bool opens = is_original(x, blob, canon);
	for (unsigned a = ALG_NONE + 1; a < ALG_COUNT; a++)
		try_key(x, x->keys[a], &in, opens);
	return 0;
}
