/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Growing bytes and the reader over borrowed ones. Growth copies by hand and wipes the old
 * block: realloc would leave a copy behind that nobody can wipe.
 */
#include "kms/base/buf.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "kms/base/secret.h"

enum {
	BUF_FIRST = 64 /* bytes of the first block */
};

void buf_done(struct buf *b)
{
	if (b->p != NULL)
		wipe(b->p, b->cap);
	free(b->p);
	*b = (struct buf){ .p = NULL };
}

void buf_clear(struct buf *b)
{
	if (b->p != NULL)
		wipe(b->p, b->n);
	b->n = 0;
}

kms_err buf_reserve(struct buf *b, size_t n)
{
	if (n <= b->cap - b->n)
		return KMS_OK;
	if (n > PTRDIFF_MAX - b->n)
		return KMS_E_NO_MEMORY;

	size_t cap = b->cap > PTRDIFF_MAX / 2 ? PTRDIFF_MAX : b->cap * 2;
	if (cap < BUF_FIRST)
		cap = BUF_FIRST;
	if (cap < b->n + n)
		cap = b->n + n;

	struct buf grown = { .p = malloc(cap), .n = b->n, .cap = cap };
	if (grown.p == NULL)
		return KMS_E_NO_MEMORY;
	if (b->n > 0)
		memcpy(grown.p, b->p, b->n);
	buf_done(b);
	*b = grown;
	return KMS_OK;
}

kms_err buf_put(struct buf *b, struct bytes x)
{
	TRY(buf_reserve(b, x.n));

	if (x.n > 0)
		memcpy(b->p + b->n, x.p, x.n);
	b->n += x.n;
	return KMS_OK;
}

kms_err buf_put_u8(struct buf *b, uint8_t x)
{
	return buf_put(b, bytes_of(&x, sizeof(x)));
}

kms_err buf_put_u16(struct buf *b, uint16_t x)
{
	uint8_t le[sizeof(x)];

	store_u16(le, x);
	return buf_put(b, bytes_of(le, sizeof(le)));
}

kms_err buf_put_u32(struct buf *b, uint32_t x)
{
	uint8_t le[sizeof(x)];

	store_u32(le, x);
	return buf_put(b, bytes_of(le, sizeof(le)));
}

kms_err buf_put_u64(struct buf *b, uint64_t x)
{
	uint8_t le[sizeof(x)];

	store_u64(le, x);
	return buf_put(b, bytes_of(le, sizeof(le)));
}

kms_err buf_put_var(struct buf *b, struct bytes x)
{
	if (x.n > UINT16_MAX)
		return KMS_E_INTERNAL;

	/* Room for both first, so that a failure leaves no length without its bytes. */
	TRY(buf_reserve(b, sizeof(uint16_t) + x.n));
	TRY(buf_put_u16(b, (uint16_t)x.n));
	return buf_put(b, x);
}

void buf_drop(struct buf *b, size_t n)
{
	CHECK(n <= b->n);
	if (n == 0)
		return;

	memmove(b->p, b->p + n, b->n - n);
	wipe(b->p + (b->n - n), n);
	b->n -= n;
}

struct bytes buf_bytes(const struct buf *b)
{
	return bytes_of(b->p, b->n);
}

struct reader reader_of(struct bytes in)
{
	return (struct reader){ .in = in };
}

struct bytes read_bytes(struct reader *r, size_t n)
{
	if (n > r->in.n) {
		r->failed = true;
		r->in = bytes_of(NULL, 0);
	}
	if (r->failed || n == 0)
		return bytes_of(NULL, 0);

	struct bytes x = bytes_of(r->in.p, n);
	r->in = bytes_of(r->in.p + n, r->in.n - n);
	return x;
}

void read_into(struct reader *r, uint8_t *out, size_t n)
{
	struct bytes x = read_bytes(r, n);

	if (n == 0)
		return;
	if (x.n == n)
		memcpy(out, x.p, n);
	else
		memset(out, 0, n);
}

uint8_t read_u8(struct reader *r)
{
	uint8_t x;

	read_into(r, &x, sizeof(x));
	return x;
}

uint16_t read_u16(struct reader *r)
{
	uint8_t le[sizeof(uint16_t)];

	read_into(r, le, sizeof(le));
	return load_u16(le);
}

uint32_t read_u32(struct reader *r)
{
	uint8_t le[sizeof(uint32_t)];

	read_into(r, le, sizeof(le));
	return load_u32(le);
}

uint64_t read_u64(struct reader *r)
{
	uint8_t le[sizeof(uint64_t)];

	read_into(r, le, sizeof(le));
	return load_u64(le);
}

struct bytes read_var(struct reader *r)
{
	uint16_t n = read_u16(r);

	return read_bytes(r, n);
}

bool reader_done(const struct reader *r)
{
	return !r->failed && r->in.n == 0;
}

void store_u16(uint8_t *p, uint16_t x)
{
	uint16_t le = htole16(x);

	memcpy(p, &le, sizeof(le));
}

void store_u32(uint8_t *p, uint32_t x)
{
	uint32_t le = htole32(x);

	memcpy(p, &le, sizeof(le));
}

void store_u64(uint8_t *p, uint64_t x)
{
	uint64_t le = htole64(x);

	memcpy(p, &le, sizeof(le));
}

uint16_t load_u16(const uint8_t *p)
{
	uint16_t le;

	memcpy(&le, p, sizeof(le));
	return le16toh(le);
}

uint32_t load_u32(const uint8_t *p)
{
	uint32_t le;

	memcpy(&le, p, sizeof(le));
	return le32toh(le);
}

uint64_t load_u64(const uint8_t *p)
{
	uint64_t le;

	memcpy(&le, p, sizeof(le));
	return le64toh(le);
}
