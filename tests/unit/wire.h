/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of messages: writes protobuf's wire format by hand, right or wrong. */
#pragma once

#include "kms/base/buf.h"

enum {
	WIRE_TYPES = 8 /* numbers that three bits can hold */
};

static inline void wire_varint(struct buf *b, uint64_t x)
{
	for (; x >= 0x80; x >>= 7)
		CHECK(buf_put_u8(b, (uint8_t)(x | 0x80)) == KMS_OK);
	CHECK(buf_put_u8(b, (uint8_t)x) == KMS_OK);
}

static inline void wire_tag(struct buf *b, uint32_t number, unsigned type)
{
	wire_varint(b, (uint64_t)number << 3 | type);
}

static inline void wire_raw(struct buf *b, const void *p, size_t n)
{
	CHECK(buf_put(b, bytes_of(p, n)) == KMS_OK);
}

static inline void wire_number(struct buf *b, uint32_t number, uint64_t x)
{
	wire_tag(b, number, 0);
	wire_varint(b, x);
}

static inline void wire_bytes(struct buf *b, uint32_t number, struct bytes x)
{
	wire_tag(b, number, 2);
	wire_varint(b, x.n);
	wire_raw(b, x.p, x.n);
}

static inline void wire_text(struct buf *b, uint32_t number, const char *text)
{
	wire_bytes(b, number, bytes_of_str(text));
}

/* A whole field of a type, with something in it: for unknown and for wrong ones. */
static inline void wire_any(struct buf *b, uint32_t number, unsigned type)
{
	static const uint8_t eight[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };

	wire_tag(b, number, type);
	switch (type) {
	case 0: wire_varint(b, UINT64_MAX); break;
	case 1: wire_raw(b, eight, 8); break;
	case 2:
		wire_varint(b, 3);
		wire_raw(b, eight, 3);
		break;
	case 5: wire_raw(b, eight, 4); break;
	default: break;
	}
}

/* The length of the first field of a well-formed message. */
static inline size_t wire_field_len(struct bytes in)
{
	struct reader r = reader_of(in);
	uint64_t x[2] = { 0, 0 };

	for (size_t i = 0; i < 2; i++) {
		unsigned shift = 0;
		for (uint8_t c = 0x80; c >= 0x80 && !r.failed; shift += 7) {
			c = read_u8(&r);
			x[i] |= (uint64_t)(c & 0x7f) << shift;
		}
	}
	if ((x[0] & 7) == 2)
		(void)read_bytes(&r, (size_t)x[1]);
	CHECK(!r.failed && ((x[0] & 7) == 0 || (x[0] & 7) == 2));
	return in.n - r.in.n;
}
