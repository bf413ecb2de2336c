/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reservations of counters; see counts.h. What is asked for in one turn goes to the journal as
 * one batch, one batch at a time. A row is put into the set hash only when its batch is made and
 * handed over at once: two open batches would swear to each other's rows.
 */
#include "kms/keeper/counts.h"

#include <stdlib.h>
#include <string.h>

#include "kms/keeper/journal.h"
#include "kms/keeper/root.h"
#include "kms/keeper/server.h"
#include "kms/keeper/turn.h"

enum {
	BLOCK_FIRST = 2048,  /* uses reserved for a version that was not in use lately */
	BLOCK_MAX = 1 << 20, /* and for one that is used hard: each block is twice the one before */
	RESERVATIONS_MAX = 1024 /* versions in one batch; those beyond wait for the next */
};

/* SP 800-38D section 8.3: at most 2^32 uses of one key with random 96-bit nonces. */
static const uint64_t gcm_uses_max = (uint64_t)1 << 32;

struct reservation {
	struct key *key;
	uint32_t version;
	struct key_counts upto;
};

struct counts {
	struct reservation list[RESERVATIONS_MAX];
	size_t n;
	uint64_t
	    number; /* of the batch with the journal; 0: none, the list waits for the end of the turn */
};

kms_err counts_new(struct counts **out)
{
	struct counts *c = calloc(1, sizeof(*c));
	if (c == NULL)
		return KMS_E_NO_MEMORY;
	*out = c;
	return KMS_OK;
}

void counts_free(struct counts **c)
{
	if (*c == NULL)
		return;
	free(*c);
	*c = NULL;
}

void counts_forget(struct counts *c)
{
	c->n = 0;
	c->number = 0;
}

void version_row_key(
    const struct key *key, uint32_t version, uint8_t out[static VERSION_ROW_KEY_LEN])
{
	memcpy(out, key->id.b, KEY_ID_LEN);
	for (int i = 0; i < 4; i++)
		out[KEY_ID_LEN + i] = (uint8_t)(version >> (24 - 8 * i));
}

kms_err counts_put_row(struct keeper *k, struct row_batch *b, const struct key *key,
    uint32_t version, const struct key_counts *upto)
{
	uint8_t row_key[VERSION_ROW_KEY_LEN];
	AUTO(buf_done) struct buf row = { 0 };
	version_row_key(key, version, row_key);
	TRY(counts_encode(upto, &row));
	return rows_put(
	    k->rows, b, TABLE_COUNT, bytes_of(row_key, sizeof(row_key)), buf_bytes(&row));
}

/* The next block above what is in use. */
static struct key_counts next_block(const struct key_version *v)
{
	uint64_t more = (uint64_t)v->block + BATCH_MAX;
	return (struct key_counts){ .issued = v->used.issued + more,
		.wrapped = v->used.wrapped + more,
		.unwrapped = v->used.unwrapped + more };
}

struct key_counts counts_first_block(struct key_version *v)
{
	v->block = BLOCK_FIRST;
	return next_block(v);
}

static void reserve(struct counts *c, struct key *key, struct key_version *v)
{
	if (v->block == 0)
		v->block = BLOCK_FIRST;
	else if (v->block < BLOCK_MAX)
		v->block *= 2;
	c->list[c->n++] =
	    (struct reservation){ .key = key, .version = v->number, .upto = next_block(v) };
	v->reserving = true;
}

/* Uses of the scarcest kind that are left. */
static uint64_t left(const struct key_version *v)
{
	uint64_t issued = v->reserved.issued - v->used.issued;
	uint64_t wrapped = v->reserved.wrapped - v->used.wrapped;
	uint64_t unwrapped = v->reserved.unwrapped - v->used.unwrapped;
	uint64_t least = issued < wrapped ? issued : wrapped;
	return least < unwrapped ? least : unwrapped;
}

bool counts_ready(struct keeper *k, struct key *key, struct key_version *v)
{
	struct counts *c = k->counts;
	uint64_t n = left(v);
	if (n >= BATCH_MAX + (uint64_t)v->block / 2 && v->block != 0)
		return true;
	if (!v->reserving && c->number == 0 && c->n < RESERVATIONS_MAX)
		reserve(c, key, v);
	return n >= BATCH_MAX;
}

kms_err counts_take(const struct key *key, struct key_version *v, enum count_kind kind, uint32_t n)
{
	uint64_t wraps = v->used.issued + v->used.wrapped;
	if (key->algorithm == ALG_AES_256_GCM && kind != COUNT_UNWRAPPED &&
	    wraps + n > gcm_uses_max)
		return KMS_E_USAGE_LIMIT;
	switch (kind) {
	case COUNT_ISSUED: v->used.issued += n; break;
	case COUNT_WRAPPED: v->used.wrapped += n; break;
	case COUNT_UNWRAPPED: v->used.unwrapped += n; break;
	}
	return KMS_OK;
}

kms_err counts_finish_batch(struct keeper *k, struct row_batch *b)
{
	struct epoch e = k->epoch;
	turn_root(k->turn, &e.audit_size, e.audit_root);
	return rows_finish(k->rows, b, &e);
}

struct key_counts counts_on_disk(
    const struct counts *c, const struct key *key, const struct key_version *v)
{
	for (size_t i = 0; i < c->n && c->number != 0 && v->reserving; i++)
		if (c->list[i].key == key && c->list[i].version == v->number)
			return c->list[i].upto;
	return v->reserved;
}

static kms_err make_batch(struct keeper *k, struct row_batch **out)
{
	const struct counts *c = k->counts;
	AUTO(row_batch_free) struct row_batch *b = NULL;
	TRY(row_batch_new(&b));
	for (size_t i = 0; i < c->n; i++)
		TRY(counts_put_row(k, b, c->list[i].key, c->list[i].version, &c->list[i].upto));
	TRY(counts_finish_batch(k, b));
	*out = MOVE(b);
	return KMS_OK;
}

void counts_push(struct keeper *k)
{
	struct counts *c = k->counts;
	AUTO(row_batch_free) struct row_batch *b = NULL;
	if (c->n == 0 || c->number != 0)
		return;
	kms_err e = make_batch(k, &b);
	if (e == KMS_OK) {
		c->number = ++k->rows_number;
		e = journal_put_rows(k->journal, MOVE(b), c->number);
	}
	if (e != KMS_OK)
		root_store_failed(k, e);
}

void counts_done(struct keeper *k, uint64_t number)
{
	struct counts *c = k->counts;
	if (number != c->number)
		return;
	for (size_t i = 0; i < c->n; i++) {
		struct key_version *v = key_find_version(c->list[i].key, c->list[i].version);
		CHECK(v != NULL); /* versions are never removed */
		v->reserved = c->list[i].upto;
		v->reserving = false;
	}
	c->n = 0;
	c->number = 0;
	server_resume_parked(k->server);
}

/* Writes what was used, of one key, where more was reserved. */
static kms_err settle_key(struct keeper *k, struct key *key, struct row_batch *b)
{
	for (size_t i = 0; i < key->n; i++) {
		struct key_version *v = &key->versions[i];
		if (memcmp(&v->used, &v->reserved, sizeof(v->used)) == 0)
			continue;
		TRY(counts_put_row(k, b, key, v->number, &v->used));
		v->reserved = v->used;
	}
	return KMS_OK;
}

kms_err counts_settle(struct keeper *k, struct row_batch **out)
{
	AUTO(row_batch_free) struct row_batch *b = NULL;
	TRY(row_batch_new(&b));
	struct bytes after = { 0 };
	for (struct key *key; (key = ring_next(k->ring, after)) != NULL;
	     after = bytes_of_str(key->name))
		TRY(settle_key(k, key, b));
	if (b->n == 0)
		return KMS_E_NOT_FOUND;
	TRY(counts_finish_batch(k, b));
	*out = MOVE(b);
	return KMS_OK;
}
