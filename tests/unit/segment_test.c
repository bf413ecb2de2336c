/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CRC, heads, frames, and a segment read through a view.
 */
#include "kms/audit/segment.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "kms/audit/record.h"
#include "kms/audit/segment_private.h"
#include "tests/unit/hex.h"
#include "tests/unit/log_dir.h"

/* RFC 3720 appendix B.4, and the check value that catalogues of CRCs give. */
static void crc_of_the_standard(void **state)
{
	(void)state;
	static const uint8_t read_pdu[48] = {
		0x01,
		0xc0, [16] = 0x14, [22] = 0x04, [27] = 0x14, [31] = 0x18, [32] = 0x28, [40] = 0x02
	};
	uint8_t x[32] = { 0 };

	assert_int_equal(crc32c(0, bytes_of(x, 32)), 0x8a9136aa);
	memset(x, 0xff, sizeof(x));
	assert_int_equal(crc32c(0, bytes_of(x, 32)), 0x62a8ab43);
	for (uint8_t i = 0; i < 32; i++)
		x[i] = i;
	assert_int_equal(crc32c(0, bytes_of(x, 32)), 0x46dd794e);
	for (uint8_t i = 0; i < 32; i++)
		x[i] = 31 - i;
	assert_int_equal(crc32c(0, bytes_of(x, 32)), 0x113fdb5c);
	assert_int_equal(crc32c(0, bytes_of(read_pdu, sizeof(read_pdu))), 0xd9963a56);
	assert_int_equal(crc32c(0, bytes_of_str("123456789")), 0xe3069283);
	assert_int_equal(crc32c(0, bytes_of(NULL, 0)), 0);
}

static void both_ways_to_a_crc_agree(void **state)
{
	(void)state;
	uint8_t x[300];

	for (size_t i = 0; i < sizeof(x); i++)
		x[i] = (uint8_t)(i * 7 + i / 3);
	for (size_t at = 0; at < 9; at++) {
		for (size_t n = 0; n + at < sizeof(x); n++) {
			struct bytes part = bytes_of(x + at, n),
			             rest = bytes_of(x + at + n, 9 - at);
			uint32_t crc = crc32c(0, part);
			assert_int_equal(crc, crc32c_portable(0, part));
			if (n + 9 < sizeof(x))
				assert_int_equal(
				    crc32c(crc, rest), crc32c(0, bytes_of(x + at, n + 9 - at)));
		}
	}
}

static struct segment_head head_of(uint64_t size)
{
	struct segment_head h = { .number = 3, .size = LOG_SIZE, .tree = { .size = size } };

	memset(h.instance, 0x77, sizeof(h.instance));
	memset(h.tree.edge, 0x88, tree_edge_len(size) * SHA256_LEN);
	memset(h.mac_before, 0x99, sizeof(h.mac_before));
	memset(h.mac, 0xaa, sizeof(h.mac));
	return h;
}

static void heads_come_back(void **state)
{
	(void)state;
	static const uint64_t sizes[] = { 0, 1, 0xff, 1 << 20, UINT64_MAX };

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		AUTO(buf_done) struct buf b = { 0 };
		const struct segment_head h = head_of(sizes[i]);
		struct segment_head got;
		size_t n = 0;
		assert_int_equal(segment_head_encode(&h, &b), KMS_OK);
		assert_int_equal(b.n, 109 + 32 * tree_edge_len(sizes[i]));
		assert_true(b.n <= SEGMENT_HEAD_MAX);
		/* What comes behind does not matter. */
		assert_int_equal(buf_put(&b, bytes_of_str("behind")), KMS_OK);
		assert_int_equal(segment_head_decode(buf_bytes(&b), &got, &n), KMS_OK);
		assert_int_equal(n, b.n - 6);
		assert_memory_equal(&got, &h, sizeof(h));
	}
}

static void a_damaged_head_is_none(void **state)
{
	(void)state;
	AUTO(buf_done) struct buf b = { 0 };
	const struct segment_head h = head_of(7);
	struct segment_head got;
	size_t n = 0;

	assert_int_equal(segment_head_encode(&h, &b), KMS_OK);
	for (size_t i = 0; i < b.n * 8; i++) {
		b.p[i / 8] ^= (uint8_t)(1 << i % 8);
		kms_err e = segment_head_decode(buf_bytes(&b), &got, &n);
		assert_int_equal(e, i / 8 == 4 && i > 32 ? KMS_E_AUDIT_NEWER : KMS_E_AUDIT_CORRUPT);
		b.p[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	for (size_t cut = 0; cut < b.n; cut++) {
		AUTO(hex_done) struct hex part = hex_room(cut);
		memcpy(part.p, b.p, cut);
		assert_int_equal(
		    segment_head_decode(hex_bytes(part), &got, &n), KMS_E_AUDIT_CORRUPT);
	}
}

static void flags_of_a_newer_version_are_named(void **state)
{
	(void)state;
	AUTO(buf_done) struct buf b = { 0 };
	const struct segment_head h = head_of(7);
	struct segment_head got;
	size_t n = 0;

	assert_int_equal(segment_head_encode(&h, &b), KMS_OK);
	b.p[7] = 1;
	store_u32(b.p + b.n - 4, crc32c(0, bytes_of(b.p, b.n - 4)));
	assert_int_equal(segment_head_decode(buf_bytes(&b), &got, &n), KMS_E_AUDIT_NEWER);
}

/* A frame of n payload bytes in exactly its memory. */
static struct hex frame_of(uint8_t type, size_t n)
{
	struct hex h = hex_room(SEGMENT_FRAME_HEAD + n);

	store_u32(h.p, (uint32_t)n);
	h.p[8] = type;
	store_u32(h.p + 4, crc32c(0, bytes_of(h.p + 8, 1 + n)));
	return h;
}

static kms_err find(struct bytes in, uint8_t *type, size_t *used)
{
	struct bytes payload;

	return segment_frame_find(in, type, &payload, used);
}

static void frames_are_found(void **state)
{
	(void)state;
	static const struct {
		uint8_t type;
		size_t n;
		kms_err want;
	} cases[] = {
		{ SEGMENT_RECORD, 1, KMS_OK },
		{ SEGMENT_RECORD, RECORD_MAX, KMS_OK },
		{ SEGMENT_GROUP, SEGMENT_GROUP_LEN, KMS_OK },
		{ SEGMENT_RECORD, 0, KMS_E_AUDIT_CORRUPT },
		{ SEGMENT_RECORD, RECORD_MAX + 1, KMS_E_AUDIT_CORRUPT },
		{ SEGMENT_GROUP, SEGMENT_GROUP_LEN - 1, KMS_E_AUDIT_CORRUPT },
		{ SEGMENT_GROUP, SEGMENT_GROUP_LEN + 1, KMS_E_AUDIT_CORRUPT },
		{ 0, 5, KMS_E_AUDIT_CORRUPT },
		{ SEGMENT_CHECKPOINT, 5, KMS_OK },
		{ 9, RECORD_MAX + 1, KMS_E_AUDIT_CORRUPT },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO(hex_done) struct hex h = frame_of(cases[i].type, cases[i].n);
		uint8_t type = 0;
		size_t used = 0;
		assert_int_equal(find(hex_bytes(h), &type, &used), cases[i].want);
		if (cases[i].want != KMS_OK)
			continue;
		assert_int_equal(type, cases[i].type);
		assert_int_equal(used, h.n);
	}
}

static void a_damaged_frame_is_none(void **state)
{
	(void)state;
	AUTO(hex_done) struct hex h = frame_of(SEGMENT_RECORD, 40);
	uint8_t type = 0;
	size_t used = 0;

	for (size_t i = 0; i < h.n * 8; i++) {
		h.p[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_int_equal(find(hex_bytes(h), &type, &used), KMS_E_AUDIT_CORRUPT);
		h.p[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	for (size_t n = 1; n < h.n; n++)
		assert_int_equal(find(bytes_of(h.p, n), &type, &used), KMS_E_AUDIT_CORRUPT);
}

static void zeros_are_the_end(void **state)
{
	(void)state;
	AUTO(hex_done) struct hex h = hex_room(20);
	uint8_t type = 7;
	size_t used = 7;

	memset(h.p, 0, h.n);
	for (size_t n = 0; n <= h.n; n++) {
		type = 7;
		used = 7;
		assert_int_equal(find(bytes_of(h.p, n), &type, &used), KMS_OK);
		assert_int_equal(type, 0);
		assert_int_equal(used, 0);
	}
	/* A few bytes at the very end that are not zero. */
	h.p[2] = 1;
	assert_int_equal(find(bytes_of(h.p, 5), &type, &used), KMS_E_AUDIT_CORRUPT);
}

static void put_head(const struct log_dir *d, uint32_t number, const struct segment_head *h)
{
	AUTO(buf_done) struct buf b = { 0 };

	assert_int_equal(segment_head_encode(h, &b), KMS_OK);
	log_patch(d, number, 0, buf_bytes(&b));
}

static void a_view_reads_frames(void **state)
{
	(void)state;
	AUTO(log_dir_done) struct log_dir d = log_dir_new();
	AUTO(segment_view_free) struct segment_view *v = NULL;
	AUTO(hex_done) struct hex one = frame_of(SEGMENT_RECORD, 10);
	AUTO(hex_done) struct hex two = frame_of(SEGMENT_GROUP, SEGMENT_GROUP_LEN);
	const struct segment_head h = head_of(1);
	uint64_t pos = 0;
	uint8_t type = 0;
	struct bytes payload;

	assert_int_equal(segments_prepare(d.fd, 3, LOG_SIZE), KMS_OK);
	assert_int_equal(segment_view_open(d.fd, 3, &v), KMS_E_NOT_FOUND);
	put_head(&d, 3, &h);
	log_patch(&d, 3, 141, hex_bytes(one));
	log_patch(&d, 3, 141 + one.n, hex_bytes(two));
	log_patch(&d, 3, 141 + one.n + two.n + 20, bytes_of_str("rubbish far behind"));

	assert_int_equal(segment_view_open(d.fd, 3, &v), KMS_OK);
	assert_memory_equal(segment_view_head(v), &h, sizeof(h));
	assert_int_equal(segment_view_next(v, &pos, &type, &payload), KMS_OK);
	assert_int_equal(type, SEGMENT_RECORD);
	assert_int_equal(payload.n, 10);
	assert_int_equal(segment_view_next(v, &pos, &type, &payload), KMS_OK);
	assert_int_equal(type, SEGMENT_GROUP);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(segment_view_next(v, &pos, &type, &payload), KMS_OK);
		assert_int_equal(type, 0);
	}
	pos++;
	assert_int_equal(segment_view_next(v, &pos, &type, &payload), KMS_OK);
	pos += 15;
	assert_int_equal(segment_view_next(v, &pos, &type, &payload), KMS_E_AUDIT_CORRUPT);
}

static void a_view_wants_its_own_file(void **state)
{
	(void)state;
	AUTO(log_dir_done) struct log_dir d = log_dir_new();
	struct segment_view *v = NULL;
	struct segment_head h = head_of(1);

	assert_int_equal(segment_view_open(d.fd, 3, &v), KMS_E_NOT_FOUND);
	assert_int_equal(segments_prepare(d.fd, 3, LOG_SIZE), KMS_OK);
	h.number = 4;
	put_head(&d, 3, &h);
	assert_int_equal(segment_view_open(d.fd, 3, &v), KMS_E_AUDIT_CORRUPT);
	h.number = 3;
	h.size = LOG_SIZE + 1;
	put_head(&d, 3, &h);
	assert_int_equal(segment_view_open(d.fd, 3, &v), KMS_E_AUDIT_CORRUPT);
	/* Empty, or nothing but a scrap. */
	AUTO(image_done) struct image scrap = image_of(bytes_of_str("KMSA"));
	log_write(&d, 5, &scrap);
	assert_int_equal(segment_view_open(d.fd, 5, &v), KMS_E_AUDIT_CORRUPT);
	int fd = openat(d.fd, "00000006.seg", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	(void)close(fd);
	assert_int_equal(segment_view_open(d.fd, 6, &v), KMS_E_AUDIT_CORRUPT);
	assert_null(v);
}

static void free_takes_null(void **state)
{
	(void)state;
	struct segments *s = NULL;
	struct segment_view *v = NULL;

	segments_free(&s);
	segment_view_free(&v);
	assert_null(s);
	assert_null(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(crc_of_the_standard),
		cmocka_unit_test(both_ways_to_a_crc_agree),
		cmocka_unit_test(heads_come_back),
		cmocka_unit_test(a_damaged_head_is_none),
		cmocka_unit_test(flags_of_a_newer_version_are_named),
		cmocka_unit_test(frames_are_found),
		cmocka_unit_test(a_damaged_frame_is_none),
		cmocka_unit_test(zeros_are_the_end),
		cmocka_unit_test(a_view_reads_frames),
		cmocka_unit_test(a_view_wants_its_own_file),
		cmocka_unit_test(free_takes_null),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
