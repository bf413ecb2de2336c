/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Expanded keys of the versions used last: a bounded list, the latest first. Wipes what falls out.
 * Part of ring.c; nobody else includes it.
 */
#pragma once

#include <sys/queue.h>

#include "kms/base/base.h"
#include "kms/crypto/aead.h"
#include "kms/crypto/hash.h"
#include "kms/keys/key.h"

TAILQ_HEAD(key_cached_list, key_cached);

struct cache {
	struct key_cached_list list;
	size_t n, max;
};

/* max: how many versions, at least 1. */
void cache_init(struct cache *c, size_t max);
/* Wipes and drops everything. */
void cache_done(struct cache *c);
/* Wipes and drops what is kept of k. */
void cache_drop(struct cache *c, struct key *k);
/*
 * The expanded wrapping key of v (one of k, with bits), or its MAC state; borrowed until the next
 * call. KMS_E_NO_MEMORY, KMS_E_CRYPTO, KMS_E_BAD_ALGORITHM where k has no aead.
 */
MUST_USE kms_err cache_aead(
    struct cache *c, struct key *k, struct key_version *v, struct aead **out);
MUST_USE kms_err cache_mac(struct cache *c, struct key *k, struct key_version *v, struct mac **out);
