/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a keeper has acknowledged, kept by a test in memory: keys, states of their versions, wrapped
 * keys and backups. It knows nothing of how a keeper does it. A version that a restore has lost
 * and one that later got its number are two: each has a serial of its own.
 */
#pragma once

#include <string.h>

#include "kms/base/base.h"
#include "kms/base/types.h"
#include "tests/unit/dice.h"

enum {
	ORACLE_KEYS = 8,       /* names k0 … k7 */
	ORACLE_VERSIONS = 400, /* of a key */
	ORACLE_SERIALS = 1 << 20,
	ORACLE_BLOBS = 160,
	ORACLE_BACKUPS = 4,
	ORACLE_WRAPPED = 160,
	ORACLE_CLEAR = 32
};

struct oracle_version {
	enum key_state state;
	uint32_t serial;
	uint32_t number;
};

struct oracle_key {
	bool here;
	uint32_t serial; /* another one each time the name is made */
	size_t n;
	struct oracle_version v[ORACLE_VERSIONS];
};

struct oracle_blob {
	size_t key;
	uint32_t key_serial, serial, number;
	size_t n;
	uint8_t wrapped[ORACLE_WRAPPED], clear[ORACLE_CLEAR];
};

struct oracle_backup {
	bool here;
	uint32_t at; /* after which serial it was made */
	char name[NAME_MAX_LEN + 1];
	struct oracle_key keys[ORACLE_KEYS];
};

struct oracle {
	struct oracle_key keys[ORACLE_KEYS];
	struct oracle_blob blobs[ORACLE_BLOBS];
	size_t blob_n;
	struct oracle_backup backups[ORACLE_BACKUPS];
	uint32_t serial; /* the last one given */
	/* As the log that we have knows: versions, and when keys were as a whole. */
	bool destroyed[ORACLE_SERIALS];
	uint32_t destroyed_at[ORACLE_SERIALS];
};

static inline uint32_t oracle_serial(struct oracle *o)
{
	CHECK(o->serial + 1 < ORACLE_SERIALS);
	return ++o->serial;
}

static inline struct oracle_version *oracle_active(struct oracle_key *k)
{
	for (size_t i = 0; i < k->n; i++)
		if (k->v[i].state == STATE_ACTIVE)
			return &k->v[i];
	return NULL;
}

static inline struct oracle_version *oracle_version(struct oracle_key *k, uint32_t number)
{
	for (size_t i = 0; i < k->n; i++)
		if (k->v[i].number == number)
			return &k->v[i];
	return NULL;
}

static inline void oracle_grow(struct oracle *o, struct oracle_key *k, uint32_t number)
{
	CHECK(k->n < ORACLE_VERSIONS);
	k->v[k->n++] = (struct oracle_version){
		.state = STATE_ACTIVE, .serial = oracle_serial(o), .number = number
	};
}

static inline void oracle_create(struct oracle *o, struct oracle_key *k)
{
	*k = (struct oracle_key){ .here = true, .serial = oracle_serial(o) };
	oracle_grow(o, k, 1);
}

static inline void oracle_rotate(struct oracle *o, struct oracle_key *k, uint32_t number)
{
	struct oracle_version *was = oracle_active(k);
	if (was != NULL)
		was->state = STATE_DEACTIVATED;
	oracle_grow(o, k, number);
}

static inline size_t oracle_left(const struct oracle_key *k)
{
	size_t n = 0;
	for (size_t i = 0; i < k->n; i++)
		n += k->v[i].state != STATE_DESTROYED;
	return n;
}

/*
 * Version 0: all of them, and then those that an older backup holds and we have lost as well. Where
 * only one was left, the log names that one.
 */
static inline void oracle_destroy(struct oracle *o, struct oracle_key *k, uint32_t number)
{
	if (number == 0 && oracle_left(k) > 1)
		o->destroyed_at[k->serial] = oracle_serial(o);
	for (size_t i = 0; i < k->n; i++) {
		if (number != 0 && k->v[i].number != number)
			continue;
		k->v[i].state = STATE_DESTROYED;
		o->destroyed[k->v[i].serial] = true;
	}
}

static inline void oracle_note_blob(
    struct oracle *o, struct dice *d, const struct oracle_blob *blob)
{
	size_t at = o->blob_n < ORACLE_BLOBS ? o->blob_n++ : dice_below(d, ORACLE_BLOBS);
	o->blobs[at] = *blob;
}

/* The state of the very version that wrapped it; STATE_NONE if a restore has lost it. */
static inline enum key_state oracle_state(const struct oracle *o, const struct oracle_blob *b)
{
	const struct oracle_key *k = &o->keys[b->key];
	for (size_t i = 0; k->here && k->serial == b->key_serial && i < k->n; i++)
		if (k->v[i].serial == b->serial)
			return k->v[i].state;
	return STATE_NONE;
}

static inline void oracle_back_up(struct oracle *o, struct oracle_backup *b, const char *name)
{
	CHECK(strlen(name) < sizeof(b->name));
	b->here = true;
	b->at = oracle_serial(o);
	memcpy(b->name, name, strlen(name) + 1);
	memcpy(b->keys, o->keys, sizeof(b->keys));
}

static inline void oracle_destroy_again(const struct oracle *o, struct oracle_key *k, uint32_t at)
{
	for (size_t i = 0; i < k->n; i++)
		if (o->destroyed[k->v[i].serial] || o->destroyed_at[k->serial] > at)
			k->v[i].state = STATE_DESTROYED;
}

/*
 * What was destroyed since stays destroyed, unless the log that said so is lost. Then nobody knows
 * either which numbers were given, so no other backup of before is used any more.
 */
static inline void oracle_restore(struct oracle *o, const struct oracle_backup *b, bool log_lost)
{
	memcpy(o->keys, b->keys, sizeof(o->keys));
	if (log_lost) {
		memset(o->destroyed, 0, sizeof(o->destroyed));
		memset(o->destroyed_at, 0, sizeof(o->destroyed_at));
		for (size_t i = 0; i < ORACLE_BACKUPS; i++)
			o->backups[i].here = &o->backups[i] == b;
	}
	for (size_t i = 0; i < ORACLE_KEYS; i++)
		oracle_destroy_again(o, &o->keys[i], b->at);
}
