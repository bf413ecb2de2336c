/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of a whole keeper: one that is open and has a key, and a connection to ask it on. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* The test's own process must stay able to do everything. */
#include "kms/keeper/sandbox_none.c"
#include "tests/unit/keeper_rig.h"

struct world {
	struct rig rig;
	struct arena arena;
	struct buf in;
	struct answer a; /* the last one */
	int fd;
	uint64_t id;
};

static inline kms_err ask(struct world *w, struct request q)
{
	q.id = ++w->id;
	arena_reset(&w->arena);
	assert_int_equal(rig_ask(&w->rig, w->fd, &q, &w->in, &w->arena, &w->a), KMS_OK);
	assert_int_equal(w->a.id, q.id);
	if (w->a.kind == ANSWER_ERROR)
		return w->a.error.err;
	if (w->a.kind == ANSWER_ITEMS && w->a.u.items.n > 0)
		return w->a.u.items.p[0].error.err;
	return KMS_OK;
}

static inline kms_err ask_key(struct world *w, enum op op, const char *key)
{
	return ask(w, (struct request){ .op = op, .key = bytes_of_str(key) });
}

static inline int world_set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	assert_non_null(w);
	fake_chip = (struct fake_chip){ .counter = 40 };
	fake_token = (struct fake_chip){ .fails = KMS_OK };
	assert_int_equal(rig_open(&w->rig), KMS_OK);
	arena_init(&w->arena, 16 << 20);
	rig_until(&w->rig, ROOT_UNINITIALISED);
	w->fd = rig_connect(&w->rig);
	assert_int_equal(ask_key(w, OP_INIT, ""), KMS_OK);
	assert_int_equal(ask_key(w, OP_KEY_CREATE, "rec"), KMS_OK);
	*state = w;
	return 0;
}

static inline int world_tear_down(void **state)
{
	struct world *w = *state;
	fake_chip.fails = KMS_OK;
	(void)close(w->fd);
	buf_done(&w->in);
	arena_done(&w->arena);
	rig_close(&w->rig);
	free(w);
	return 0;
}
