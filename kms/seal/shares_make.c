/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making a set of shares, and proving it by doing what its holders will do one day. A set that
 * turned out useless then would be the loss of everything; so nothing leaves before the proof.
 */
#include <string.h>

#include "kms/crypto/rand.h"
#include "kms/crypto/shamir.h"
#include "kms/seal/shares_private.h"

/* The shares of a set that is being made; handed out at the end. */
struct draft {
	struct share shares[SHARES_MAX];
	struct buf blob;
};

static void draft_done(struct draft *d)
{
	for (size_t i = 0; i < SHARES_MAX; i++)
		share_done(&d->shares[i]);
	buf_done(&d->blob);
}

static kms_err make_head(size_t k, size_t n, uint8_t head[static SHARES_HEAD_LEN])
{
	head[0] = SHARES_VERSION;
	head[1] = (uint8_t)k;
	head[2] = (uint8_t)n;
	return rand_bytes(head + SHARES_HEAD_LEN - SHARE_SET_LEN, SHARE_SET_LEN);
}

static kms_err make_shares(
    const struct secret *shared, const uint8_t head[static SHARES_HEAD_LEN], struct draft *d)
{
	uint8_t k = head[1], n = head[2];
	struct secret *values[SHARES_MAX];

	TRY(shamir_split(shared, k, n, values));
	for (size_t i = 0; i < n; i++) {
		struct share *s = &d->shares[i];

		*s = (struct share){ .k = k, .n = n, .x = (uint8_t)(i + 1), .value = values[i] };
		memcpy(s->set, head + SHARES_HEAD_LEN - SHARE_SET_LEN, SHARE_SET_LEN);
	}
	return KMS_OK;
}

static kms_err seal_root(const struct secret *shared, const struct secret *root,
    const struct bytes aad[static 2], uint8_t nonce[static SHARES_NONCE_LEN],
    uint8_t sealed[static SHARES_SEALED_LEN])
{
	AUTO(aead_free) struct aead *key = NULL;

	TRY(rand_bytes(nonce, SHARES_NONCE_LEN));
	TRY(shares_key(shared, &key));
	return aead_seal(key, nonce, aad, secret_bytes(root), sealed);
}

/* The parts of the blob one after the other; the commitment is over all the others. */
static kms_err make_blob(const struct secret *shared, const struct secret *root,
    const uint8_t head[static SHARES_HEAD_LEN], const uint8_t instance[static INSTANCE_ID_LEN],
    struct draft *d)
{
	uint8_t nonce[SHARES_NONCE_LEN], sealed[SHARES_SEALED_LEN];
	uint8_t commitment[SHARES_COMMITMENT_LEN], checks[SHARES_MAX * SHARE_CHECK_LEN];
	size_t n = head[2];
	const struct shares_parts p = { .head = bytes_of(head, SHARES_HEAD_LEN),
		.nonce = bytes_of(nonce, sizeof(nonce)),
		.sealed = bytes_of(sealed, sizeof(sealed)),
		.checks = bytes_of(checks, n * SHARE_CHECK_LEN) };
	const struct bytes aad[2] = { p.head, bytes_of(instance, INSTANCE_ID_LEN) };

	TRY(seal_root(shared, root, aad, nonce, sealed));
	for (size_t i = 0; i < n; i++)
		TRY(shares_check_value(p.head, &d->shares[i], checks + i * SHARE_CHECK_LEN));
	TRY(shares_commit(shared, &p, instance, commitment));
	TRY(buf_put(&d->blob, p.head));
	TRY(buf_put(&d->blob, p.nonce));
	TRY(buf_put(&d->blob, p.sealed));
	TRY(buf_put(&d->blob, bytes_of(commitment, sizeof(commitment))));
	return buf_put(&d->blob, p.checks);
}

/* What is proved, and against what. */
struct proof {
	const struct draft *draft;
	const struct secret *root;
	const uint8_t *instance;
	unsigned k, n;
};

static unsigned count_ones(unsigned set)
{
	return (unsigned)__builtin_popcount(set);
}

/* Bit i of chosen stands for shares[i]. The copies borrow. */
static kms_err prove_one(const struct proof *p, unsigned chosen)
{
	AUTO(secret_free) struct secret *root = NULL;
	struct share shares[SHARES_MAX];
	size_t n = 0;

	for (size_t i = 0; i < p->n; i++) {
		if (chosen >> i & 1)
			shares[n++] = p->draft->shares[i];
	}
	TRY(shares_open(buf_bytes(&p->draft->blob), p->instance, shares, n, &root));
	return secret_equal(root, secret_bytes(p->root)) ? KMS_OK : KMS_E_INTEGRITY;
}

static unsigned count_choices(const struct proof *p)
{
	unsigned count = 0;

	for (unsigned chosen = 0; chosen < 1U << p->n; chosen++)
		count += count_ones(chosen) == p->k;
	return count;
}

static kms_err prove_all(const struct proof *p)
{
	for (unsigned chosen = 0; chosen < 1U << p->n; chosen++) {
		if (count_ones(chosen) == p->k)
			TRY(prove_one(p, chosen));
	}
	return KMS_OK;
}

/* Drawn again until k bits are set, so that each choice is as likely: 15 times at the most, about. */
static kms_err draw_choice(const struct proof *p, unsigned *out)
{
	uint8_t drawn[2];

	do {
		TRY(rand_bytes(drawn, sizeof(drawn)));
		*out = load_u16(drawn) & ((1U << p->n) - 1);
	} while (count_ones(*out) != p->k);
	return KMS_OK;
}

static kms_err prove_windows(const struct proof *p)
{
	for (unsigned from = 0; from < p->n; from++) {
		unsigned chosen = 0;

		for (unsigned i = 0; i < p->k; i++)
			chosen |= 1U << (from + i) % p->n;
		TRY(prove_one(p, chosen));
	}
	return KMS_OK;
}

static kms_err prove(const struct proof *p)
{
	unsigned chosen = 0;

	if (count_choices(p) <= SHARES_PROOFS_MAX)
		return prove_all(p);
	for (size_t i = 0; i < SHARES_PROOFS_MAX; i++) {
		TRY(draw_choice(p, &chosen));
		TRY(prove_one(p, chosen));
	}
	return prove_windows(p);
}

/* What is fresh in each set: the secret that is shared. */
static kms_err make_shared(struct secret **out)
{
	AUTO(secret_free) struct secret *s = NULL;

	TRY(secret_new(SHAMIR_LEN, &s));
	TRY(rand_bytes(secret_fill(s), SHAMIR_LEN));
	*out = MOVE(s);
	return KMS_OK;
}

kms_err shares_make(const struct secret *root, size_t k, size_t n,
    const uint8_t instance[static INSTANCE_ID_LEN], struct share *out_shares, struct buf *out_blob)
{
	AUTO(draft_done) struct draft d = { .blob = { 0 } };
	AUTO(secret_free) struct secret *shared = NULL;
	uint8_t head[SHARES_HEAD_LEN];

	if (!shamir_possible(k, n))
		return KMS_E_SHARE_NUMBERS;
	if (secret_len(root) != SHARES_ROOT_LEN)
		return KMS_E_INTERNAL;
	TRY(make_head(k, n, head));
	TRY(make_shared(&shared));
	TRY(make_shares(shared, head, &d));
	TRY(make_blob(shared, root, head, instance, &d));
	/* From here on only the shares know it. */
	secret_free(&shared);

	const struct proof p = {
		.draft = &d, .root = root, .instance = instance, .k = head[1], .n = head[2]
	};
	TRY(prove(&p));
	TRY(buf_put(out_blob, buf_bytes(&d.blob)));
	for (size_t i = 0; i < n; i++) {
		out_shares[i] = d.shares[i];
		d.shares[i].value = NULL;
	}
	return KMS_OK;
}
