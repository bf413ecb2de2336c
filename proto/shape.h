/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Protocol Buffers by table: a shape says which field of a message stands where in a C struct.
 * One reader and one writer serve every message; nothing is copied when reading, nothing is
 * allocated when writing. message.c holds the tables of kms.proto; nobody else needs this.
 */
#pragma once

#include "kms/base/arena.h"
#include "kms/base/base.h"
#include "kms/base/types.h"

enum field_kind {
	FIELD_U64, /* numbers first: field_type() */
	FIELD_U32,
	FIELD_BOOL,
	FIELD_BYTES,      /* string or bytes: a struct bytes */
	FIELD_MESSAGE,    /* a struct in place; `offset` 0 spreads it over the outer one */
	FIELD_ERROR,      /* a struct answer_error */
	FIELD_LIST,       /* repeated messages: a pointer at `offset`, their number at `count` */
	FIELD_BYTES_LIST, /* repeated bytes, likewise */
};

enum {
	CHOICE_NONE = 255 /* a field that stands only where no member of the oneof does */
};

struct shape;

struct field {
	uint8_t number;
	uint8_t kind;   /* enum field_kind */
	uint8_t choice; /* not 0: a member of the oneof, by the value that says so */
	uint16_t offset, count;
	const struct shape *sub; /* of messages and lists */
	uint16_t limit;          /* of a list; 0: none but the arena's */
	kms_err over;            /* past the limit */
};

/* https://protobuf.dev/programming-guides/encoding/; 3 and 4 are groups, no part of proto3. */
enum wire_type {
	TYPE_VARINT = 0,
	TYPE_FIXED64 = 1,
	TYPE_BYTES = 2,
	TYPE_FIXED32 = 5
};

static inline uint32_t field_type(const struct field *f)
{
	return f->kind <= FIELD_BOOL ? TYPE_VARINT : TYPE_BYTES;
}

struct shape {
	const struct field *fields; /* by their numbers; those of no oneof among the first 64 */
	size_t n;
	size_t size;   /* of the struct, for lists */
	size_t choice; /* where the 32-bit choice of a oneof stands */
};

/*
 * Reads into a zeroed struct that borrows `message`; lists live in the arena. KMS_E_BAD_FRAME
 * at once. KMS_E_NO_MEMORY or a list's `over` leave out that list and read on to the end.
 * Unknown fields are skipped, whatever they hold.
 */
MUST_USE kms_err shape_decode(
    const struct shape *s, struct bytes message, struct arena *a, void *out);
/* Bytes of the message; what is zero or empty takes none. */
size_t shape_size(const struct shape *s, const void *from);
/* Writes exactly shape_size() bytes and returns where they end. */
uint8_t *shape_encode(const struct shape *s, const void *from, uint8_t *out);
