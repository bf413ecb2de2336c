/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes and reads the header of an encrypted file. What it reads comes from a file that anybody
 * may have made: nothing here is authentic before the commitment has been checked.
 */
#include "kms/client/header.h"

#include <string.h>

static const uint8_t magic[4] = { 'K', 'M', 'S', 'F' };

enum {
	FORMAT_AT = 4, /* where they stand in the header */
	FLAGS_AT = 5,
	LENGTH_AT = 6
};

void header_done(struct header *h)
{
	buf_done(&h->raw);
}

static kms_err put_short(struct buf *out, struct bytes x)
{
	TRY(buf_put_u8(out, (uint8_t)x.n));
	return buf_put(out, x);
}

static kms_err put_pair(struct buf *out, const struct kms_pair *pair, bool hide)
{
	struct bytes name = bytes_of(pair->name, strnlen(pair->name, CONTEXT_NAME_MAX + 1));
	struct bytes value = bytes_of(pair->value.p, pair->value.n);

	if (!context_name_valid(name) || value.n > CONTEXT_VALUE_MAX)
		return KMS_E_BAD_CONTEXT;
	TRY(put_short(out, name));
	return buf_put_var(out, hide ? bytes_of(NULL, 0) : value);
}

static kms_err put_context(struct buf *out, const struct kms_context *context, bool hide)
{
	size_t n = context != NULL ? context->n : 0;

	if (n > CONTEXT_MAX_PAIRS)
		return KMS_E_BAD_CONTEXT;
	TRY(buf_put_u8(out, (uint8_t)n));
	for (size_t i = 0; i < n; i++)
		TRY(put_pair(out, &context->pairs[i], hide));
	return KMS_OK;
}

static kms_err put_wrapped(struct buf *out, struct bytes wrapped, size_t room)
{
	static const uint8_t zeros[HEADER_ROOM];

	TRY(buf_put_var(out, wrapped));
	for (size_t left = room - wrapped.n; left > 0;) {
		size_t n = left < sizeof(zeros) ? left : sizeof(zeros);
		TRY(buf_put(out, bytes_of(zeros, n)));
		left -= n;
	}
	return KMS_OK;
}

kms_err header_encode(const struct kms_envelope_key *key, struct buf *out)
{
	AUTO(buf_done) struct buf b = { .p = NULL };
	struct bytes name = bytes_of_str(key->key);
	struct bytes wrapped = bytes_of(key->wrapped.p, key->wrapped.n);
	size_t room = (wrapped.n + HEADER_ROOM - 1) / HEADER_ROOM * HEADER_ROOM;

	if (!name_valid(name))
		return KMS_E_BAD_NAME;
	if (wrapped.n == 0 || wrapped.n > HEADER_WRAPPED_MAX)
		return KMS_E_BAD_REQUEST;

	TRY(buf_put(&b, bytes_of(magic, sizeof(magic))));
	TRY(buf_put_u8(&b, HEADER_FORMAT));
	TRY(buf_put_u8(&b, key->hide_values ? HEADER_HIDDEN : 0));
	TRY(buf_put_u16(&b, 0));
	TRY(put_short(&b, name));
	TRY(put_context(&b, key->context, key->hide_values));
	TRY(buf_put_u16(&b, (uint16_t)room));
	TRY(put_wrapped(&b, wrapped, room));
	store_u16(b.p + LENGTH_AT, (uint16_t)b.n);

	buf_done(out);
	*out = b;
	b = (struct buf){ .p = NULL };
	return KMS_OK;
}

kms_err header_length(struct bytes start, size_t *out)
{
	size_t known = start.n < sizeof(magic) ? start.n : sizeof(magic);

	if (known > 0 && memcmp(start.p, magic, known) != 0)
		return KMS_E_NOT_AN_ENVELOPE;
	if (start.n < HEADER_START)
		return KMS_E_CUT_OFF;
	if (start.p[FORMAT_AT] != HEADER_FORMAT || (start.p[FLAGS_AT] & ~HEADER_HIDDEN) != 0)
		return KMS_E_NEWER_FORMAT;

	size_t n = load_u16(start.p + LENGTH_AT);
	if (n < HEADER_START)
		return KMS_E_INTEGRITY;
	*out = n;
	return KMS_OK;
}

static struct bytes read_short(struct reader *r)
{
	uint8_t n = read_u8(r);

	return read_bytes(r, n);
}

static kms_err read_pairs(struct reader *r, struct header *h)
{
	size_t n = read_u8(r);

	if (n > CONTEXT_MAX_PAIRS)
		return KMS_E_INTEGRITY;
	for (size_t i = 0; i < n; i++) {
		struct bytes name = read_short(r);
		struct bytes value = read_var(r);

		if (!context_name_valid(name) || value.n > CONTEXT_VALUE_MAX)
			return KMS_E_INTEGRITY;
		if (h->info.values_hidden && value.n > 0)
			return KMS_E_INTEGRITY;
		memcpy(h->names[i], name.p, name.n);
		h->pairs[i].name = h->names[i];
		h->pairs[i].value = kms_bytes_of(value.p, value.n);
	}
	h->info.context = (struct kms_context){ .pairs = h->pairs, .n = n };
	return KMS_OK;
}

static kms_err read_wrapped(struct reader *r, struct header *h)
{
	h->room = read_u16(r);
	h->bound = h->raw.n - r->in.n;

	struct bytes wrapped = read_var(r);
	if (wrapped.n == 0 || wrapped.n > h->room)
		return KMS_E_INTEGRITY;
	struct bytes rest = read_bytes(r, h->room - wrapped.n);
	for (size_t i = 0; i < rest.n; i++) {
		if (rest.p[i] != 0)
			return KMS_E_INTEGRITY;
	}
	h->info.wrapped = kms_bytes_of(wrapped.p, wrapped.n);
	return KMS_OK;
}

static kms_err read_header(struct header *h)
{
	struct reader r = reader_of(buf_bytes(&h->raw));
	size_t length;

	TRY(header_length(buf_bytes(&h->raw), &length));
	if (length != h->raw.n)
		return KMS_E_INTEGRITY;
	h->info.values_hidden = (h->raw.p[FLAGS_AT] & HEADER_HIDDEN) != 0;
	(void)read_bytes(&r, HEADER_START);

	struct bytes key = read_short(&r);
	if (!name_valid(key))
		return KMS_E_INTEGRITY;
	memcpy(h->key, key.p, key.n);
	TRY(read_pairs(&r, h));
	TRY(read_wrapped(&r, h));
	return reader_done(&r) ? KMS_OK : KMS_E_INTEGRITY;
}

kms_err header_decode(struct buf *raw, struct header *h)
{
	h->raw = *raw;
	*raw = (struct buf){ .p = NULL };
	TRY(read_header(h));
	h->info.key = h->key;
	h->info.format = HEADER_FORMAT;
	h->info.header_size = h->raw.n;
	return KMS_OK;
}

kms_err header_replace(struct header *h, struct bytes wrapped, size_t *out_at)
{
	AUTO(buf_done) struct buf tail = { .p = NULL };

	if (wrapped.n == 0 || wrapped.n > h->room)
		return KMS_E_BAD_REQUEST;
	TRY(put_wrapped(&tail, wrapped, h->room));

	uint8_t *at = h->raw.p + h->bound;
	memcpy(at, tail.p, tail.n);
	h->info.wrapped = kms_bytes_of(at + sizeof(uint16_t), wrapped.n);
	*out_at = h->bound;
	return KMS_OK;
}
