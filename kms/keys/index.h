/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the ring finds a key: by name and by id in two hash tables, in the order of names in a
 * sorted array. Owns its tables, never the keys. Part of ring.c; nobody else includes it.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/base/types.h"
#include "kms/keys/key.h"

struct index {
	struct key **sorted;           /* by name; room for half of `slots` */
	struct key **by_name, **by_id; /* open addressing; NULL ends a search */
	size_t n, slots;               /* keys; places in each table, a power of two or 0 */
	uint64_t seed;
};

/* An empty index. Names come from outside: the seed keeps their places from being foreseen. */
MUST_USE kms_err index_init(struct index *x);
void index_done(struct index *x);
/* KMS_E_EXISTS for a name or id that is there, KMS_E_NO_MEMORY; then the index is as before. */
MUST_USE kms_err index_add(struct index *x, struct key *k);
/* NULL if there is none. */
struct key *index_find(const struct index *x, struct bytes name);
struct key *index_find_id(const struct index *x, struct key_id id);
/* The first key whose name sorts behind `after`, or NULL. */
struct key *index_next(const struct index *x, struct bytes after);
