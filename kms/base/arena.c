/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory of one request. Most requests fit into the first block, which survives a reset, so
 * the hot path neither allocates nor frees. Only what was handed out is wiped: clear keys may be
 * there, untouched room holds nothing.
 */
#include "kms/base/arena.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "kms/base/secret.h"

enum {
	ARENA_BLOCK = 16384,               /* bytes of an ordinary block, its header included */
	ARENA_ALIGN = alignof(max_align_t) /* every piece begins and ends on this */
};

struct arena_block {
	struct arena_block *next;
	size_t cap;  /* bytes of data */
	size_t used; /* of them handed out */
	alignas(max_align_t) uint8_t data[];
};

static const size_t ordinary_cap = ARENA_BLOCK - sizeof(struct arena_block);

static void block_wipe(struct arena_block *b)
{
	wipe(b->data, b->used);
	b->used = 0;
}

static void blocks_free(struct arena_block *b)
{
	while (b != NULL) {
		struct arena_block *next = b->next;

		block_wipe(b);
		free(b);
		b = next;
	}
}

void arena_init(struct arena *a, size_t limit)
{
	*a = (struct arena){ .limit = limit };
}

void arena_release(struct arena *a)
{
	blocks_free(a->first);
	arena_init(a, a->limit);
}

void arena_done(struct arena *a)
{
	arena_release(a);
}

void arena_reset(struct arena *a)
{
	struct arena_block *first = a->first;

	if (first == NULL)
		return;
	/* A block made for one big piece is not worth holding for the next request. */
	if (first->cap > ordinary_cap) {
		arena_release(a);
		return;
	}

	blocks_free(MOVE(first->next));
	block_wipe(first);
	a->now = first;
	a->used = 0;
}

static struct arena_block *block_add(struct arena *a, size_t n)
{
	size_t cap = n > ordinary_cap ? n : ordinary_cap;
	struct arena_block *b = malloc(sizeof(*b) + cap);

	if (b == NULL)
		return NULL;
	*b = (struct arena_block){ .cap = cap };

	if (a->now == NULL) {
		a->first = a->now = b;
		return b;
	}
	b->next = a->now->next;
	a->now->next = b;
	/* Go on in whichever will have more room left. */
	if (cap - n > a->now->cap - a->now->used)
		a->now = b;
	return b;
}

void *arena_take(struct arena *a, size_t n)
{
	size_t left = a->limit - a->used;

	/* The limit counts whole steps, so that many small pieces are bounded as well. */
	if (n > left || n > SIZE_MAX / 2)
		return NULL;
	size_t size = n == 0 ? ARENA_ALIGN : (n + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
	if (size > left)
		return NULL;

	struct arena_block *b = a->now;
	if (b == NULL || size > b->cap - b->used)
		b = block_add(a, size);
	if (b == NULL)
		return NULL;

	void *p = b->data + b->used;
	b->used += size;
	a->used += size;
	return p;
}

kms_err arena_alloc(struct arena *a, size_t n, void *out_p)
{
	void *p = arena_take(a, n);

	if (p == NULL)
		return KMS_E_NO_MEMORY;
	memset(p, 0, n);
	/* out_p points to a pointer of the caller's own type. */
	memcpy(out_p, &p, sizeof(p));
	return KMS_OK;
}

kms_err arena_copy(struct arena *a, struct bytes x, struct bytes *out)
{
	uint8_t *p = arena_take(a, x.n);

	if (p == NULL)
		return KMS_E_NO_MEMORY;
	if (x.n > 0)
		memcpy(p, x.p, x.n);
	*out = bytes_of(p, x.n);
	return KMS_OK;
}
