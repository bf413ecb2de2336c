/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hash tables with linear probing, never more than half full, and a sorted array. Keys are only
 * ever added: a destroyed one stays, so that its name and id are never given twice.
 */
#include "kms/keys/index.h"

#include <stdlib.h>
#include <string.h>

#include "kms/base/buf.h"
#include "kms/crypto/rand.h"

enum {
	SLOTS_FIRST = 64
};

kms_err index_init(struct index *x)
{
	uint8_t seed[sizeof(x->seed)];

	TRY(rand_bytes(seed, sizeof(seed)));
	*x = (struct index){ .seed = load_u64(seed) };
	return KMS_OK;
}

void index_done(struct index *x)
{
	free(x->sorted);
	free(x->by_name);
	free(x->by_id);
	*x = (struct index){ .n = 0 };
}

/* FNV-1a from a random start, then mixed. Whoever may make keys could still crowd a table, and
 * would only slow down himself. */
static uint64_t hash(const struct index *x, struct bytes b)
{
	uint64_t h = x->seed;

	for (size_t i = 0; i < b.n; i++)
		h = (h ^ b.p[i]) * 0x100000001b3u;
	h ^= h >> 32;
	h *= 0x9e3779b97f4a7c15u;
	return h ^ h >> 29;
}

static struct bytes name_of(const struct key *k)
{
	return bytes_of_str(k->name);
}

static struct bytes id_of(const struct key *k)
{
	return bytes_of(k->id.b, sizeof(k->id.b));
}

/* The place of what is called `want` in a table, or the empty one where it would go. */
static struct key **place(const struct index *x, struct key **table,
    struct bytes (*called)(const struct key *), struct bytes want)
{
	size_t i = (size_t)hash(x, want);

	for (;; i++) {
		struct key **at = &table[i & (x->slots - 1)];
		if (*at == NULL || bytes_equal(called(*at), want))
			return at;
	}
}

struct key *index_find(const struct index *x, struct bytes name)
{
	return x->n == 0 ? NULL : *place(x, x->by_name, name_of, name);
}

struct key *index_find_id(const struct index *x, struct key_id id)
{
	return x->n == 0 ? NULL : *place(x, x->by_id, id_of, bytes_of(id.b, sizeof(id.b)));
}

static void tables_add(struct index *x, struct key *k)
{
	*place(x, x->by_name, name_of, name_of(k)) = k;
	*place(x, x->by_id, id_of, id_of(k)) = k;
}

static kms_err grow(struct index *x)
{
	size_t slots = x->slots == 0 ? SLOTS_FIRST : 2 * x->slots;
	struct index grown = {
		.sorted = calloc(slots / 2, sizeof(struct key *)),
		.by_name = calloc(slots, sizeof(struct key *)),
		.by_id = calloc(slots, sizeof(struct key *)),
		.n = x->n,
		.slots = slots,
		.seed = x->seed,
	};

	if (grown.sorted == NULL || grown.by_name == NULL || grown.by_id == NULL) {
		index_done(&grown);
		return KMS_E_NO_MEMORY;
	}
	for (size_t i = 0; i < x->n; i++) {
		grown.sorted[i] = x->sorted[i];
		tables_add(&grown, x->sorted[i]);
	}
	index_done(x);
	*x = grown;
	return KMS_OK;
}

/* Bytewise; a name sorts behind its own beginning. */
static bool before_or_at(const struct key *k, struct bytes name)
{
	struct bytes a = name_of(k);
	size_t n = a.n < name.n ? a.n : name.n;
	int c = n == 0 ? 0 : memcmp(a.p, name.p, n);

	return c < 0 || (c == 0 && a.n <= name.n);
}

/* How many keys sort before or at `name`. */
static size_t rank(const struct index *x, struct bytes name)
{
	size_t from = 0, to = x->n;

	/* At the start keys may come in their order: then each goes behind the last. */
	if (to > 0 && before_or_at(x->sorted[to - 1], name))
		return to;
	while (from < to) {
		size_t middle = (from + to) / 2;
		if (before_or_at(x->sorted[middle], name))
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

struct key *index_next(const struct index *x, struct bytes after)
{
	size_t i = rank(x, after);

	return i < x->n ? x->sorted[i] : NULL;
}

kms_err index_add(struct index *x, struct key *k)
{
	if (index_find(x, name_of(k)) != NULL || index_find_id(x, k->id) != NULL)
		return KMS_E_EXISTS;
	if (x->n == x->slots / 2)
		TRY(grow(x));

	size_t i = rank(x, name_of(k));
	memmove(&x->sorted[i + 1], &x->sorted[i], (x->n - i) * sizeof(struct key *));
	x->sorted[i] = k;
	tables_add(x, k);
	x->n++;
	return KMS_OK;
}
