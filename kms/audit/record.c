/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A record's bytes, written. What is zero or empty takes none, but format and sequence number, which
 * always come first. docs/audit.md describes the fields for readers in other languages.
 */
#include "kms/audit/record.h"

#include <string.h>

#include "kms/audit/record_fields.h"
#include "kms/crypto/hash.h"

enum {
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

/* The room was made before: no step can fail. */

static uint8_t *put_varint(uint8_t *p, uint64_t x)
{
	for (; x >= 0x80; x >>= 7)
		*p++ = (uint8_t)(x | 0x80);
	*p++ = (uint8_t)x;
	return p;
}

/* Numbers up to 15 take one byte, all of ours at most two. */
static inline uint8_t *put_head(uint8_t *p, uint32_t number, uint32_t type)
{
	uint32_t head = number << 3 | type;

	if (head >= 0x80) {
		*p++ = (uint8_t)(head | 0x80);
		head >>= 7;
	}
	*p++ = (uint8_t)head;
	return p;
}

static uint8_t *put_number(uint8_t *p, uint32_t number, uint64_t x)
{
	return put_varint(put_head(p, number, WIRE_VARINT), x);
}

static uint8_t *put_bytes(uint8_t *p, uint32_t number, struct bytes x)
{
	p = put_varint(put_head(p, number, WIRE_BYTES), x.n);
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
	static const uint8_t zeros[SHA256_LEN];

	return memcmp(p, zeros, n) == 0;
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

static inline uint8_t *put_fixed(uint8_t *p, uint32_t number, const uint8_t *x, size_t n)
{
	return is_zero(x, n) ? p : put_bytes(p, number, bytes_of(x, n));
}

static inline uint8_t *put_text(uint8_t *p, uint32_t number, struct bytes x)
{
	return x.n == 0 ? p : put_bytes(p, number, x);
}

static inline uint8_t *put_if(uint8_t *p, uint32_t number, uint64_t x)
{
	return x == 0 ? p : put_number(p, number, x);
}

/* One line for each field rather than a walk through the table: 60 ns less of 140. */
static uint8_t *put_record(uint8_t *p, const struct record *r)
{
	p = put_number(p, FIELD_FORMAT, RECORD_VERSION);
	p = put_number(p, FIELD_SEQ, r->seq);
	p = put_if(p, FIELD_TIME, r->time_us);
	p = put_fixed(p, FIELD_BOOT, r->boot, sizeof(r->boot));
	p = put_text(p, FIELD_IDENTITY, r->identity);
	p = put_text(p, FIELD_SOURCE, r->source);
	p = put_text(p, FIELD_ASSERTED, r->asserted);
	p = put_text(p, FIELD_SUBJECT, r->subject);
	p = put_text(p, FIELD_PURPOSE, r->purpose);
	p = put_if(p, FIELD_OP, r->op);
	p = put_fixed(p, FIELD_KEY, r->key.b, sizeof(r->key.b));
	p = put_text(p, FIELD_CLASS, r->key_class);
	p = put_if(p, FIELD_VERSION, r->version);
	p = put_if(p, FIELD_BATCH, r->batch);
	p = put_result(p, FIELD_RESULT, r->result);
	p = put_if(p, FIELD_LATENCY, r->latency_us);
	p = put_fixed(p, FIELD_CONTEXT_DIGEST, r->context_digest, sizeof(r->context_digest));
	p = put_fixed(p, FIELD_TAG, r->tag, sizeof(r->tag));
	p = put_if(p, FIELD_NEW_STATE, r->new_state);
	p = put_if(p, FIELD_EPOCH, r->epoch);
	p = put_fixed(p, FIELD_SET_DIGEST, r->set_digest, sizeof(r->set_digest));
	p = put_if(p, FIELD_COUNTER, r->counter);
	p = put_text(p, FIELD_DETAIL, r->detail);
	for (size_t i = 0; i < r->item_n; i++)
		p = put_item(p, FIELD_ITEMS, &r->items[i]);
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
	size_t n = (size_t)(put_record(start, r) - start);
	if (n > RECORD_MAX)
		return KMS_E_INTERNAL;
	out->n += n;
	return KMS_OK;
}
