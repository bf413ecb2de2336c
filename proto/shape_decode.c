/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads messages by their tables. It sees a peer's bytes: it refuses what two readers could
 * understand in two ways (a field twice, two members of a oneof, a number too wide for its
 * field, groups) and never goes deeper than the tables do.
 */
#include <string.h>

#include "proto/message.h"
#include "proto/shape.h"

enum {
	VARINT_MAX = 10, /* bytes of 64 bits in groups of 7 */
};

struct decoder {
	struct arena *arena;
	kms_err refused; /* the first list that was left out, and why */
};

struct token {
	uint32_t number;
	uint32_t type;
	uint64_t value;    /* of a varint */
	struct bytes data; /* of bytes */
};

static kms_err read_long_varint(struct bytes *in, uint64_t *out)
{
	uint64_t x = 0;
	size_t most = in->n < VARINT_MAX ? in->n : VARINT_MAX;

	for (size_t i = 0; i < most; i++) {
		uint8_t byte = in->p[i];

		/* The tenth byte holds the last bit of 64. */
		if (i == VARINT_MAX - 1 && byte > 1)
			return KMS_E_BAD_FRAME;
		x |= (uint64_t)(byte & 0x7f) << (7 * i);
		if (byte < 0x80) {
			*in = bytes_of(in->p + i + 1, in->n - i - 1);
			*out = x;
			return KMS_OK;
		}
	}
	return KMS_E_BAD_FRAME;
}

/* Nearly all tags, lengths and numbers are one byte. */
static inline kms_err read_varint(struct bytes *in, uint64_t *out)
{
	if (in->n == 0 || in->p[0] >= 0x80)
		return read_long_varint(in, out);

	*out = in->p[0];
	*in = bytes_of(in->p + 1, in->n - 1);
	return KMS_OK;
}

static inline kms_err read_span(struct bytes *in, uint64_t n, struct bytes *out)
{
	if (n > in->n)
		return KMS_E_BAD_FRAME;

	*out = bytes_of(in->p, (size_t)n);
	*in = bytes_of(in->p + n, in->n - (size_t)n);
	return KMS_OK;
}

/* Groups (types 3 and 4) are no part of proto3 and could nest without end. */
static inline kms_err read_token(struct bytes *in, struct token *out)
{
	uint64_t tag;
	uint64_t n;

	TRY(read_varint(in, &tag));
	if (tag < 8 || tag > UINT32_MAX)
		return KMS_E_BAD_FRAME;
	out->number = (uint32_t)(tag >> 3);
	out->type = (uint32_t)(tag & 7);

	switch (out->type) {
	case TYPE_VARINT: return read_varint(in, &out->value);
	case TYPE_BYTES: TRY(read_varint(in, &n)); return read_span(in, n, &out->data);
	case TYPE_FIXED64: return read_span(in, sizeof(uint64_t), &out->data);
	case TYPE_FIXED32: return read_span(in, sizeof(uint32_t), &out->data);
	default: return KMS_E_BAD_FRAME;
	}
}

/* Fields stand in the order of their numbers, so the number says how far back to begin. */
static inline const struct field *find_field(const struct shape *s, uint32_t number)
{
	size_t i = number < s->n ? number : s->n;

	while (i > 0 && s->fields[i - 1].number > number)
		i--;
	return i > 0 && s->fields[i - 1].number == number ? &s->fields[i - 1] : NULL;
}

static kms_err store_number(const struct field *f, uint64_t value, uint8_t *to)
{
	if (f->kind == FIELD_U64) {
		memcpy(to, &value, sizeof(value));
		return KMS_OK;
	}
	if (f->kind == FIELD_BOOL) {
		bool flag = value != 0;
		memcpy(to, &flag, sizeof(flag));
		return KMS_OK;
	}

	/* Cutting it down, as others do, would make another number of it. */
	if (value > UINT32_MAX)
		return KMS_E_BAD_FRAME;
	uint32_t narrow = (uint32_t)value;
	memcpy(to, &narrow, sizeof(narrow));
	return KMS_OK;
}

static kms_err decode_message(
    struct decoder *d, const struct shape *s, struct bytes in, uint8_t *base);

/* A newer peer may send a name that we don't know; its code still says what kind it is. */
static kms_err decode_error(
    struct decoder *d, const struct shape *s, struct bytes in, struct answer_error *out)
{
	char code[32] = { 0 };

	TRY(decode_message(d, s, in, (uint8_t *)out));
	if (out->code.n < sizeof(code) && out->code.n > 0)
		memcpy(code, out->code.p, out->code.n);

	out->wire = err_wire_from_name(code);
	if (out->wire == WIRE_OK)
		out->wire = WIRE_INTERNAL;
	out->err = err_from_name((const char *)out->name.p, out->name.n);
	if (out->err == KMS_OK)
		out->err = KMS_E_INTERNAL;
	return KMS_OK;
}

static kms_err count_field(struct bytes in, uint32_t number, size_t *out)
{
	size_t n = 0;
	struct token t;

	while (in.n > 0) {
		TRY(read_token(&in, &t));
		n += t.number == number;
	}
	*out = n;
	return KMS_OK;
}

/* Room for this element and all that follow in `rest`, or a refusal to be told at the end. */
static kms_err list_new(struct decoder *d, const struct field *f, struct bytes rest, uint8_t *base)
{
	size_t size = f->kind == FIELD_LIST ? f->sub->size : sizeof(struct bytes);
	size_t more;
	void *list = NULL;

	TRY(count_field(rest, f->number, &more));
	kms_err e = f->limit > 0 && more + 1 > f->limit
	                ? f->over
	                : arena_alloc(d->arena, (more + 1) * size, &list);
	if (e != KMS_OK && d->refused == KMS_OK)
		d->refused = e;
	memcpy(base + f->offset, &list, sizeof(list));
	return KMS_OK;
}

static kms_err list_add(
    struct decoder *d, const struct field *f, struct bytes element, uint8_t *base)
{
	uint8_t *list;
	size_t n;

	memcpy(&list, base + f->offset, sizeof(list));
	if (list == NULL)
		return KMS_OK;
	memcpy(&n, base + f->count, sizeof(n));

	if (f->kind == FIELD_LIST)
		TRY(decode_message(d, f->sub, element, list + n * f->sub->size));
	else
		memcpy(list + n * sizeof(element), &element, sizeof(element));

	n++;
	memcpy(base + f->count, &n, sizeof(n));
	return KMS_OK;
}

static kms_err decode_field(
    struct decoder *d, const struct field *f, const struct token *t, uint8_t *base)
{
	uint8_t *to = base + f->offset;

	switch ((enum field_kind)f->kind) {
	case FIELD_U64:
	case FIELD_U32:
	case FIELD_BOOL: return store_number(f, t->value, to);
	case FIELD_BYTES: memcpy(to, &t->data, sizeof(t->data)); return KMS_OK;
	case FIELD_MESSAGE: return decode_message(d, f->sub, t->data, to);
	case FIELD_ERROR: return decode_error(d, f->sub, t->data, (void *)to);
	case FIELD_LIST:
	case FIELD_BYTES_LIST: return list_add(d, f, t->data, base);
	}
	return KMS_E_INTERNAL;
}

static inline bool is_member(const struct field *f)
{
	return f->choice != 0 && f->choice != CHOICE_NONE;
}

/* Notes a member of the oneof; a second one is refused. */
static kms_err take_choice(const struct shape *s, const struct field *f, uint8_t *base)
{
	uint32_t choice;

	memcpy(&choice, base + s->choice, sizeof(choice));
	if (choice != 0)
		return KMS_E_BAD_FRAME;

	choice = f->choice;
	memcpy(base + s->choice, &choice, sizeof(choice));
	return KMS_OK;
}

static kms_err decode_message(
    struct decoder *d, const struct shape *s, struct bytes in, uint8_t *base)
{
	uint64_t seen = 0;
	struct token t;

	while (in.n > 0) {
		TRY(read_token(&in, &t));
		const struct field *f = find_field(s, t.number);
		if (f == NULL)
			continue;
		if (t.type != field_type(f))
			return KMS_E_BAD_FRAME;

		if (is_member(f)) {
			TRY(take_choice(s, f, base));
		} else {
			uint64_t bit = UINT64_C(1) << (f - s->fields);
			bool list = f->kind == FIELD_LIST || f->kind == FIELD_BYTES_LIST;
			if ((seen & bit) != 0 && !list)
				return KMS_E_BAD_FRAME;
			if ((seen & bit) == 0 && list)
				TRY(list_new(d, f, in, base));
			seen |= bit;
		}
		TRY(decode_field(d, f, &t, base));
	}
	return KMS_OK;
}

kms_err shape_decode(const struct shape *s, struct bytes message, struct arena *a, void *out)
{
	struct decoder d = { .arena = a };

	TRY(decode_message(&d, s, message, out));
	return d.refused;
}
