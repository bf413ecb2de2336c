/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The check of what is signed. Each checkpoint is compared with the tree as it was at its size, so
 * that each is consistent with all before it; the same keys serve for a proof of one record.
 */
#include <stdlib.h>
#include <string.h>

#include "kms/audit/check_private.h"
#include "kms/audit/proof_file.h"

void check_keys_free(struct check_keys **k)
{
	if (*k == NULL)
		return;
	for (size_t i = 0; i < (*k)->n; i++)
		ecdsa_public_free(&(*k)->of[i].public);
	free(*k);
	*k = NULL;
}

kms_err check_keys_new(const struct note_key *keys, size_t n, struct check_keys **out)
{
	if (n > CHECK_KEYS_MAX)
		return KMS_E_TOO_MANY;
	AUTO(check_keys_free) struct check_keys *k = calloc(1, sizeof(*k));
	if (k == NULL)
		return KMS_E_NO_MEMORY;
	for (; k->n < n; k->n++) {
		const struct note_key *key = &keys[k->n];
		TRY(ecdsa_public_new(bytes_of(key->spki, sizeof(key->spki)), &k->of[k->n].public));
		k->of[k->n].key = *key;
	}
	*out = MOVE(k);
	return KMS_OK;
}

/* Marks are dropped in halves, so that each is moved once. */
static void drop_marks(struct check *c, size_t n)
{
	size_t from = n < c->mark_n ? c->marks[n].edge : c->edges.n;

	c->mark_n -= n;
	memmove(c->marks, c->marks + n, c->mark_n * sizeof(*c->marks));
	if (from > 0)
		memmove(c->edges.p, c->edges.p + from, c->edges.n - from);
	c->edges.n -= from;
	for (size_t i = 0; i < c->mark_n; i++)
		c->marks[i].edge -= from;
}

kms_err check_mark(struct check *c)
{
	size_t n = tree_edge_len(c->tree.size) * SHA256_LEN;

	if (c->mark_n == CHECK_BEHIND_MAX)
		drop_marks(c, CHECK_BEHIND_MAX / 2);
	const struct check_mark m = { .size = c->tree.size, .edge = c->edges.n };
	TRY(buf_put(&c->edges, bytes_of(c->tree.edge, n)));
	c->marks[c->mark_n++] = m;
	return KMS_OK;
}

/* The number of the mark of this size; mark_n: there is none. */
static size_t find_mark(const struct check *c, uint64_t size)
{
	size_t low = 0, high = c->mark_n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (c->marks[middle].size < size)
			low = middle + 1;
		else
			high = middle;
	}
	return low < c->mark_n && c->marks[low].size == size ? low : c->mark_n;
}

static kms_err root_of_mark(const struct check *c, size_t i, uint8_t out[static SHA256_LEN])
{
	struct tree t = { .size = c->marks[i].size };

	memcpy(t.edge, c->edges.p + c->marks[i].edge, tree_edge_len(t.size) * SHA256_LEN);
	return tree_root(&t, out);
}

/* KMS_E_INTEGRITY: keys were given, and none has signed it or one signature is wrong. */
static kms_err ask_keys(
    const struct check_keys *keys, const struct note *n, const char *origin, bool *out_signed)
{
	bool found = false;

	for (size_t i = 0; i < keys->n; i++) {
		if (strcmp(keys->of[i].key.name, origin) != 0)
			continue;
		kms_err e = note_verify(n, &keys->of[i].key, keys->of[i].public);
		if (e == KMS_E_NOT_FOUND)
			continue;
		TRY(e);
		found = true;
	}
	if (keys->n > 0 && !found)
		return KMS_E_INTEGRITY;
	*out_signed = found;
	return KMS_OK;
}

static kms_err compare(struct check *c, const struct checkpoint *p, bool is_signed)
{
	uint8_t root[SHA256_LEN];
	size_t i = find_mark(c, p->size);

	/* Each is of a group that stands before it; the marks before the last one's are gone. */
	if (i == c->mark_n)
		return check_bad(c, CHECK_CHECKPOINT);
	TRY(root_of_mark(c, i, root));
	if (memcmp(root, p->root, sizeof(root)) != 0) {
		kms_err e = check_bad(c, CHECK_ROOT);
		/* Which of them was changed, nobody can tell. */
		c->fault.record = c->good;
		return e;
	}
	c->good = p->size;
	c->sum.checkpoints++;
	if (is_signed)
		c->sum.proven = p->size;
	/* It may be spoken of again; what is before it not. */
	drop_marks(c, i);
	return KMS_OK;
}

kms_err check_checkpoint(struct check *c, struct bytes in)
{
	bool is_signed = false;
	struct checkpoint p;
	struct note n;

	kms_err e = note_decode(in, &n);
	if (e == KMS_OK)
		e = checkpoint_decode(n.text, &p);
	if (e == KMS_E_BAD_REQUEST)
		return check_bad(c, CHECK_CHECKPOINT);
	TRY(e);
	e = ask_keys(c->keys, &n, p.origin, &is_signed);
	if (e == KMS_E_INTEGRITY)
		return check_bad(c, CHECK_SIGNATURE);
	TRY(e);
	return compare(c, &p, is_signed);
}

kms_err check_proof(const struct check_keys *keys, struct bytes in, struct check_proof *out)
{
	AUTO(proof_file_done) struct proof_file f = { .index = 0 };
	struct check_proof p = { .is_signed = false };
	struct note n;

	TRY(proof_file_decode(in, &f));
	TRY(proof_file_check(&f, &n, &p.checkpoint));
	TRY(ask_keys(keys, &n, p.checkpoint.origin, &p.is_signed));
	p.index = f.index;
	*out = p;
	return KMS_OK;
}
