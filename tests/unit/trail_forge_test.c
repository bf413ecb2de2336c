/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who changes a log and makes its CRCs right again is seen by numbers, sizes, MACs and the root.
 */
#include "kms/audit/trail.h"

#include "tests/unit/log_story.h"

/* Changes a byte of the nth frame's payload and makes its CRC right again, as a forger would. */
static void forge_frame(const struct log_dir *d, size_t nth, size_t at, uint8_t x)
{
	AUTO(image_done) struct image i = log_read(d, 0);
	struct segment_head h;
	size_t pos = 0, used = 0;
	uint8_t type = 0;
	struct bytes payload;

	assert_int_equal(segment_head_decode(bytes_of(i.p, i.n), &h, &pos), KMS_OK);
	for (; nth > 0; nth--) {
		assert_int_equal(
		    segment_frame_find(bytes_of(i.p + pos, i.n - pos), &type, &payload, &used),
		    KMS_OK);
		pos += used;
	}
	assert_int_equal(
	    segment_frame_find(bytes_of(i.p + pos, i.n - pos), &type, &payload, &used), KMS_OK);
	i.p[pos + SEGMENT_FRAME_HEAD + at] ^= x;
	store_u32(i.p + pos + 4, crc32c(0, bytes_of(i.p + pos + 8, used - 8)));
	log_patch(d, 0, 0, bytes_of(i.p, image_used(&i)));
}

static void a_forged_record_does_not_verify(void **state)
{
	(void)state;
	AUTO(log_dir_done) struct log_dir d = log_dir_new();
	AUTO(story_close) struct story s = story_open(&d);
	uint8_t before[SHA256_LEN], after[SHA256_LEN];

	story_group(&s, 2); /* frames 0, 1: sealed */
	story_unseal(&s);
	story_group(&s, 2); /* 2, 3 and the group 4 */
	story_group(&s, 1); /* 5 and 6 */
	assert_int_equal(trail_root_at(d.fd, 5, before), KMS_OK);
	static const size_t records[] = { 0, 1, 2, 3, 5 };
	for (size_t i = 0; i < ARRAY_LEN(records); i++) {
		forge_frame(&d, records[i], 30, 1);
		assert_int_equal(story_recover(&d), KMS_OK);
		assert_int_equal(story_verify(&d, 0x42), KMS_E_AUDIT_CORRUPT);
		assert_int_equal(trail_root_at(d.fd, 5, after), KMS_OK);
		assert_memory_not_equal(before, after, sizeof(before));
		forge_frame(&d, records[i], 30, 1);
		story_is_whole(&d, 5, false);
	}
}

static void a_forged_number_or_size_is_damage(void **state)
{
	(void)state;
	AUTO(log_dir_done) struct log_dir d = log_dir_new();
	AUTO(story_close) struct story s = story_open_unsealed(&d);
	static const struct {
		size_t frame, at;
	} forged[] = { { 0, 3 }, { 1, 3 }, { 2, 0 }, { 2, 7 }, { 0, 0 }, { 1, 2 } };

	story_group(&s, 2);
	for (size_t i = 0; i < ARRAY_LEN(forged); i++) {
		forge_frame(&d, forged[i].frame, forged[i].at, 4);
		assert_int_equal(story_recover(&d), KMS_E_AUDIT_CORRUPT);
		assert_int_equal(story_verify(&d, 0x42), KMS_E_AUDIT_CORRUPT);
		forge_frame(&d, forged[i].frame, forged[i].at, 4);
	}
	/* A MAC is only seen with the key. */
	forge_frame(&d, 2, 12, 4);
	assert_int_equal(story_recover(&d), KMS_OK);
	assert_int_equal(story_verify(&d, 0x42), KMS_E_AUDIT_CORRUPT);
}

static void put_head(const struct log_dir *d, uint32_t number, const struct segment_head *h)
{
	AUTO(buf_done) struct buf b = { 0 };

	assert_int_equal(segment_head_encode(h, &b), KMS_OK);
	log_patch(d, number, 0, buf_bytes(&b));
}

static void a_forged_head_does_not_verify(void **state)
{
	(void)state;
	AUTO(log_dir_done) struct log_dir d = log_dir_new();
	AUTO(story_close) struct story s = story_open_unsealed(&d);
	AUTO(segment_view_free) struct segment_view *v = NULL;

	story_append_large(&s, 30);
	story_flush(&s);
	assert_int_equal(segment_view_open(d.fd, 1, &v), KMS_OK);
	const struct segment_head good = *segment_view_head(v);
	struct segment_head h = good;
	h.tree.edge[0][0] ^= 1;
	put_head(&d, 1, &h);
	assert_int_equal(story_verify(&d, 0x42), KMS_E_AUDIT_CORRUPT);
	/* Without its MAC, as if it was written while sealed: the group's tells. */
	memset(h.mac, 0, sizeof(h.mac));
	put_head(&d, 1, &h);
	assert_int_equal(story_verify(&d, 0x42), KMS_E_AUDIT_CORRUPT);
	h = good;
	h.mac_before[5] ^= 1;
	put_head(&d, 1, &h);
	assert_int_equal(story_verify(&d, 0x42), KMS_E_AUDIT_CORRUPT);
	h = good;
	h.instance[0] ^= 1;
	put_head(&d, 1, &h);
	assert_int_equal(story_verify(&d, 0x42), KMS_E_AUDIT_CORRUPT);
	put_head(&d, 1, &good);
	story_is_whole(&d, 30, false);
}

static void a_newer_segment_is_named(void **state)
{
	(void)state;
	AUTO(log_dir_done) struct log_dir d = log_dir_new();
	AUTO(story_close) struct story s = story_open_unsealed(&d);
	uint8_t root[SHA256_LEN];

	story_group(&s, 2);
	log_patch(&d, 0, 4, bytes_of_str("\x02"));
	assert_int_equal(story_recover(&d), KMS_E_AUDIT_NEWER);
	assert_int_equal(story_verify(&d, 0x42), KMS_E_AUDIT_NEWER);
	assert_int_equal(trail_root_at(d.fd, 1, root), KMS_E_AUDIT_NEWER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_forged_record_does_not_verify),
		cmocka_unit_test(a_forged_number_or_size_is_damage),
		cmocka_unit_test(a_forged_head_does_not_verify),
		cmocka_unit_test(a_newer_segment_is_named),
	};

	return cmocka_run_group_tests(tests, story_set_up, story_tear_down);
}
