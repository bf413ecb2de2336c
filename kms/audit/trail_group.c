/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Groups and their memory. In the steady state a group goes in a circle: filled in the loop,
 * written and freed in the journal thread, filled again; nothing is allocated.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "kms/audit/trail_private.h"

enum {
	SPARES = 4,               /* one filled, two with the journal, one on its way */
	KEEP_BYTES_MAX = 1 << 20, /* a group that grew beyond while the disk was dead is not kept */
	PIECES_FIRST = 4
};

struct trail_home {
	atomic_uint users; /* the trail and its groups */
	_Atomic(struct trail_group *) spare[SPARES];
};

static void group_destroy(struct trail_group *g)
{
	if (g == NULL)
		return;
	free(g->writes);
	/* Nothing secret: the same bytes stand in the log. */
	free(g->memory.p);
	free(g);
}

kms_err home_new(struct trail_home **out)
{
	struct trail_home *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return KMS_E_NO_MEMORY;
	atomic_init(&h->users, 1);
	*out = h;
	return KMS_OK;
}

static void home_leave(struct trail_home *h)
{
	if (atomic_fetch_sub(&h->users, 1) != 1)
		return;
	for (int i = 0; i < SPARES; i++)
		group_destroy(atomic_load(&h->spare[i]));
	free(h);
}

void home_free(struct trail_home **h)
{
	if (*h != NULL)
		home_leave(MOVE(*h));
}

static struct trail_group *take_spare(struct trail_home *h)
{
	for (int i = 0; i < SPARES; i++) {
		struct trail_group *g = atomic_exchange(&h->spare[i], NULL);
		if (g != NULL)
			return g;
	}
	return NULL;
}

static bool put_spare(struct trail_home *h, struct trail_group *g)
{
	for (int i = 0; i < SPARES; i++) {
		struct trail_group *none = NULL;
		if (atomic_compare_exchange_strong(&h->spare[i], &none, g))
			return true;
	}
	return false;
}

kms_err home_group(struct trail_home *h, struct trail_group **out)
{
	struct trail_group *g = take_spare(h);

	if (g == NULL)
		g = calloc(1, sizeof(*g));
	if (g == NULL)
		return KMS_E_NO_MEMORY;
	atomic_fetch_add(&h->users, 1);
	g->home = h;
	g->n = 0;
	g->count = 0;
	g->memory.n = 0;
	*out = g;
	return KMS_OK;
}

void trail_group_free(struct trail_group **g)
{
	if (*g == NULL)
		return;
	struct trail_group *mine = MOVE(*g);
	struct trail_home *h = mine->home;
	if (mine->memory.cap > KEEP_BYTES_MAX || !put_spare(h, mine))
		group_destroy(mine);
	home_leave(h);
}

kms_err group_begin_piece(struct trail_group *g, uint32_t segment, uint64_t offset)
{
	if (g->n == g->room) {
		size_t room = g->room == 0 ? PIECES_FIRST : 2 * g->room;
		struct segment_write *grown = reallocarray(g->writes, room, sizeof(*grown));
		if (grown == NULL)
			return KMS_E_NO_MEMORY;
		g->writes = grown;
		g->room = room;
	}
	g->writes[g->n++] = (struct segment_write){ .number = segment, .offset = offset };
	g->segment = segment;
	return KMS_OK;
}

void group_grow(struct trail_group *g, size_t n)
{
	g->writes[g->n - 1].bytes.n += n;
}

void group_close(struct trail_group *g)
{
	const uint8_t *p = g->memory.p;

	for (size_t i = 0; i < g->n; i++) {
		g->writes[i].bytes.p = p;
		p += g->writes[i].bytes.n;
	}
}
