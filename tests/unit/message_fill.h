/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of messages: fills a message of protoc-c's with something in every field, by its own
 * description, so that a field that is new in kms.proto is filled too. Free it with
 * protobuf_c_message_free_unpacked.
 */
#pragma once

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "kms/base/base.h"
#include "proto/kms.pb-c.h"
#include "tests/unit/dice.h"

enum {
	FILL_LIST_MAX = 3, /* elements of each list, 1 at least */
	FILL_BYTES_MAX = 20
};

static inline void *fill_room(size_t n)
{
	void *p = calloc(1, n);

	CHECK(p != NULL);
	return p;
}

static inline ProtobufCMessage *fill_new(
    struct dice *d, const ProtobufCMessageDescriptor *what, uint32_t choice);

/* Printable, never empty. */
static inline char *fill_text(struct dice *d)
{
	size_t n = 1 + dice_below(d, FILL_BYTES_MAX);
	char *p = fill_room(n + 1);

	for (size_t i = 0; i < n; i++)
		p[i] = (char)(' ' + dice_below(d, 95));
	return p;
}

static inline ProtobufCBinaryData fill_bytes(struct dice *d)
{
	ProtobufCBinaryData b = { .len = 1 + dice_below(d, FILL_BYTES_MAX) };

	b.data = fill_room(b.len);
	dice_fill(d, b.data, b.len);
	return b;
}

/* Of every width; never 0, which would leave the field out. */
static inline uint64_t fill_number(struct dice *d, unsigned bits)
{
	return dice_roll(d) >> (64 - 1 - dice_below(d, bits)) | 1;
}

static inline void fill_value(struct dice *d, const ProtobufCFieldDescriptor *f, void *to)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_UINT64: *(uint64_t *)to = fill_number(d, 64); break;
	case PROTOBUF_C_TYPE_UINT32: *(uint32_t *)to = (uint32_t)fill_number(d, 32); break;
	case PROTOBUF_C_TYPE_BOOL: *(protobuf_c_boolean *)to = 1; break;
	case PROTOBUF_C_TYPE_STRING: *(char **)to = fill_text(d); break;
	case PROTOBUF_C_TYPE_BYTES: *(ProtobufCBinaryData *)to = fill_bytes(d); break;
	case PROTOBUF_C_TYPE_MESSAGE:
		*(ProtobufCMessage **)to = fill_new(d, f->descriptor, 0);
		break;
	default: CHECK(f->type == PROTOBUF_C_TYPE_UINT32); /* kms.proto uses no other */
	}
}

static inline size_t fill_size(const ProtobufCFieldDescriptor *f)
{
	return f->type == PROTOBUF_C_TYPE_BYTES ? sizeof(ProtobufCBinaryData) : sizeof(void *);
}

static inline void fill_field(
    struct dice *d, const ProtobufCFieldDescriptor *f, ProtobufCMessage *m)
{
	uint8_t *base = (uint8_t *)m;

	if (f->label != PROTOBUF_C_LABEL_REPEATED) {
		fill_value(d, f, base + f->offset);
		return;
	}
	size_t n = 1 + dice_below(d, FILL_LIST_MAX);
	uint8_t *list = fill_room(n * fill_size(f));
	for (size_t i = 0; i < n; i++)
		fill_value(d, f, list + i * fill_size(f));
	memcpy(base + f->quantifier_offset, &n, sizeof(n));
	memcpy(base + f->offset, &list, sizeof(list));
}

/* choice: which member of a oneof is filled, by its number. Fields in it, or outside of any. */
static inline ProtobufCMessage *fill_new(
    struct dice *d, const ProtobufCMessageDescriptor *what, uint32_t choice)
{
	ProtobufCMessage *m = fill_room(what->sizeof_message);

	protobuf_c_message_init(what, m);
	for (unsigned i = 0; i < what->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &what->fields[i];
		bool member = (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;

		if (member && f->id != choice)
			continue;
		fill_field(d, f, m);
		if (member)
			memcpy((uint8_t *)m + f->quantifier_offset, &choice, sizeof(choice));
	}
	return m;
}
