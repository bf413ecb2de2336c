/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See proof.h. Checking is written as RFC 9162 writes it, with its names: fn and sn climb from the
 * leaf to the root, r is the hash so far. Making follows its definitions from the root down: each
 * hash of a proof is the root of a run of leaves, and no two runs overlap.
 */
#include "kms/audit/proof.h"

#include <stdlib.h>
#include <string.h>

static bool same(const uint8_t a[static SHA256_LEN], const uint8_t b[static SHA256_LEN])
{
	return memcmp(a, b, SHA256_LEN) == 0;
}

/* Where a tree climbs. */
struct climb {
	uint64_t fn, sn;
};

/* True where the next hash stands to the left; then the levels without one are passed too. */
static bool from_left(struct climb *c)
{
	if ((c->fn & 1) == 0 && c->fn != c->sn)
		return false;
	while ((c->fn & 1) == 0 && c->fn != 0) {
		c->fn >>= 1;
		c->sn >>= 1;
	}
	return true;
}

static void up(struct climb *c)
{
	c->fn >>= 1;
	c->sn >>= 1;
}

/* RFC 9162 section 2.1.3.2. */
kms_err proof_check_inclusion(const struct proof *p, uint64_t index, uint64_t size,
    const uint8_t leaf[static SHA256_LEN], const uint8_t root[static SHA256_LEN])
{
	uint8_t r[SHA256_LEN];

	if (index >= size || p->n > PROOF_MAX)
		return KMS_E_INTEGRITY;
	struct climb c = { .fn = index, .sn = size - 1 };
	memcpy(r, leaf, sizeof(r));
	for (size_t i = 0; i < p->n; i++) {
		if (c.sn == 0)
			return KMS_E_INTEGRITY;
		if (from_left(&c))
			TRY(tree_node(p->hashes[i], r, r));
		else
			TRY(tree_node(r, p->hashes[i], r));
		up(&c);
	}
	return c.sn == 0 && same(r, root) ? KMS_OK : KMS_E_INTEGRITY;
}

/* RFC 9162 section 2.1.4.2, from step 4 on. */
static kms_err climb_both(const struct proof *p, size_t first, const struct proof_tree *before,
    const struct proof_tree *after, const uint8_t start[static SHA256_LEN])
{
	struct climb c = { .fn = before->size - 1, .sn = after->size - 1 };
	uint8_t fr[SHA256_LEN], sr[SHA256_LEN];

	while ((c.fn & 1) == 1)
		up(&c);
	memcpy(fr, start, sizeof(fr));
	memcpy(sr, start, sizeof(sr));
	for (size_t i = first; i < p->n; i++) {
		if (c.sn == 0)
			return KMS_E_INTEGRITY;
		if (from_left(&c)) {
			TRY(tree_node(p->hashes[i], fr, fr));
			TRY(tree_node(p->hashes[i], sr, sr));
		} else {
			TRY(tree_node(sr, p->hashes[i], sr));
		}
		up(&c);
	}
	bool good = c.sn == 0 && same(fr, before->root) && same(sr, after->root);
	return good ? KMS_OK : KMS_E_INTEGRITY;
}

kms_err proof_check_consistency(
    const struct proof *p, const struct proof_tree *before, const struct proof_tree *after)
{
	if (before->size == 0 || before->size > after->size || p->n > PROOF_MAX)
		return KMS_E_INTEGRITY;
	if (before->size == after->size)
		return p->n == 0 && same(before->root, after->root) ? KMS_OK : KMS_E_INTEGRITY;
	if (p->n == 0)
		return KMS_E_INTEGRITY;
	/* A whole subtree is its own first hash. */
	if ((before->size & (before->size - 1)) == 0)
		return climb_both(p, 0, before, after, before->root);
	return climb_both(p, 1, before, after, p->hashes[0]);
}

/* Leaves [from, to) whose root the proof wants. */
struct run {
	uint64_t from, to;
	struct tree tree;
};

struct proof_maker {
	uint64_t seen; /* leaves */
	struct run runs[PROOF_MAX];
	size_t n;
};

void proof_maker_free(struct proof_maker **m)
{
	free(*m);
	*m = NULL;
}

static void want(struct proof_maker *m, uint64_t from, uint64_t to)
{
	CHECK(m->n < PROOF_MAX);
	m->runs[m->n].from = from;
	m->runs[m->n++].to = to;
}

/* The largest power of two below n; n > 1. */
static uint64_t half(uint64_t n)
{
	return (uint64_t)1 << (63 - __builtin_clzll(n - 1));
}

/* Found from the root down, wanted from the bottom up. */
static void turn_round(struct proof_maker *m)
{
	for (size_t i = 0; i < m->n / 2; i++) {
		struct run *a = &m->runs[i], *b = &m->runs[m->n - 1 - i];
		uint64_t from = a->from, to = a->to;
		a->from = b->from;
		a->to = b->to;
		b->from = from;
		b->to = to;
	}
}

/* PATH of RFC 9162 section 2.1.3.1. */
static void plan_inclusion(struct proof_maker *m, uint64_t index, uint64_t size)
{
	uint64_t from = 0, to = size;

	while (to - from > 1) {
		uint64_t middle = from + half(to - from);
		if (index < middle) {
			want(m, middle, to);
			to = middle;
		} else {
			want(m, from, middle);
			from = middle;
		}
	}
}

/* SUBPROOF of RFC 9162 section 2.1.4.1. */
static void plan_consistency(struct proof_maker *m, uint64_t before, uint64_t after)
{
	uint64_t from = 0, to = after;

	while (before != to) {
		uint64_t middle = from + half(to - from);
		if (before <= middle) {
			want(m, middle, to);
			to = middle;
		} else {
			want(m, from, middle);
			from = middle;
		}
	}
	if (from > 0)
		want(m, from, to);
}

kms_err proof_maker_inclusion(uint64_t index, uint64_t size, struct proof_maker **out)
{
	if (index >= size)
		return KMS_E_NOT_FOUND;
	AUTO(proof_maker_free) struct proof_maker *m = calloc(1, sizeof(*m));
	if (m == NULL)
		return KMS_E_NO_MEMORY;
	plan_inclusion(m, index, size);
	turn_round(m);
	*out = MOVE(m);
	return KMS_OK;
}

kms_err proof_maker_consistency(uint64_t before, uint64_t after, struct proof_maker **out)
{
	if (before == 0 || before > after)
		return KMS_E_NOT_FOUND;
	AUTO(proof_maker_free) struct proof_maker *m = calloc(1, sizeof(*m));
	if (m == NULL)
		return KMS_E_NO_MEMORY;
	plan_consistency(m, before, after);
	turn_round(m);
	*out = MOVE(m);
	return KMS_OK;
}

kms_err proof_maker_add(struct proof_maker *m, const uint8_t leaf[static SHA256_LEN])
{
	uint64_t at = m->seen++;

	for (size_t i = 0; i < m->n; i++)
		if (at >= m->runs[i].from && at < m->runs[i].to)
			return tree_append(&m->runs[i].tree, leaf);
	return KMS_OK;
}

kms_err proof_maker_end(const struct proof_maker *m, struct proof *out)
{
	struct proof p = { .n = m->n };

	for (size_t i = 0; i < m->n; i++) {
		const struct run *r = &m->runs[i];
		if (r->tree.size != r->to - r->from)
			return KMS_E_NOT_FOUND;
		TRY(tree_root(&r->tree, p.hashes[i]));
	}
	*out = p;
	return KMS_OK;
}
