/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory of one request: a bump allocator over blocks with a stated limit, wiped and reused
 * when the answer has left. The first block is kept while its owner is busy; arena_release
 * gives everything back when it falls idle.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/base/types.h"

struct arena_block;

struct arena {
	struct arena_block *first, *now;
	size_t used;  /* bytes handed out since the last reset */
	size_t limit; /* most bytes handed out between two resets */
};

/* limit: bytes. Allocates nothing yet. */
void arena_init(struct arena *a, size_t limit);
/* Wipes what was used and frees every block. */
void arena_done(struct arena *a);
/* Wipes what was used, keeps the first block for the next request. */
void arena_reset(struct arena *a);
/* As arena_reset, and frees the first block too: an idle connection holds nothing. */
void arena_release(struct arena *a);
/* n bytes, zeroed, aligned for any type. KMS_E_NO_MEMORY over the limit or without memory. */
MUST_USE kms_err arena_alloc(struct arena *a, size_t n, void *out_p);
/* For libraries that take an allocator: NULL over the limit. Not zeroed. */
void *arena_take(struct arena *a, size_t n);
/* A copy of x that lives in the arena. */
MUST_USE kms_err arena_copy(struct arena *a, struct bytes x, struct bytes *out);
