/* SPDX-License-Identifier: Apache-2.0 */
/* A segment's head and its frames as bytes: laid out, and read without trust. Pure. */
#include "kms/audit/segment.h"

#include <string.h>

#include "kms/audit/record.h"
#include "kms/audit/segment_private.h"

enum {
	MAGIC_LEN = 4,
	FLAGS_LEN = 3,
	CRC_LEN = 4,
	FORMAT_AT = MAGIC_LEN
};

static const uint8_t magic[MAGIC_LEN] = { 'K', 'M', 'S', 'A' };

kms_err segment_head_encode(const struct segment_head *h, struct buf *out)
{
	static const uint8_t flags[FLAGS_LEN];
	size_t n = tree_edge_len(h->tree.size), start = out->n;

	/* With the room made no step can fail. */
	TRY(buf_reserve(out, SEGMENT_HEAD_MAX));
	TRY(buf_put(out, bytes_of(magic, sizeof(magic))));
	TRY(buf_put_u8(out, SEGMENT_FORMAT));
	TRY(buf_put(out, bytes_of(flags, sizeof(flags))));
	TRY(buf_put_u32(out, h->number));
	TRY(buf_put_u32(out, h->size));
	TRY(buf_put(out, bytes_of(h->instance, sizeof(h->instance))));
	TRY(buf_put_u64(out, h->tree.size));
	TRY(buf_put(out, bytes_of(h->mac_before, sizeof(h->mac_before))));
	TRY(buf_put_u8(out, (uint8_t)n));
	TRY(buf_put(out, bytes_of(h->tree.edge, n * SHA256_LEN)));
	TRY(buf_put(out, bytes_of(h->mac, sizeof(h->mac))));
	return buf_put_u32(out, crc32c(0, bytes_of(out->p + start, out->n - start)));
}

struct bytes segment_head_signed(struct bytes head)
{
	CHECK(head.n >= SEGMENT_HEAD_MIN);
	return bytes_of(head.p, head.n - SHA256_LEN - CRC_LEN);
}

static kms_err check_start(struct reader *r, uint32_t *out_flags)
{
	struct bytes m = read_bytes(r, sizeof(magic));
	uint8_t format = read_u8(r);
	uint32_t flags = read_u16(r);

	flags |= (uint32_t)read_u8(r) << 16;
	if (r->failed || !bytes_equal(m, bytes_of(magic, sizeof(magic))) || format == 0)
		return KMS_E_AUDIT_CORRUPT;
	*out_flags = flags;
	return format > SEGMENT_FORMAT ? KMS_E_AUDIT_NEWER : KMS_OK;
}

static kms_err read_tree(struct reader *r, struct tree *out)
{
	uint8_t n = read_u8(r);

	if (n != tree_edge_len(out->size))
		return KMS_E_AUDIT_CORRUPT;
	read_into(r, (uint8_t *)out->edge, (size_t)n * SHA256_LEN);
	return KMS_OK;
}

kms_err segment_head_decode(struct bytes in, struct segment_head *out, size_t *out_len)
{
	struct reader r = reader_of(in);
	struct segment_head h = { .number = 0 };
	uint32_t flags = 0;

	TRY(check_start(&r, &flags));
	h.number = read_u32(&r);
	h.size = read_u32(&r);
	read_into(&r, h.instance, sizeof(h.instance));
	h.tree.size = read_u64(&r);
	read_into(&r, h.mac_before, sizeof(h.mac_before));
	TRY(read_tree(&r, &h.tree));
	read_into(&r, h.mac, sizeof(h.mac));

	size_t n = in.n - r.in.n;
	uint32_t crc = read_u32(&r);
	if (r.failed || crc != crc32c(0, bytes_of(in.p, n)))
		return KMS_E_AUDIT_CORRUPT;
	/* Flags that somebody meant, as the CRC says, and we don't know. */
	if (flags != 0)
		return KMS_E_AUDIT_NEWER;
	*out = h;
	*out_len = n + CRC_LEN;
	return KMS_OK;
}

static bool length_fits(uint8_t type, uint32_t n)
{
	switch (type) {
	case SEGMENT_GROUP: return n == SEGMENT_GROUP_LEN;
	case 0: return false;
	}
	/* Of a newer version, perhaps. */
	return n > 0 && n <= RECORD_MAX;
}

kms_err segment_frame_find(
    struct bytes in, uint8_t *out_type, struct bytes *out_payload, size_t *out_used)
{
	static const uint8_t zeros[SEGMENT_FRAME_HEAD];
	size_t head = in.n < sizeof(zeros) ? in.n : sizeof(zeros);

	/* The end of a segment may leave no room for a whole head. */
	if (head == 0 || memcmp(in.p, zeros, head) == 0) {
		*out_type = 0;
		*out_payload = bytes_of(NULL, 0);
		*out_used = 0;
		return KMS_OK;
	}
	if (in.n < SEGMENT_FRAME_HEAD)
		return KMS_E_AUDIT_CORRUPT;

	struct reader r = reader_of(in);
	uint32_t n = read_u32(&r), crc = read_u32(&r);
	struct bytes body = r.in;
	uint8_t type = read_u8(&r);
	if (!length_fits(type, n) || n > r.in.n || crc != crc32c(0, bytes_of(body.p, 1 + n)))
		return KMS_E_AUDIT_CORRUPT;
	*out_type = type;
	*out_payload = bytes_of(body.p + 1, n);
	*out_used = SEGMENT_FRAME_HEAD + n;
	return KMS_OK;
}
