/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All master keys in memory, found by name or id, and what is done with them: wrap, unwrap, mac.
 * Expanded keys are cached for the versions used last, a bounded number of them. The ring owns
 * its keys. One owner thread.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/crypto/rand.h"
#include "kms/keys/key.h"
#include "kms/keys/wrapped.h"

struct ring;

/* What ring_wrap wraps, and where its nonce comes from. */
struct wrap_input {
	struct bytes canon; /* the context's canonical bytes */
	struct bytes plain;
	struct rand_block *rand;
};

/* What ring_unwrap opens. */
struct unwrap_input {
	struct bytes canon;
	const struct wrapped *w;
};

/* cache: how many versions keep expanded keys (at least 1). KMS_E_NO_MEMORY. */
MUST_USE kms_err ring_new(size_t cache, struct ring **out);
/* Wipes and frees every key and cached context. Takes NULL. */
void ring_free(struct ring **r);
/*
 * Takes the key. KMS_E_EXISTS for a name or id that is there, KMS_E_NO_MEMORY; then it stays the
 * caller's. Cheapest in the order of names.
 */
MUST_USE kms_err ring_add(struct ring *r, struct key *k);
/* Borrowed; NULL if there is none. */
struct key *ring_find(const struct ring *r, struct bytes name);
struct key *ring_find_id(const struct ring *r, struct key_id id);
size_t ring_count(const struct ring *r);
size_t ring_version_count(const struct ring *r);
/* The first key whose name sorts (bytewise) after `after`; NULL at the end. Keys are kept sorted. */
struct key *ring_next(const struct ring *r, struct bytes after);
/*
 * Wipes and drops what is cached of k. Call it after any change of a version's state or bits, so
 * that the expanded key of a destroyed version is gone too. Adding a version needs no call.
 */
void ring_touch(struct ring *r, struct key *k);

/*
 * Wraps `plain` under version v of k with the canonical context. out has
 * wrapped_len(k->algorithm, plain.n) bytes; after a failure they mean nothing and show nothing of
 * the plaintext. The wrapping key is derived from the version's bits with HKDF; aes-256-kwp uses
 * them as they are. KMS_E_WRONG_STATE unless lifecycle_wraps; KMS_E_CONTEXT_NOT_POSSIBLE for a
 * context with aes-256-kwp; KMS_E_PLAINTEXT_TOO_BIG over PLAINTEXT_MAX; KMS_E_BAD_REQUEST for an
 * empty plaintext with aes-256-kwp; KMS_E_CRYPTO, KMS_E_NO_MEMORY.
 */
MUST_USE kms_err ring_wrap(struct ring *r, struct key *k, struct key_version *v,
    const struct wrap_input *in, uint8_t *out);

/*
 * Opens `w` with version v of k. out has w->sealed.n bytes of room; *out_n is the plaintext's
 * length. KMS_E_INTEGRITY whatever is wrong with w (another key or version, another algorithm, no
 * bits, a flipped bit, another context); then out is wiped. KMS_E_CRYPTO, KMS_E_NO_MEMORY. States
 * and floors are the caller's to check.
 */
MUST_USE kms_err ring_unwrap(struct ring *r, struct key *k, struct key_version *v,
    const struct unwrap_input *in, uint8_t *out, size_t *out_n);
/*
 * HMAC-SHA-256 under a key derived from the bits of version v of k, over the length of canon (2
 * bytes), canon, and data. KMS_E_DESTROYED without bits; states are the caller's to check.
 * KMS_E_CRYPTO, KMS_E_NO_MEMORY.
 */
MUST_USE kms_err ring_mac(struct ring *r, struct key *k, struct key_version *v, struct bytes data,
    struct bytes canon, uint8_t out[static 32]);
