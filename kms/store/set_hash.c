/* SPDX-License-Identifier: Apache-2.0 */
/*
 * To count a changed row out again its part of the sum must be known. The old value can't be
 * asked for it: the store is the journal's while the loop changes rows. So each row's part is
 * kept, 32 bytes, beside 16 bytes that stand for its table and key: 60 to 75 bytes a row in an
 * open table that grows by a quarter, so 2 MiB for 30,000 rows. Parts of 16 bytes would save a
 * third of that, and weaken a sum whose strength rests on their length.
 */
#include "kms/store/set_hash.h"

#include <stdlib.h>
#include <string.h>

#include "kms/crypto/hash.h"
#include "kms/crypto/kdf.h"

enum {
	PLACE_LEN = 16,
	CAP_FIRST = 64
};

static_assert((int)SET_HASH_LEN == (int)SHA256_LEN, "a part is one HMAC");

static const char part_label[] = "kmsd store set v1";
static const char place_label[] = "kmsd store set place v1";

/* A row: who it is, and its part of the sum. A free one is zero. */
struct part {
	uint8_t place[PLACE_LEN];
	uint8_t hash[SET_HASH_LEN];
};

struct set_hash {
	struct mac *part_mac, *place_mac;
	uint8_t sum[SET_HASH_LEN]; /* little-endian */
	struct part *parts;
	size_t cap, n;
};

static void forget_parts(struct set_hash *s)
{
	if (s->parts != NULL)
		wipe(s->parts, s->cap * sizeof(*s->parts));
	free(s->parts);
	s->parts = NULL;
	s->cap = 0;
	s->n = 0;
}

static kms_err mac_for(const struct secret *store_key, const char *label, struct mac **out)
{
	AUTO(key_wipe) struct key256 k;

	TRY(kdf_label_clear(store_key, label, &k));
	return mac_new_clear(bytes_of(k.b, sizeof(k.b)), out);
}

kms_err set_hash_new(const struct secret *store_key, struct set_hash **out)
{
	AUTO(set_hash_free) struct set_hash *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return KMS_E_NO_MEMORY;
	TRY(mac_for(store_key, part_label, &s->part_mac));
	TRY(mac_for(store_key, place_label, &s->place_mac));
	*out = MOVE(s);
	return KMS_OK;
}

void set_hash_free(struct set_hash **s)
{
	struct set_hash *x = MOVE(*s);

	if (x == NULL)
		return;
	mac_free(&x->part_mac);
	mac_free(&x->place_mac);
	forget_parts(x);
	wipe(x, sizeof(*x));
	free(x);
}

void set_hash_clear(struct set_hash *s)
{
	forget_parts(s);
	wipe(s->sum, sizeof(s->sum));
}

static void sum_add(uint8_t sum[static SET_HASH_LEN], const uint8_t part[static SET_HASH_LEN])
{
	unsigned carry = 0;

	for (size_t i = 0; i < SET_HASH_LEN; i++) {
		carry += (unsigned)sum[i] + part[i];
		sum[i] = (uint8_t)carry;
		carry >>= 8;
	}
}

static void sum_subtract(uint8_t sum[static SET_HASH_LEN], const uint8_t part[static SET_HASH_LEN])
{
	unsigned borrow = 0;

	for (size_t i = 0; i < SET_HASH_LEN; i++) {
		unsigned x = (unsigned)sum[i] - part[i] - borrow;
		sum[i] = (uint8_t)x;
		borrow = x >> 8 & 1;
	}
}

static bool is_free(const struct part *p)
{
	/* The last byte of a place is odd; see find_place. */
	return p->place[PLACE_LEN - 1] == 0;
}

/* Keyed, so that nobody can choose idempotency keys whose rows share a place. */
static kms_err find_place(
    struct set_hash *s, enum store_table t, struct bytes key, uint8_t out[static PLACE_LEN])
{
	const uint8_t table = (uint8_t)t;
	const struct bytes parts[] = { bytes_of(&table, 1), key };
	uint8_t hash[SHA256_LEN];

	TRY(mac_compute(s->place_mac, parts, ARRAY_LEN(parts), hash));
	memcpy(out, hash, PLACE_LEN);
	out[PLACE_LEN - 1] |= 1;
	return KMS_OK;
}

/* Table and length of the key are of fixed size, so no two rows give the same bytes. */
static kms_err make_part(
    struct set_hash *s, enum store_table t, struct bytes key, struct bytes value, struct part *out)
{
	const uint8_t head[] = { (uint8_t)t, (uint8_t)key.n };
	const struct bytes parts[] = { bytes_of(head, sizeof(head)), key, value };

	TRY(find_place(s, t, key, out->place));
	return mac_compute(s->part_mac, parts, ARRAY_LEN(parts), out->hash);
}

/* Where a place would lie in a table without others: its first 32 bits, scaled to the capacity. */
static size_t home_of(const struct set_hash *s, const uint8_t *place)
{
	return (size_t)((uint64_t)load_u32(place) * s->cap >> 32);
}

/* The row of that place, or the free one for it. There always is a free one. */
static struct part *find(const struct set_hash *s, const uint8_t *place)
{
	size_t i = home_of(s, place);

	while (!is_free(&s->parts[i]) && memcmp(s->parts[i].place, place, PLACE_LEN) != 0)
		i = i + 1 == s->cap ? 0 : i + 1;
	return &s->parts[i];
}

/* Room for one more row: four fifths are in use at most. */
static kms_err make_room(struct set_hash *s)
{
	if ((s->n + 1) * 5 <= s->cap * 4)
		return KMS_OK;
	struct set_hash more = { .cap = s->cap == 0 ? CAP_FIRST : s->cap + s->cap / 4 };
	more.parts = calloc(more.cap, sizeof(*more.parts));
	if (more.parts == NULL)
		return KMS_E_NO_MEMORY;
	for (size_t i = 0; i < s->cap; i++) {
		if (!is_free(&s->parts[i]))
			*find(&more, s->parts[i].place) = s->parts[i];
	}
	size_t n = s->n;
	forget_parts(s);
	s->parts = more.parts;
	s->cap = more.cap;
	s->n = n;
	return KMS_OK;
}

kms_err set_hash_put(struct set_hash *s, enum store_table t, struct bytes key, struct bytes value)
{
	struct part fresh;

	TRY(make_part(s, t, key, value, &fresh));
	TRY(make_room(s));
	struct part *p = find(s, fresh.place);
	if (is_free(p))
		s->n++;
	else
		sum_subtract(s->sum, p->hash);
	sum_add(s->sum, fresh.hash);
	*p = fresh;
	return KMS_OK;
}

/* Those that stand behind a hole move up, or they would not be found. */
static void close_hole(struct set_hash *s, size_t hole)
{
	for (size_t i = (hole + 1) % s->cap; !is_free(&s->parts[i]); i = (i + 1) % s->cap) {
		struct part moved = s->parts[i];
		s->parts[i] = (struct part){ 0 };
		*find(s, moved.place) = moved;
	}
}

kms_err set_hash_delete(struct set_hash *s, enum store_table t, struct bytes key)
{
	uint8_t place[PLACE_LEN];

	TRY(find_place(s, t, key, place));
	if (s->n == 0)
		return KMS_OK;
	struct part *p = find(s, place);
	if (is_free(p))
		return KMS_OK;
	sum_subtract(s->sum, p->hash);
	*p = (struct part){ 0 };
	s->n--;
	close_hole(s, (size_t)(p - s->parts));
	return KMS_OK;
}

size_t set_hash_rows(const struct set_hash *s)
{
	return s->n;
}

const uint8_t *set_hash_sum(const struct set_hash *s)
{
	return s->sum;
}

kms_err set_hash_digest(const struct set_hash *s, uint8_t out[static SET_HASH_LEN])
{
	const struct bytes sum = bytes_of(s->sum, sizeof(s->sum));

	return hash_sha256(&sum, 1, out);
}
