/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes messages by their tables: sizes first, then the bytes in one go, so that nothing is
 * allocated and a message that does not fit has touched nothing.
 */
#include <string.h>

#include "proto/message.h"
#include "proto/shape.h"

static inline size_t varint_size(uint64_t x)
{
	size_t n = 1;

	for (; x >= 0x80; x >>= 7)
		n++;
	return n;
}

static inline uint8_t *put_varint(uint64_t x, uint8_t *out)
{
	for (; x >= 0x80; x >>= 7)
		*out++ = (uint8_t)(x | 0x80);
	*out++ = (uint8_t)x;
	return out;
}

static size_t tag_size(const struct field *f)
{
	return f->number < 16 ? 1 : 2;
}

static uint8_t *put_tag(const struct field *f, uint8_t *out)
{
	return put_varint((uint64_t)f->number << 3 | field_type(f), out);
}

static size_t span_size(const struct field *f, size_t n)
{
	return tag_size(f) + varint_size(n) + n;
}

static uint8_t *put_bytes(const struct field *f, struct bytes x, uint8_t *out)
{
	out = put_varint(x.n, put_tag(f, out));
	if (x.n > 0)
		memcpy(out, x.p, x.n);
	return out + x.n;
}

/*
 * The length stands before what it measures: room is left for one byte, which is mostly right, and a
 * longer message is moved. Asking for its size would walk each level once more for every one above.
 */
static uint8_t *put_message(const struct field *f, const void *from, uint8_t *out)
{
	uint8_t *length = put_tag(f, out);
	uint8_t *body = length + 1;
	size_t n = (size_t)(shape_encode(f->sub, from, body) - body);
	size_t more = varint_size(n) - 1;

	if (more > 0)
		memmove(body + more, body, n);
	(void)put_varint(n, length);
	return body + more + n;
}

static uint64_t load_number(const struct field *f, const uint8_t *from)
{
	uint64_t wide;
	uint32_t narrow;
	bool flag;

	if (f->kind == FIELD_U64) {
		memcpy(&wide, from, sizeof(wide));
		return wide;
	}
	if (f->kind == FIELD_BOOL) {
		memcpy(&flag, from, sizeof(flag));
		return flag;
	}
	memcpy(&narrow, from, sizeof(narrow));
	return narrow;
}

/* The error as it is told to people; what is not there is told as internal. */
static struct answer_error error_view(const uint8_t *from)
{
	struct answer_error view;

	memcpy(&view, from, sizeof(view));
	if (view.err == KMS_OK)
		view.err = KMS_E_INTERNAL;
	view.code = bytes_of_str(err_wire_name(err_wire(view.err)));
	view.name = bytes_of_str(err_name(view.err));
	view.text = bytes_of_str(err_text(view.err));
	view.hint = bytes_of_str(err_hint(view.err));
	return view;
}

/* Of their own, because the views would cost every other field its stack. */
static size_t error_size(const struct field *f, const uint8_t *from)
{
	struct answer_error error = error_view(from);

	return span_size(f, shape_size(f->sub, &error));
}

static uint8_t *put_error(const struct field *f, const uint8_t *from, uint8_t *out)
{
	struct answer_error error = error_view(from);

	return put_message(f, &error, out);
}

/* Whether a field stands in the message; numbers, bytes and messages may still be empty. */
static inline bool is_present(const struct field *f, uint32_t choice, const uint8_t *base)
{
	kms_err e;

	if (f->choice != 0)
		return f->choice == CHOICE_NONE ? choice == 0 : choice == f->choice;
	if (f->kind == FIELD_ERROR) {
		memcpy(&e, base + f->offset + offsetof(struct answer_error, err), sizeof(e));
		return e != KMS_OK;
	}
	return true;
}

/* Where a shape has no oneof this is some other number, and no field asks for it. */
static inline uint32_t load_choice(const struct shape *s, const uint8_t *base)
{
	uint32_t choice;

	memcpy(&choice, base + s->choice, sizeof(choice));
	return choice;
}

static const uint8_t *load_list(const struct field *f, const uint8_t *base, size_t *out_n)
{
	const uint8_t *list;

	memcpy(&list, base + f->offset, sizeof(list));
	memcpy(out_n, base + f->count, sizeof(*out_n));
	return list;
}

static size_t list_size(const struct field *f, const uint8_t *base)
{
	size_t n;
	const uint8_t *list = load_list(f, base, &n);
	const struct bytes *spans = (const void *)list;
	size_t sum = 0;

	for (size_t i = 0; i < n; i++) {
		size_t one = f->kind == FIELD_LIST ? shape_size(f->sub, list + i * f->sub->size)
		                                   : spans[i].n;
		sum += span_size(f, one);
	}
	return sum;
}

static uint8_t *put_list(const struct field *f, const uint8_t *base, uint8_t *out)
{
	size_t n;
	const uint8_t *list = load_list(f, base, &n);
	const struct bytes *spans = (const void *)list;

	for (size_t i = 0; i < n; i++) {
		out = f->kind == FIELD_LIST ? put_message(f, list + i * f->sub->size, out)
		                            : put_bytes(f, spans[i], out);
	}
	return out;
}

static size_t field_size(const struct field *f, const uint8_t *base)
{
	struct bytes x;
	uint64_t number;
	size_t n;

	switch ((enum field_kind)f->kind) {
	case FIELD_U64:
	case FIELD_U32:
	case FIELD_BOOL:
		number = load_number(f, base + f->offset);
		return number == 0 ? 0 : tag_size(f) + varint_size(number);
	case FIELD_BYTES:
		memcpy(&x, base + f->offset, sizeof(x));
		return x.n == 0 ? 0 : span_size(f, x.n);
	case FIELD_MESSAGE:
		n = shape_size(f->sub, base + f->offset);
		return n == 0 && f->choice == 0 ? 0 : span_size(f, n);
	case FIELD_ERROR: return error_size(f, base + f->offset);
	case FIELD_LIST:
	case FIELD_BYTES_LIST: return list_size(f, base);
	}
	return 0;
}

static uint8_t *put_field(const struct field *f, const uint8_t *base, uint8_t *out)
{
	struct bytes x;
	uint64_t number;

	switch ((enum field_kind)f->kind) {
	case FIELD_U64:
	case FIELD_U32:
	case FIELD_BOOL:
		number = load_number(f, base + f->offset);
		return number == 0 ? out : put_varint(number, put_tag(f, out));
	case FIELD_BYTES:
		memcpy(&x, base + f->offset, sizeof(x));
		return x.n == 0 ? out : put_bytes(f, x, out);
	case FIELD_MESSAGE:
		if (f->choice == 0 && shape_size(f->sub, base + f->offset) == 0)
			return out;
		return put_message(f, base + f->offset, out);
	case FIELD_ERROR: return put_error(f, base + f->offset, out);
	case FIELD_LIST:
	case FIELD_BYTES_LIST: return put_list(f, base, out);
	}
	return out;
}

size_t shape_size(const struct shape *s, const void *from)
{
	uint32_t choice = s->n > 0 ? load_choice(s, from) : 0;
	size_t sum = 0;

	for (size_t i = 0; i < s->n; i++) {
		if (is_present(&s->fields[i], choice, from))
			sum += field_size(&s->fields[i], from);
	}
	return sum;
}

uint8_t *shape_encode(const struct shape *s, const void *from, uint8_t *out)
{
	uint32_t choice = s->n > 0 ? load_choice(s, from) : 0;

	for (size_t i = 0; i < s->n; i++) {
		if (is_present(&s->fields[i], choice, from))
			out = put_field(&s->fields[i], from, out);
	}
	return out;
}
