/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rows of key.h: how a key, a version and its counters are written to the store. One check
 * serves both ways, so that nothing is written which can't be read back. The first byte of each
 * row is its format; docs/formats.md has the layouts.
 */
#include <string.h>

#include "kms/keys/key.h"

enum {
	ROW_FORMAT = 1,
	/* A version's is the longest: 1 + 4 + 1 + 8 + 8, then two texts with a length of 2. */
	ROW_MAX = 22 + 2 + REASON_MAX + 2 + KEY_SEALED_BITS_MAX
};

/* A row while it is written. All that goes in has been checked, so nothing here can fail. */
struct row {
	size_t n;
	uint8_t b[ROW_MAX];
};

static void put(struct row *r, struct bytes x)
{
	if (x.n > 0)
		memcpy(r->b + r->n, x.p, x.n);
	r->n += x.n;
}

static void put_u8(struct row *r, uint8_t x)
{
	r->b[r->n++] = x;
}

static void put_u32(struct row *r, uint32_t x)
{
	store_u32(r->b + r->n, x);
	r->n += sizeof(x);
}

static void put_u64(struct row *r, uint64_t x)
{
	store_u64(r->b + r->n, x);
	r->n += sizeof(x);
}

static void put_var(struct row *r, struct bytes x)
{
	store_u16(r->b + r->n, (uint16_t)x.n);
	r->n += sizeof(uint16_t);
	put(r, x);
}

static struct row row_begin(void)
{
	return (struct row){ .n = 1, .b = { ROW_FORMAT } };
}

static kms_err row_close(const struct row *r, struct buf *out)
{
	return buf_put(out, bytes_of(r->b, r->n));
}

/* Begins to read a row; a newer one is refused by name before anything else is looked at. */
static kms_err row_open(struct bytes row, struct reader *out)
{
	*out = reader_of(row);
	uint8_t format = read_u8(out);

	if (format > ROW_FORMAT)
		return KMS_E_STORE_NEWER;
	return format == ROW_FORMAT ? KMS_OK : KMS_E_STORE_CORRUPT;
}

/* Copies a text to a zeroed field of `room` bytes. False if it's too long or holds a zero. */
static bool read_text(struct reader *r, char *out, size_t room)
{
	struct bytes text = read_var(r);

	if (text.n == 0)
		return true;
	if (text.n >= room || memchr(text.p, '\0', text.n) != NULL)
		return false;
	memcpy(out, text.p, text.n);
	return true;
}

static bool key_ok(const struct key *k)
{
	struct bytes key_class = bytes_of_str(k->key_class);

	return k->algorithm > ALG_NONE && k->algorithm < ALG_COUNT &&
	       name_valid(bytes_of_str(k->name)) && (key_class.n == 0 || name_valid(key_class));
}

kms_err key_encode(const struct key *k, struct buf *out)
{
	if (!key_ok(k))
		return KMS_E_INTERNAL;
	struct row r = row_begin();
	put(&r, bytes_of(k->id.b, sizeof(k->id.b)));
	put_u8(&r, (uint8_t)k->algorithm);
	put_u32(&r, k->floor);
	put_u64(&r, k->created_us);
	put_u64(&r, k->rotate_every_s);
	put_var(&r, bytes_of_str(k->name));
	put_var(&r, bytes_of_str(k->key_class));
	return row_close(&r, out);
}

kms_err key_decode(struct bytes row, struct key *out)
{
	struct reader r;
	struct key k = { .algorithm = ALG_NONE };

	TRY(row_open(row, &r));
	read_into(&r, k.id.b, sizeof(k.id.b));
	k.algorithm = (enum algorithm)read_u8(&r);
	k.floor = read_u32(&r);
	k.created_us = read_u64(&r);
	k.rotate_every_s = read_u64(&r);
	bool texts = read_text(&r, k.name, sizeof(k.name)) &&
	             read_text(&r, k.key_class, sizeof(k.key_class));
	if (!texts || !reader_done(&r) || !key_ok(&k))
		return KMS_E_STORE_CORRUPT;

	k.versions = out->versions;
	k.n = out->n;
	k.changing = out->changing;
	*out = k;
	return KMS_OK;
}

static bool printable(const char *s)
{
	for (; *s != '\0'; s++) {
		if (*s < ' ' || *s > '~')
			return false;
	}
	return true;
}

static bool version_ok(const struct key_version *v, struct bytes sealed_bits)
{
	bool destroyed = v->state == STATE_DESTROYED;

	return v->number > 0 && v->state > STATE_NONE && v->state < STATE_COUNT &&
	       printable(v->reason) && sealed_bits.n <= KEY_SEALED_BITS_MAX &&
	       destroyed == (sealed_bits.n == 0);
}

kms_err version_encode(const struct key_version *v, struct bytes sealed_bits, struct buf *out)
{
	if (!version_ok(v, sealed_bits))
		return KMS_E_INTERNAL;
	struct row r = row_begin();
	put_u32(&r, v->number);
	put_u8(&r, (uint8_t)v->state);
	put_u64(&r, v->created_us);
	put_u64(&r, v->since_us);
	put_var(&r, bytes_of_str(v->reason));
	put_var(&r, sealed_bits);
	return row_close(&r, out);
}

kms_err version_decode(struct bytes row, struct key_version *out, struct bytes *out_sealed_bits)
{
	struct reader r;
	struct key_version v = { .number = 0 };

	TRY(row_open(row, &r));
	v.number = read_u32(&r);
	v.state = (enum key_state)read_u8(&r);
	v.created_us = read_u64(&r);
	v.since_us = read_u64(&r);
	bool text = read_text(&r, v.reason, sizeof(v.reason));
	struct bytes sealed_bits = read_var(&r);
	if (!text || !reader_done(&r) || !version_ok(&v, sealed_bits))
		return KMS_E_STORE_CORRUPT;

	*out = v;
	*out_sealed_bits = sealed_bits;
	return KMS_OK;
}

kms_err counts_encode(const struct key_counts *c, struct buf *out)
{
	struct row r = row_begin();

	put_u64(&r, c->issued);
	put_u64(&r, c->wrapped);
	put_u64(&r, c->unwrapped);
	return row_close(&r, out);
}

kms_err counts_decode(struct bytes row, struct key_counts *out)
{
	struct reader r;
	struct key_counts c;

	TRY(row_open(row, &r));
	c.issued = read_u64(&r);
	c.wrapped = read_u64(&r);
	c.unwrapped = read_u64(&r);
	if (!reader_done(&r))
		return KMS_E_STORE_CORRUPT;
	*out = c;
	return KMS_OK;
}
