/* SPDX-License-Identifier: Apache-2.0 */
/* A small open-addressing table of what was asked lately; see replies.h. */
#include "kms/keeper/replies.h"

#include <stdlib.h>
#include <string.h>

#include "kms/crypto/hash.h"

enum {
	ROW_FORMAT = 1,
	DIGEST_LEN = 16,
	CAP_FIRST = 64,      /* a power of two, as every capacity */
	PRUNE_AT_ONCE = 1024 /* places looked at for each group of changes */
};

static const uint64_t keep_us = (uint64_t)24 * 3600 * 1000000;

struct reply {
	uint8_t key[REPLY_KEY_LEN];
	uint8_t digest[DIGEST_LEN]; /* of what was asked */
	uint64_t when_us;           /* 0: the place is free */
};

struct replies {
	struct reply *places;
	size_t cap, n;
	size_t cursor; /* where pruning goes on */
};

kms_err replies_new(struct replies **out)
{
	struct replies *r = calloc(1, sizeof(*r));
	if (r == NULL)
		return KMS_E_NO_MEMORY;
	*out = r;
	return KMS_OK;
}

void replies_forget(struct replies *r)
{
	free(r->places);
	*r = (struct replies){ 0 };
}

void replies_free(struct replies **r)
{
	if (*r == NULL)
		return;
	free((*r)->places);
	free(*r);
	*r = NULL;
}

kms_err replies_key(const struct task *t, uint8_t out[static REPLY_KEY_LEN])
{
	const struct bytes parts[] = { t->record.identity, bytes_of("", 1), t->idempotency_key };
	return hash_sha256(parts, ARRAY_LEN(parts), out);
}

static kms_err digest(const struct change_want *w, uint8_t out[static DIGEST_LEN])
{
	AUTO(buf_done) struct buf b = { 0 };
	uint8_t hash[SHA256_LEN];
	TRY(buf_put_u16(&b, (uint16_t)w->op));
	TRY(buf_put_u32(&b, w->version));
	TRY(buf_put_u16(&b, (uint16_t)w->algorithm));
	TRY(buf_put_u64(&b, w->rotate_every_s));
	TRY(buf_put_var(&b, w->key));
	TRY(buf_put_var(&b, w->key_class));
	TRY(buf_put_var(&b, w->reason));
	const struct bytes all = buf_bytes(&b);
	TRY(hash_sha256(&all, 1, hash));
	memcpy(out, hash, DIGEST_LEN);
	return KMS_OK;
}

/* The keys are hashes: their first bytes spread evenly. The place of `key`, or the free one for it. */
static size_t place_of(const struct replies *r, const uint8_t *key)
{
	size_t i = (size_t)load_u64(key) & (r->cap - 1);
	while (r->places[i].when_us != 0 && memcmp(r->places[i].key, key, REPLY_KEY_LEN) != 0)
		i = (i + 1) & (r->cap - 1);
	return i;
}

static kms_err grow(struct replies *r)
{
	if (r->n * 4 < r->cap * 3)
		return KMS_OK;
	struct replies more = { .cap = r->cap == 0 ? CAP_FIRST : r->cap * 2, .n = r->n };
	more.places = calloc(more.cap, sizeof(*more.places));
	if (more.places == NULL)
		return KMS_E_NO_MEMORY;
	for (size_t i = 0; i < r->cap; i++)
		if (r->places[i].when_us != 0)
			more.places[place_of(&more, r->places[i].key)] = r->places[i];
	free(r->places);
	*r = more;
	return KMS_OK;
}

static kms_err add(struct replies *r, const struct reply *what)
{
	TRY(grow(r));
	struct reply *p = &r->places[place_of(r, what->key)];
	r->n += p->when_us == 0;
	*p = *what;
	return KMS_OK;
}

kms_err replies_find(const struct replies *r, const uint8_t key[static REPLY_KEY_LEN],
    const struct change_want *want)
{
	uint8_t d[DIGEST_LEN];
	if (r->n == 0)
		return KMS_E_NOT_FOUND;
	const struct reply *p = &r->places[place_of(r, key)];
	if (p->when_us == 0)
		return KMS_E_NOT_FOUND;
	TRY(digest(want, d));
	return memcmp(d, p->digest, DIGEST_LEN) == 0 ? KMS_OK : KMS_E_CONFLICT;
}

static kms_err put_row(struct keeper *k, struct row_batch *b, const struct reply *what)
{
	AUTO(buf_done) struct buf row = { 0 };
	TRY(buf_put_u8(&row, ROW_FORMAT));
	TRY(buf_put_u64(&row, what->when_us));
	TRY(buf_put(&row, bytes_of(what->digest, DIGEST_LEN)));
	return rows_put(
	    k->rows, b, TABLE_REPLY, bytes_of(what->key, REPLY_KEY_LEN), buf_bytes(&row));
}

kms_err replies_put(struct keeper *k, struct row_batch *b, const uint8_t key[static REPLY_KEY_LEN],
    const struct change_want *want)
{
	struct reply what = { .when_us = k->wall_us };
	memcpy(what.key, key, REPLY_KEY_LEN);
	TRY(digest(want, what.digest));
	TRY(add(k->replies, &what));
	return put_row(k, b, &what);
}

kms_err replies_put_all(struct keeper *k, struct row_batch *b)
{
	const struct replies *r = k->replies;
	for (size_t i = 0; i < r->cap; i++)
		if (r->places[i].when_us != 0)
			TRY(put_row(k, b, &r->places[i]));
	return KMS_OK;
}

kms_err replies_load(struct replies *r, struct bytes key, struct bytes row)
{
	struct reply what;
	struct reader in = reader_of(row);
	uint8_t format = read_u8(&in);
	what.when_us = read_u64(&in);
	read_into(&in, what.digest, DIGEST_LEN);
	if (format > ROW_FORMAT)
		return KMS_E_STORE_NEWER;
	if (!reader_done(&in) || format != ROW_FORMAT || key.n != REPLY_KEY_LEN ||
	    what.when_us == 0)
		return KMS_E_STORE_CORRUPT;
	memcpy(what.key, key.p, REPLY_KEY_LEN);
	return add(r, &what);
}

/* Open addressing: the entries behind a hole move up, or they would not be found. */
static void remove_at(struct replies *r, size_t hole)
{
	r->places[hole].when_us = 0;
	r->n--;
	for (size_t i = (hole + 1) & (r->cap - 1); r->places[i].when_us != 0;
	     i = (i + 1) & (r->cap - 1)) {
		struct reply moved = r->places[i];
		r->places[i].when_us = 0;
		r->places[place_of(r, moved.key)] = moved;
	}
}

kms_err replies_prune(struct keeper *k, struct row_batch *b)
{
	struct replies *r = k->replies;
	for (size_t i = 0; i < PRUNE_AT_ONCE && r->n > 0; i++) {
		size_t at = r->cursor++ & (r->cap - 1);
		const struct reply *p = &r->places[at];
		if (p->when_us == 0 || k->wall_us < p->when_us || k->wall_us - p->when_us < keep_us)
			continue;
		TRY(rows_delete(k->rows, b, TABLE_REPLY, bytes_of(p->key, REPLY_KEY_LEN)));
		remove_at(r, at);
	}
	return KMS_OK;
}
