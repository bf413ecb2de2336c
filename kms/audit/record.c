/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A record's bytes. One table says which field stands where; the writer and the reader walk it.
 * What is zero or empty takes no bytes but the version and the sequence number, which always
 * come first. docs/audit.md describes the same table for readers in other languages.
 */
#include "kms/audit/record.h"

#include <string.h>

enum {
	VARINT_MAX = 10,
	NAME_ROOM = 32,   /* an error's name */
	FIXED_ROOM = 512, /* every field but what texts and items hold */
	ITEM_ROOM = 72
};

/* An item: its own head 4, tag 18, version 6, name 2 and its bytes. */
static_assert(4 + 2 + RECORD_TAG_LEN + 6 + 2 + NAME_ROOM <= ITEM_ROOM, "room for an item");
#define X(name, wire, text, hint)                                                                  \
	static_assert(sizeof(#name) - 1 <= NAME_ROOM, "room for the name of an error");
#include "kms/base/err.def"
#undef X

/* https://protobuf.dev/programming-guides/encoding/ */
enum wire_type {
	WIRE_VARINT = 0,
	WIRE_FIXED64 = 1,
	WIRE_BYTES = 2,
	WIRE_FIXED32 = 5
};

enum kind {
	KIND_ALWAYS, /* a number that is written even if it is 0 */
	KIND_U32,
	KIND_U64,
	KIND_FIXED,  /* so many bytes; zeros: none */
	KIND_TEXT,   /* struct bytes */
	KIND_RESULT, /* an error's name: its number is not the same in every version of kmsd */
	KIND_ITEMS
};

struct field {
	uint8_t kind;
	uint8_t len; /* of KIND_FIXED */
	uint16_t offset;
};

#define FIELD(kind, member)                                                                        \
	{                                                                                          \
		(kind), 0, offsetof(struct record, member)                                         \
	}
#define FIELD_FIXED(member)                                                                        \
	{                                                                                          \
		KIND_FIXED, sizeof(((struct record *)NULL)->member),                               \
		    offsetof(struct record, member)                                                \
	}

static_assert(sizeof(enum op) == sizeof(uint32_t), "an op is read as 32 bits");
static_assert(sizeof(enum key_state) == sizeof(uint32_t), "a state is read as 32 bits");

enum {
	FIELD_VERSION = 1,
	FIELD_SEQ = 2,
	ITEM_TAG = 1,
	ITEM_VERSION = 2,
	ITEM_RESULT = 3
};

/* By number, from FIELD_SEQ on; field 1 is the record's version. Only append. */
static const struct field fields[] = {
	FIELD(KIND_ALWAYS, seq),     /* 2 */
	FIELD(KIND_U64, time_us),    /* 3 */
	FIELD_FIXED(boot),           /* 4 */
	FIELD(KIND_TEXT, identity),  /* 5 */
	FIELD(KIND_TEXT, source),    /* 6 */
	FIELD(KIND_TEXT, asserted),  /* 7 */
	FIELD(KIND_TEXT, subject),   /* 8 */
	FIELD(KIND_TEXT, purpose),   /* 9 */
	FIELD(KIND_U32, op),         /* 10 */
	FIELD_FIXED(key),            /* 11 */
	FIELD(KIND_TEXT, key_class), /* 12 */
	FIELD(KIND_U32, version),    /* 13 */
	FIELD(KIND_U32, batch),      /* 14 */
	FIELD(KIND_RESULT, result),  /* 15 */
	FIELD(KIND_U32, latency_us), /* 16 */
	FIELD_FIXED(context_digest), /* 17 */
	FIELD_FIXED(tag),            /* 18 */
	FIELD(KIND_U32, new_state),  /* 19 */
	FIELD(KIND_U64, epoch),      /* 20 */
	FIELD_FIXED(set_digest),     /* 21 */
	FIELD(KIND_U64, counter),    /* 22 */
	FIELD(KIND_TEXT, detail),    /* 23 */
	FIELD(KIND_ITEMS, items),    /* 24 */
};

/* Writing. The room was made before: no step can fail. */

static uint8_t *put_varint(uint8_t *p, uint64_t x)
{
	for (; x >= 0x80; x >>= 7)
		*p++ = (uint8_t)(x | 0x80);
	*p++ = (uint8_t)x;
	return p;
}

static uint8_t *put_number(uint8_t *p, uint32_t number, uint64_t x)
{
	return put_varint(put_varint(p, number << 3 | WIRE_VARINT), x);
}

static uint8_t *put_bytes(uint8_t *p, uint32_t number, struct bytes x)
{
	p = put_varint(put_varint(p, number << 3 | WIRE_BYTES), x.n);
	if (x.n > 0)
		memcpy(p, x.p, x.n);
	return p + x.n;
}

static uint8_t *put_result(uint8_t *p, uint32_t number, kms_err e)
{
	return e == KMS_OK ? p : put_bytes(p, number, bytes_of_str(err_name(e)));
}

static bool is_zero(const uint8_t *p, size_t n)
{
	uint8_t any = 0;

	for (size_t i = 0; i < n; i++)
		any |= p[i];
	return any == 0;
}

static uint8_t *put_item(uint8_t *p, uint32_t number, const struct record_item *item)
{
	uint8_t body[ITEM_ROOM];
	uint8_t *end = body;

	if (!is_zero(item->tag, sizeof(item->tag)))
		end = put_bytes(end, ITEM_TAG, bytes_of(item->tag, sizeof(item->tag)));
	if (item->version != 0)
		end = put_number(end, ITEM_VERSION, item->version);
	end = put_result(end, ITEM_RESULT, item->result);
	/* An item with nothing to say keeps its place in the batch. */
	return put_bytes(p, number, bytes_of(body, (size_t)(end - body)));
}

static uint64_t load_number(const struct field *f, const struct record *r)
{
	const uint8_t *at = (const uint8_t *)r + f->offset;
	uint64_t wide;
	uint32_t narrow;

	if (f->kind == KIND_U32) {
		memcpy(&narrow, at, sizeof(narrow));
		return narrow;
	}
	memcpy(&wide, at, sizeof(wide));
	return wide;
}

static uint8_t *put_field(
    uint8_t *p, uint32_t number, const struct field *f, const struct record *r)
{
	const uint8_t *at = (const uint8_t *)r + f->offset;
	struct bytes text;
	uint64_t x;

	switch ((enum kind)f->kind) {
	case KIND_ALWAYS:
	case KIND_U32:
	case KIND_U64:
		x = load_number(f, r);
		return x == 0 && f->kind != KIND_ALWAYS ? p : put_number(p, number, x);
	case KIND_FIXED:
		return is_zero(at, f->len) ? p : put_bytes(p, number, bytes_of(at, f->len));
	case KIND_TEXT:
		memcpy(&text, at, sizeof(text));
		return text.n == 0 ? p : put_bytes(p, number, text);
	case KIND_RESULT: return put_result(p, number, r->result);
	case KIND_ITEMS:
		for (size_t i = 0; i < r->item_n; i++)
			p = put_item(p, number, &r->items[i]);
	}
	return p;
}

size_t record_room(const struct record *r)
{
	return FIXED_ROOM + r->identity.n + r->source.n + r->asserted.n + r->subject.n +
	       r->purpose.n + r->key_class.n + r->detail.n + r->item_n * ITEM_ROOM;
}

kms_err record_encode(const struct record *r, struct buf *out)
{
	size_t room = record_room(r);

	if (r->item_n > BATCH_MAX || room > FIXED_ROOM + BATCH_MAX * ITEM_ROOM + RECORD_MAX)
		return KMS_E_INTERNAL;
	TRY(buf_reserve(out, room));

	uint8_t *start = out->p + out->n;
	uint8_t *p = put_number(start, FIELD_VERSION, RECORD_VERSION);
	for (uint32_t i = 0; i < ARRAY_LEN(fields); i++)
		p = put_field(p, FIELD_SEQ + i, &fields[i], r);
	if (p - start > RECORD_MAX)
		return KMS_E_INTERNAL;
	out->n += (size_t)(p - start);
	return KMS_OK;
}

/* Reading: the reader's failure is sticky, so it is asked once for each field. */

static uint64_t read_varint(struct reader *r)
{
	uint64_t x = 0;

	for (int i = 0; i < VARINT_MAX; i++) {
		uint8_t b = read_u8(r);
		/* The tenth byte holds the 64th bit alone. */
		if (i == VARINT_MAX - 1 && b > 1)
			break;
		x |= (uint64_t)(b & 0x7f) << (7 * i);
		if (b < 0x80)
			return x;
	}
	r->failed = true;
	return 0;
}

/* One field as it stands: a number or bytes. */
struct value {
	uint64_t number; /* of the field */
	uint32_t type;
	uint64_t x;
	struct bytes bytes;
};

static kms_err read_value(struct reader *r, struct value *out)
{
	uint64_t head = read_varint(r);
	struct value v = { .number = head >> 3, .type = head & 7 };

	switch (v.type) {
	case WIRE_VARINT: v.x = read_varint(r); break;
	case WIRE_FIXED64: v.x = read_u64(r); break;
	case WIRE_FIXED32: v.x = read_u32(r); break;
	case WIRE_BYTES:
		v.x = read_varint(r);
		v.bytes = read_bytes(r, v.x);
		break;
	default: return KMS_E_AUDIT_CORRUPT;
	}
	if (r->failed || v.number == 0 || v.number > UINT32_MAX >> 3)
		return KMS_E_AUDIT_CORRUPT;
	*out = v;
	return KMS_OK;
}

static kms_err get_result(const struct value *v, kms_err *out)
{
	if (v->type != WIRE_BYTES || v->bytes.n == 0)
		return KMS_E_AUDIT_CORRUPT;
	/* A name of a newer kmsd: it failed, that much is sure. */
	kms_err e = err_from_name((const char *)v->bytes.p, v->bytes.n);
	*out = e == KMS_OK ? KMS_E_INTERNAL : e;
	return KMS_OK;
}

static kms_err get_fixed(const struct value *v, uint8_t *out, size_t n)
{
	if (v->type != WIRE_BYTES || v->bytes.n != n)
		return KMS_E_AUDIT_CORRUPT;
	memcpy(out, v->bytes.p, n);
	return KMS_OK;
}

static kms_err get_u32(const struct value *v, void *out)
{
	if (v->type != WIRE_VARINT || v->x > UINT32_MAX)
		return KMS_E_AUDIT_CORRUPT;
	uint32_t x = (uint32_t)v->x;
	memcpy(out, &x, sizeof(x));
	return KMS_OK;
}

/* True once for each number; a field that stands twice has no one meaning. */
static bool is_first(uint32_t *seen, uint64_t number)
{
	uint32_t bit = 1u << number;
	bool first = (*seen & bit) == 0;

	*seen |= bit;
	return first;
}

static kms_err get_item(struct bytes in, struct record_item *out)
{
	struct reader r = reader_of(in);
	struct record_item item = { .version = 0 };
	uint32_t seen = 0;

	while (!reader_done(&r)) {
		struct value v = { .number = 0 };
		TRY(read_value(&r, &v));
		if (v.number > ITEM_RESULT)
			continue;
		if (!is_first(&seen, v.number))
			return KMS_E_AUDIT_CORRUPT;
		if (v.number == ITEM_TAG)
			TRY(get_fixed(&v, item.tag, sizeof(item.tag)));
		else if (v.number == ITEM_VERSION)
			TRY(get_u32(&v, &item.version));
		else
			TRY(get_result(&v, &item.result));
	}
	*out = item;
	return KMS_OK;
}

static kms_err get_number(const struct field *f, const struct value *v, struct record *out)
{
	uint8_t *at = (uint8_t *)out + f->offset;

	if (f->kind == KIND_U32)
		return get_u32(v, at);
	if (v->type != WIRE_VARINT)
		return KMS_E_AUDIT_CORRUPT;
	memcpy(at, &v->x, sizeof(v->x));
	return KMS_OK;
}

static kms_err get_field(const struct field *f, const struct value *v, struct record *out)
{
	uint8_t *at = (uint8_t *)out + f->offset;

	switch ((enum kind)f->kind) {
	case KIND_ALWAYS:
	case KIND_U32:
	case KIND_U64: return get_number(f, v, out);
	case KIND_FIXED: return get_fixed(v, at, f->len);
	case KIND_TEXT:
		if (v->type != WIRE_BYTES)
			return KMS_E_AUDIT_CORRUPT;
		memcpy(at, &v->bytes, sizeof(v->bytes));
		return KMS_OK;
	case KIND_RESULT: return get_result(v, &out->result);
	case KIND_ITEMS: break;
	}
	return KMS_E_AUDIT_CORRUPT;
}

/* The two fields that every version begins with. */
static kms_err read_start(struct reader *r, uint64_t *out_seq)
{
	struct value version = { .number = 0 }, seq = { .number = 0 };

	TRY(read_value(r, &version));
	TRY(read_value(r, &seq));
	if (version.number != FIELD_VERSION || version.type != WIRE_VARINT || version.x == 0 ||
	    seq.number != FIELD_SEQ || seq.type != WIRE_VARINT)
		return KMS_E_AUDIT_CORRUPT;
	*out_seq = seq.x;
	return KMS_OK;
}

kms_err record_seq(struct bytes in, uint64_t *out)
{
	struct reader r = reader_of(in);

	return read_start(&r, out);
}

static kms_err read_items(
    const struct value *v, struct record_item items[static BATCH_MAX], size_t *n)
{
	if (v->type != WIRE_BYTES || *n == BATCH_MAX)
		return KMS_E_AUDIT_CORRUPT;
	TRY(get_item(v->bytes, &items[*n]));
	(*n)++;
	return KMS_OK;
}

kms_err record_decode(
    struct bytes in, struct record_item items[static BATCH_MAX], struct record *out)
{
	struct reader r = reader_of(in);
	struct record rec = { .items = items };
	uint32_t seen = 1u << FIELD_VERSION | 1u << FIELD_SEQ;

	TRY(read_start(&r, &rec.seq));
	while (!reader_done(&r)) {
		struct value v = { .number = 0 };
		TRY(read_value(&r, &v));
		if (v.number >= FIELD_SEQ + ARRAY_LEN(fields))
			continue;
		const struct field *f = &fields[v.number < FIELD_SEQ ? 0 : v.number - FIELD_SEQ];
		if (f->kind == KIND_ITEMS) {
			TRY(read_items(&v, items, &rec.item_n));
			continue;
		}
		if (!is_first(&seen, v.number))
			return KMS_E_AUDIT_CORRUPT;
		TRY(get_field(f, &v, &rec));
	}
	*out = rec;
	return KMS_OK;
}
