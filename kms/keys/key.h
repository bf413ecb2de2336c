/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A master key and its versions in memory, and how each is written to a row of the store. Pure:
 * knows neither the store nor the clock. Key bits live in struct secret and enter a row only
 * sealed, by the caller.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/base/buf.h"
#include "kms/base/secret.h"
#include "kms/base/types.h"

enum {
	REASON_MAX = 64,          /* bytes of a state's reason */
	KEY_VERSIONS_MAX = 65535, /* versions of one key */
	KEY_SEALED_BITS_MAX = 96  /* bytes of a version's bits, sealed for its row */
};

/* Uses of a version. */
struct key_counts {
	uint64_t issued, wrapped, unwrapped;
};

struct key_cached;

struct key_version {
	uint32_t number; /* from 1 */
	enum key_state state;
	uint64_t created_us, since_us; /* wall clock: made; present state entered */
	char reason[REASON_MAX + 1];   /* of the present state; printable ASCII */
	struct secret *bits;           /* NULL once destroyed */
	struct key_counts used;        /* never less than what has happened */
	struct key_counts reserved;    /* durable: used may rise to here without a write */
	uint32_t block;                /* size of the next reservation, see counts.h */
	bool reserving;                /* a reservation is on its way to the disk */
	struct key_cached *cached;     /* the ring's (cache.h); NULL when not in use lately */
};

struct key {
	struct key_id id;
	char name[NAME_MAX_LEN + 1];
	char key_class[NAME_MAX_LEN + 1];
	enum algorithm algorithm;
	uint32_t floor; /* versions below unwrap no more; 0 or 1: none */
	uint64_t created_us, rotate_every_s;
	bool changing;                /* a change of this key is on its way to the disk */
	struct key_version *versions; /* by number, ascending; owned */
	size_t n;
};

/* An empty key. KMS_E_NO_MEMORY. */
MUST_USE kms_err key_new(struct key **out);
/* Wipes and frees the key, its versions and their bits. Takes NULL. Not for a key in a ring. */
void key_free(struct key **k);
/* The version of that number, or NULL. Borrowed; adding a version invalidates it. */
struct key_version *key_find_version(const struct key *k, uint32_t number);
/* The one active version, or NULL. */
struct key_version *key_active(const struct key *k);
/* Adds a version behind the newest; number = newest + 1. *out is borrowed. KMS_E_KEYS_FULL, KMS_E_NO_MEMORY. */
MUST_USE kms_err key_add_version(struct key *k, struct key_version **out);

/*
 * Rows (docs/formats.md). Decoding is strict: KMS_E_STORE_CORRUPT, KMS_E_STORE_NEWER, and *out is
 * as before. Encoding refuses what decoding would: KMS_E_INTERNAL; else KMS_E_NO_MEMORY; then the
 * buf is as before.
 */
MUST_USE kms_err key_encode(const struct key *k, struct buf *out);
/* Fills everything but the versions. */
MUST_USE kms_err key_decode(struct bytes row, struct key *out);
/* sealed_bits: what the store sealed the bits to; empty when destroyed, and only then. */
MUST_USE kms_err version_encode(
    const struct key_version *v, struct bytes sealed_bits, struct buf *out);
/* Leaves bits NULL, counters and the rest zero; *out_sealed_bits borrows the row. */
MUST_USE kms_err version_decode(
    struct bytes row, struct key_version *out, struct bytes *out_sealed_bits);
/* The durable counters of one version. */
MUST_USE kms_err counts_encode(const struct key_counts *c, struct buf *out);
MUST_USE kms_err counts_decode(struct bytes row, struct key_counts *out);
