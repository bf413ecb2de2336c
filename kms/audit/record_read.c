/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A record read back, without trust: from the log, from a peer's answer. A field that stands
 * twice or has another type than ours makes it no record; one that we don't know is skipped.
 */
#include "kms/audit/record.h"

#include <string.h>

#include "kms/audit/record_fields.h"

enum {
	VARINT_MAX = 10
};

enum kind {
	KIND_NONE,
	KIND_U32,
	KIND_U64,
	KIND_FIXED, /* so many bytes; zeros: none */
	KIND_TEXT,  /* struct bytes */
	KIND_RESULT /* an error's name: its number is not the same in every version of kmsd */
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

/* Where the reader puts what comes behind format and sequence number. */
static const struct field fields[FIELD_ITEMS] = {
	[FIELD_TIME] = FIELD(KIND_U64, time_us),
	[FIELD_BOOT] = FIELD_FIXED(boot),
	[FIELD_IDENTITY] = FIELD(KIND_TEXT, identity),
	[FIELD_SOURCE] = FIELD(KIND_TEXT, source),
	[FIELD_ASSERTED] = FIELD(KIND_TEXT, asserted),
	[FIELD_SUBJECT] = FIELD(KIND_TEXT, subject),
	[FIELD_PURPOSE] = FIELD(KIND_TEXT, purpose),
	[FIELD_OP] = FIELD(KIND_U32, op),
	[FIELD_KEY] = FIELD_FIXED(key),
	[FIELD_CLASS] = FIELD(KIND_TEXT, key_class),
	[FIELD_VERSION] = FIELD(KIND_U32, version),
	[FIELD_BATCH] = FIELD(KIND_U32, batch),
	[FIELD_RESULT] = FIELD(KIND_RESULT, result),
	[FIELD_LATENCY] = FIELD(KIND_U32, latency_us),
	[FIELD_CONTEXT_DIGEST] = FIELD_FIXED(context_digest),
	[FIELD_TAG] = FIELD_FIXED(tag),
	[FIELD_NEW_STATE] = FIELD(KIND_U32, new_state),
	[FIELD_EPOCH] = FIELD(KIND_U64, epoch),
	[FIELD_SET_DIGEST] = FIELD_FIXED(set_digest),
	[FIELD_COUNTER] = FIELD(KIND_U64, counter),
	[FIELD_DETAIL] = FIELD(KIND_TEXT, detail),
};

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
	case KIND_U32:
	case KIND_U64: return get_number(f, v, out);
	case KIND_FIXED: return get_fixed(v, at, f->len);
	case KIND_TEXT:
		if (v->type != WIRE_BYTES)
			return KMS_E_AUDIT_CORRUPT;
		memcpy(at, &v->bytes, sizeof(v->bytes));
		return KMS_OK;
	case KIND_RESULT: return get_result(v, &out->result);
	case KIND_NONE: break;
	}
	return KMS_E_AUDIT_CORRUPT;
}

/* The two fields that every version begins with. */
static kms_err read_start(struct reader *r, uint64_t *out_seq)
{
	struct value version = { .number = 0 }, seq = { .number = 0 };

	TRY(read_value(r, &version));
	TRY(read_value(r, &seq));
	if (version.number != FIELD_FORMAT || version.type != WIRE_VARINT || version.x == 0 ||
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
	uint32_t seen = 1u << FIELD_FORMAT | 1u << FIELD_SEQ;

	TRY(read_start(&r, &rec.seq));
	while (!reader_done(&r)) {
		struct value v = { .number = 0 };
		TRY(read_value(&r, &v));
		if (v.number == FIELD_ITEMS)
			TRY(read_items(&v, items, &rec.item_n));
		if (v.number >= FIELD_ITEMS)
			continue;
		if (!is_first(&seen, v.number))
			return KMS_E_AUDIT_CORRUPT;
		TRY(get_field(&fields[v.number], &v, &rec));
	}
	*out = rec;
	return KMS_OK;
}
