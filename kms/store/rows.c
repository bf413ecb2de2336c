/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealing and opening of rows, and the check of the whole against the epoch row. A sealed row is
 *   format 1 | nonce 24 | ciphertext | tag 16
 * with format, table and key as additional data; see docs/formats.md. Belongs to the loop.
 */
#include "kms/store/rows.h"

#include <stdlib.h>
#include <string.h>

#include "kms/crypto/aead.h"
#include "kms/crypto/kdf.h"
#include "kms/crypto/rand.h"
#include "kms/store/epoch.h"
#include "kms/store/row_batch.h"
#include "kms/store/set_hash.h"

enum {
	ROW_FORMAT = 1,
	NONCE_LEN = 24,
	ROW_OVERHEAD = 1 + NONCE_LEN + AEAD_TAG_LEN
};

static_assert((int)ROWS_BITS_OVERHEAD == (int)NONCE_LEN + (int)AEAD_TAG_LEN, "nonce and tag");

static const char row_label[] = "kmsd store row v1";
static const char bits_label[] = "kmsd store bits v1";
static const char epoch_key[] = "epoch";

struct rows {
	struct aead *row_seal, *bits_seal;
	struct set_hash *set;
	uint8_t digest[SET_HASH_LEN];
	const struct row_batch *open; /* has rows and no epoch row yet; compared, never followed */
};

static kms_err seal_for(const struct secret *store_key, const char *label, struct aead **out)
{
	AUTO(key_wipe) struct key256 k;

	TRY(kdf_label_clear(store_key, label, &k));
	return aead_new_clear(ALG_XAES_256_GCM, k.b, out);
}

kms_err rows_new(const struct secret *store_key, struct rows **out)
{
	AUTO(rows_free) struct rows *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return KMS_E_NO_MEMORY;
	TRY(seal_for(store_key, row_label, &r->row_seal));
	TRY(seal_for(store_key, bits_label, &r->bits_seal));
	TRY(set_hash_new(store_key, &r->set));
	TRY(set_hash_digest(r->set, r->digest));
	*out = MOVE(r);
	return KMS_OK;
}

void rows_free(struct rows **r)
{
	struct rows *x = MOVE(*r);

	if (x == NULL)
		return;
	aead_free(&x->row_seal);
	aead_free(&x->bits_seal);
	set_hash_free(&x->set);
	free(x);
}

/* Readable while sealed: what is needed to open the root. */
static bool is_plain(enum store_table t)
{
	return t == TABLE_META || t == TABLE_SLOT || t == TABLE_ROOT;
}

/* Nonce, ciphertext and tag, under a nonce of its own. */
static kms_err seal_to(
    struct aead *a, const struct bytes aad[static 2], struct bytes clear, uint8_t *out)
{
	TRY(rand_bytes(out, NONCE_LEN));
	return aead_seal(a, out, aad, clear, out + NONCE_LEN);
}

/* The other way; out gets NONCE_LEN + AEAD_TAG_LEN bytes less. */
static kms_err open_to(
    struct aead *a, const struct bytes aad[static 2], struct bytes sealed, uint8_t *out)
{
	const struct bytes text = bytes_of(sealed.p + NONCE_LEN, sealed.n - NONCE_LEN);
	kms_err e = aead_open(a, sealed.p, aad, text, out);

	return e == KMS_E_INTEGRITY ? KMS_E_STORE_CORRUPT : e;
}

static kms_err seal_row(
    struct rows *r, enum store_table t, struct bytes key, struct bytes clear, uint8_t *out)
{
	const uint8_t head[] = { ROW_FORMAT, (uint8_t)t };
	const struct bytes aad[2] = { bytes_of(head, sizeof(head)), key };

	out[0] = ROW_FORMAT;
	return seal_to(r->row_seal, aad, clear, out + 1);
}

/* A newer format of rows comes with a newer schema, which is refused before: here it is damage. */
static kms_err open_row(
    struct rows *r, enum store_table t, struct bytes key, struct bytes sealed, struct buf *out)
{
	const uint8_t head[] = { ROW_FORMAT, (uint8_t)t };
	const struct bytes aad[2] = { bytes_of(head, sizeof(head)), key };

	if (sealed.n < ROW_OVERHEAD || sealed.p[0] != ROW_FORMAT)
		return KMS_E_STORE_CORRUPT;
	buf_clear(out);
	TRY(buf_reserve(out, sealed.n));
	TRY(open_to(r->row_seal, aad, bytes_of(sealed.p + 1, sealed.n - 1), out->p));
	out->n = sealed.n - ROW_OVERHEAD;
	return KMS_OK;
}

/* One reading of the whole store. Clear values pass through one buffer, wiped after each row. */
struct loading {
	struct rows *rows;
	store_visit *visit;
	void *arg;
	struct buf clear;
	struct epoch epoch;
	uint8_t set_hash[SET_HASH_LEN];
	size_t epoch_rows;
};

static void loading_done(struct loading *l)
{
	buf_done(&l->clear);
	wipe(l->set_hash, sizeof(l->set_hash));
}

/* A row that is there twice would be counted once and seen twice. Only a forged file has one. */
static kms_err count_in(
    struct set_hash *set, enum store_table t, struct bytes key, struct bytes value)
{
	size_t before = set_hash_rows(set);

	TRY(set_hash_put(set, t, key, value));
	return set_hash_rows(set) == before + 1 ? KMS_OK : KMS_E_STORE_CORRUPT;
}

static kms_err load_row(void *arg, enum store_table t, struct bytes key, struct bytes value)
{
	struct loading *l = arg;

	TRY(count_in(l->rows->set, t, key, value));
	if (is_plain(t))
		return l->visit(l->arg, t, key, value);
	TRY(open_row(l->rows, t, key, value, &l->clear));
	kms_err e = l->visit(l->arg, t, key, buf_bytes(&l->clear));
	buf_clear(&l->clear);
	return e;
}

static kms_err load_epoch(void *arg, enum store_table t, struct bytes key, struct bytes value)
{
	struct loading *l = arg;

	if (l->epoch_rows++ > 0 || !bytes_equal(key, bytes_of_str(epoch_key)))
		return KMS_E_ROW_ROLLBACK;
	TRY(open_row(l->rows, t, key, value, &l->clear));
	return epoch_decode(buf_bytes(&l->clear), &l->epoch, l->set_hash);
}

static kms_err scan_all(struct store *s, store_visit *visit, void *arg)
{
	for (int t = TABLE_META; t < TABLE_COUNT_OF; t++) {
		if (t != TABLE_EPOCH)
			TRY(store_scan(s, (enum store_table)t, visit, arg));
	}
	return KMS_OK;
}

static kms_err load(struct loading *l, struct store *s)
{
	struct rows *r = l->rows;

	TRY(scan_all(s, load_row, l));
	TRY(store_scan(s, TABLE_EPOCH, load_epoch, l));
	if (l->epoch_rows == 0 || !equal_ct(set_hash_sum(r->set), l->set_hash, SET_HASH_LEN))
		return KMS_E_ROW_ROLLBACK;
	return set_hash_digest(r->set, r->digest);
}

kms_err rows_load(struct rows *r, struct store *s, store_visit *visit, void *arg, struct epoch *out)
{
	AUTO(loading_done) struct loading l = { .rows = r, .visit = visit, .arg = arg };

	set_hash_clear(r->set);
	kms_err e = load(&l, s);
	if (e != KMS_OK) {
		set_hash_clear(r->set);
		return e;
	}
	*out = l.epoch;
	return KMS_OK;
}

/* What is sealed can't be of this store key yet. */
static kms_err adopt_row(void *arg, enum store_table t, struct bytes key, struct bytes value)
{
	struct rows *r = arg;

	return is_plain(t) ? count_in(r->set, t, key, value) : KMS_E_STORE_CORRUPT;
}

kms_err rows_adopt(struct rows *r, struct store *s)
{
	set_hash_clear(r->set);
	TRY(scan_all(s, adopt_row, r));
	TRY(store_scan(s, TABLE_EPOCH, adopt_row, r));
	return set_hash_digest(r->set, r->digest);
}

/* Adds the row as the store will hold it; *out is that value, borrowed from the batch. */
static kms_err add_row(struct rows *r, struct row_batch *b, enum store_table t, struct bytes key,
    struct bytes clear, struct bytes *out)
{
	size_t n = is_plain(t) ? clear.n : clear.n + ROW_OVERHEAD;
	uint8_t *room = NULL;
	kms_err e = KMS_OK;

	TRY(row_batch_add(b, t, key, n, &room));
	if (!is_plain(t))
		e = seal_row(r, t, key, clear, room);
	else if (n > 0)
		memcpy(room, clear.p, n);
	if (e != KMS_OK)
		row_batch_drop_last(b);
	*out = bytes_of(room, n);
	return e;
}

/* Two open batches would swear to each other's rows, and a crash between their commits is a rollback. */
static void open_batch(struct rows *r, const struct row_batch *b)
{
	CHECK(r->open == NULL || r->open == b);
	r->open = b;
}

kms_err rows_put(
    struct rows *r, struct row_batch *b, enum store_table t, struct bytes key, struct bytes clear)
{
	struct bytes value = { 0 };

	open_batch(r, b);
	TRY(add_row(r, b, t, key, clear, &value));
	kms_err e = set_hash_put(r->set, t, key, value);
	if (e != KMS_OK)
		row_batch_drop_last(b);
	return e;
}

kms_err rows_delete(struct rows *r, struct row_batch *b, enum store_table t, struct bytes key)
{
	open_batch(r, b);
	TRY(row_batch_add_delete(b, t, key));
	kms_err e = set_hash_delete(r->set, t, key);
	if (e != KMS_OK)
		row_batch_drop_last(b);
	return e;
}

kms_err rows_finish(struct rows *r, struct row_batch *b, const struct epoch *e)
{
	uint8_t clear[EPOCH_LEN];
	struct bytes value;

	open_batch(r, b);
	epoch_encode(e, set_hash_sum(r->set), clear);
	TRY(set_hash_digest(r->set, r->digest));
	kms_err err = add_row(
	    r, b, TABLE_EPOCH, bytes_of_str(epoch_key), bytes_of(clear, sizeof(clear)), &value);
	wipe(clear, sizeof(clear));
	if (err == KMS_OK)
		r->open = NULL;
	return err;
}

void rows_digest(const struct rows *r, uint8_t out[static SET_HASH_LEN])
{
	memcpy(out, r->digest, sizeof(r->digest));
}

kms_err rows_seal_bits(struct rows *r, struct bytes bind, const struct secret *bits, uint8_t *out)
{
	const struct bytes aad[2] = { bind };

	return seal_to(r->bits_seal, aad, secret_bytes(bits), out);
}

static bool can_be_bits(struct bytes sealed)
{
	return sealed.n > ROWS_BITS_OVERHEAD && sealed.n <= ROWS_BITS_OVERHEAD + SECRET_MAX;
}

kms_err rows_open_bits(struct rows *r, struct bytes bind, struct bytes sealed, struct secret **out)
{
	const struct bytes aad[2] = { bind };
	AUTO(secret_free) struct secret *bits = NULL;

	if (!can_be_bits(sealed))
		return KMS_E_STORE_CORRUPT;
	TRY(secret_new(sealed.n - ROWS_BITS_OVERHEAD, &bits));
	TRY(open_to(r->bits_seal, aad, sealed, secret_fill(bits)));
	*out = MOVE(bits);
	return KMS_OK;
}

kms_err rows_check_bits(struct rows *r, struct bytes bind, struct bytes sealed)
{
	const struct bytes aad[2] = { bind };
	uint8_t clear[SECRET_MAX];

	if (!can_be_bits(sealed))
		return KMS_E_STORE_CORRUPT;
	kms_err e = open_to(r->bits_seal, aad, sealed, clear);
	wipe(clear, sizeof(clear));
	return e;
}
