/* SPDX-License-Identifier: Apache-2.0 */
/* The auditor's check: what is right passes, and the first bad record is named. */
#include "kms/audit/check.h"

#include "kms/audit/segment_private.h"
#include "tests/unit/log_story.h"
#include "tests/unit/signer.h"

enum {
	FIRST = 3, /* records in the first group, and in both */
	BOTH = 5
};

/* Two groups, closed; the log's folder is what a test damages. */
static struct log_dir log_of_two(void)
{
	struct log_dir d = log_dir_new();
	AUTO(story_close) struct story s = story_open_unsealed(&d);

	story_group(&s, FIRST);
	story_group(&s, BOTH - FIRST);
	return d;
}

/* Where the nth frame of the first segment begins. */
static size_t place_of(const struct image *i, size_t nth)
{
	struct segment_head h;
	size_t pos = 0, used = 0;
	uint8_t type = 0;
	struct bytes payload;

	assert_int_equal(segment_head_decode(bytes_of(i->p, i->n), &h, &pos), KMS_OK);
	for (; nth > 0; nth--, pos += used)
		assert_int_equal(
		    segment_frame_find(bytes_of(i->p + pos, i->n - pos), &type, &payload, &used),
		    KMS_OK);
	return pos;
}

/* Changes a byte of a frame; with `hide` its CRC is made right again. */
static void forge(const struct log_dir *d, size_t nth, size_t at, bool hide)
{
	AUTO(image_done) struct image i = log_read(d, 0);
	size_t pos = place_of(&i, nth), end = place_of(&i, nth + 1);

	i.p[pos + at] ^= 4;
	if (hide)
		store_u32(i.p + pos + 4, crc32c(0, bytes_of(i.p + pos + 8, end - pos - 8)));
	log_patch(d, 0, pos, bytes_of(i.p + pos, end - pos));
}

/* Puts a frame where the nth one would be. */
static void put_frame(const struct log_dir *d, size_t nth, uint8_t type, struct bytes x)
{
	AUTO(image_done) struct image i = log_read(d, 0);
	uint8_t *p = i.p + place_of(&i, nth);

	store_u32(p, (uint32_t)x.n);
	p[8] = type;
	memcpy(p + SEGMENT_FRAME_HEAD, x.p, x.n);
	store_u32(p + 4, crc32c(0, bytes_of(p + 8, x.n + 1)));
	log_patch(d, 0, 0, bytes_of(i.p, image_used(&i)));
}

/* A checkpoint of the log at `size`, as the nth frame. */
static void sign(const struct log_dir *d, const struct signer *s, uint64_t size, size_t nth)
{
	AUTO(buf_done) struct buf note = { 0 };
	struct checkpoint c = { .size = size };

	checkpoint_origin(story_instance, c.origin);
	assert_int_equal(trail_root_at(d->fd, size, c.root), KMS_OK);
	signer_note(s, &c, &note);
	put_frame(d, nth, SEGMENT_CHECKPOINT, buf_bytes(&note));
}

static struct signer our_signer(uint8_t fill)
{
	char origin[CHECKPOINT_ORIGIN_LEN + 1];

	checkpoint_origin(story_instance, origin);
	return signer_new(origin, fill);
}

static kms_err check_with(const struct log_dir *d, const struct signer *s, struct check_sum *out,
    struct check_fault *fault)
{
	AUTO(check_keys_free) struct check_keys *keys = NULL;

	TRY(check_keys_new(s != NULL ? &s->key : NULL, s != NULL, &keys));
	return check_folder(keys, d->fd, out, fault);
}

static void is_wrong(
    const struct log_dir *d, const struct signer *s, enum check_why why, uint64_t record)
{
	struct check_sum sum;
	struct check_fault fault = { .record = 0 };

	assert_int_equal(check_with(d, s, &sum, &fault), KMS_E_AUDIT_CORRUPT);
	assert_string_equal(check_why_name(fault.why), check_why_name(why));
	assert_int_equal(fault.record, record);
}

static struct check_sum is_right(const struct log_dir *d, const struct signer *s)
{
	struct check_sum sum;
	struct check_fault fault;

	assert_int_equal(check_with(d, s, &sum, &fault), KMS_OK);
	return sum;
}

static void an_unsigned_log(void **state)
{
	(void)state;
	AUTO(log_dir_done) struct log_dir d = log_of_two();
	uint8_t root[SHA256_LEN];

	struct check_sum sum = is_right(&d, NULL);
	assert_int_equal(sum.size, BOTH);
	assert_int_equal(sum.groups, 2);
	assert_int_equal(sum.checkpoints + sum.proven + sum.torn, 0);
	assert_int_equal(trail_root_at(d.fd, BOTH, root), KMS_OK);
	assert_memory_equal(root, sum.root, sizeof(root));
}

static void the_first_bad_record_is_named(void **state)
{
	(void)state;
	AUTO(log_dir_done) struct log_dir d = log_of_two();
	/* Frames: records 0 1 2, a group, records 3 4, a group. */
	static const struct {
		size_t frame, at;
		bool hide;
		enum check_why why;
		uint64_t record;
	} bad[] = {
		{ 0, 30, false, CHECK_FRAME, 0 },
		{ 2, 30, false, CHECK_FRAME, 2 },
		{ 4, 30, false, CHECK_FRAME, 3 },
		{ 3, 20, false, CHECK_FRAME, 3 },
		{ 1, 12, true, CHECK_SEQUENCE, 1 },
		{ 3, 9, true, CHECK_GROUP, 3 },
		{ 1, 9, true, CHECK_RECORD, 1 },
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		AUTO(image_done) struct image whole = log_read(&d, 0);
		forge(&d, bad[i].frame, bad[i].at, bad[i].hide);
		is_wrong(&d, NULL, bad[i].why, bad[i].record);
		log_write(&d, 0, &whole);
	}
	(void)is_right(&d, NULL);
}

static void time_that_goes_back(void **state)
{
	(void)state;
	AUTO(log_dir_done) struct log_dir d = log_dir_new();
	AUTO(story_close) struct story s = story_open_unsealed(&d);
	struct record r = log_record();

	story_append(&s, 1);
	r.time_us--;
	memset(r.boot, 0x12, sizeof(r.boot));
	assert_int_equal(trail_append(s.trail, &r), KMS_OK);
	story_flush(&s);
	(void)is_right(&d, NULL);
	r.time_us--;
	assert_int_equal(trail_append(s.trail, &r), KMS_OK);
	story_flush(&s);
	is_wrong(&d, NULL, CHECK_TIME, 2);
}

static void a_signed_log(void **state)
{
	(void)state;
	AUTO(log_dir_done) struct log_dir d = log_of_two();
	AUTO(signer_done) struct signer ours = our_signer(1), other = our_signer(2);

	sign(&d, &ours, FIRST, 7);
	sign(&d, &ours, BOTH, 8);
	struct check_sum sum = is_right(&d, &ours);
	assert_int_equal(sum.checkpoints, 2);
	assert_int_equal(sum.proven, BOTH);
	assert_int_equal(is_right(&d, NULL).proven, 0);
	is_wrong(&d, &other, CHECK_SIGNATURE, BOTH);
	/* A record that was forged with its CRC: somewhere before the checkpoint that it breaks. */
	forge(&d, 4, 90, true);
	is_wrong(&d, &ours, CHECK_ROOT, FIRST);
	is_wrong(&d, NULL, CHECK_ROOT, FIRST);
}

static void checkpoints_that_cannot_be(void **state)
{
	(void)state;
	AUTO(log_dir_done) struct log_dir d = log_of_two();
	AUTO(signer_done) struct signer ours = our_signer(1);

	sign(&d, &ours, BOTH, 7);
	sign(&d, &ours, FIRST, 8);
	is_wrong(&d, &ours, CHECK_CHECKPOINT, BOTH);
	put_frame(&d, 8, SEGMENT_CHECKPOINT, bytes_of_str("no note"));
	is_wrong(&d, &ours, CHECK_CHECKPOINT, BOTH);
	sign(&d, &ours, 2, 8); /* where no group ended */
	is_wrong(&d, &ours, CHECK_CHECKPOINT, BOTH);
}

static void a_group_of_nothing(void **state)
{
	(void)state;
	AUTO(log_dir_done) struct log_dir d = log_of_two();
	uint8_t group[SEGMENT_GROUP_LEN] = { BOTH };

	put_frame(&d, 7, SEGMENT_GROUP, bytes_of(group, sizeof(group)));
	is_wrong(&d, NULL, CHECK_GROUP, BOTH);
}

static void frames_of_a_newer_version(void **state)
{
	(void)state;
	AUTO(log_dir_done) struct log_dir d = log_of_two();

	put_frame(&d, 7, 9, bytes_of_str("of tomorrow"));
	assert_int_equal(is_right(&d, NULL).size, BOTH);
	story_goes_on(&d, BOTH);
	assert_int_equal(is_right(&d, NULL).size, BOTH + 2);
}

static void swap(const struct log_dir *d, uint32_t a, uint32_t b)
{
	AUTO(image_done) struct image first = log_read(d, a), second = log_read(d, b);

	log_write(d, a, &second);
	log_write(d, b, &first);
}

static void segments_that_are_not_there(void **state)
{
	(void)state;
	AUTO(log_dir_done) struct log_dir d = log_dir_new();
	AUTO(story_close) struct story s = story_open_unsealed(&d);

	for (size_t i = 0; !log_has(&d, 2); i++) {
		story_append_large(&s, 1);
		story_flush(&s);
	}
	assert_int_equal(is_right(&d, NULL).segments, 3);
	AUTO(image_done) struct image second = log_read(&d, 1);
	struct segment_head h;
	size_t n = 0;
	assert_int_equal(segment_head_decode(bytes_of(second.p, second.n), &h, &n), KMS_OK);
	swap(&d, 0, 1);
	is_wrong(&d, NULL, CHECK_HEAD, 0);
	swap(&d, 0, 1);
	/* What is wanting at the front was pruned; in the middle it is a gap. */
	log_remove(&d, 1);
	is_wrong(&d, NULL, CHECK_MISSING, 0);
	log_write(&d, 1, &second);
	log_remove(&d, 0);
	assert_int_equal(is_right(&d, NULL).first, h.tree.size);
}

static void heads_of_another_story(void **state)
{
	(void)state;
	AUTO(log_dir_done) struct log_dir d = log_dir_new();
	AUTO(story_close) struct story s = story_open_unsealed(&d);
	/* In the MAC of the group before; in the tree's edge. */
	static const size_t places[] = { 40, 73 };
	struct segment_head h;
	size_t n = 0;

	while (!log_has(&d, 2)) {
		story_append_large(&s, 1);
		story_flush(&s);
	}
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		AUTO(image_done) struct image whole = log_read(&d, 1), other = log_read(&d, 1);
		assert_int_equal(segment_head_decode(bytes_of(other.p, other.n), &h, &n), KMS_OK);
		other.p[places[i]] ^= 1;
		store_u32(other.p + n - 4, crc32c(0, bytes_of(other.p, n - 4)));
		log_write(&d, 1, &other);
		is_wrong(&d, NULL, CHECK_CHAIN, 0);
		log_write(&d, 1, &whole);
	}
	(void)is_right(&d, NULL);
}

static void a_cut_segment(void **state)
{
	(void)state;
	AUTO(log_dir_done) struct log_dir d = log_of_two();
	char path[LOG_PATH_MAX + 20];

	(void)snprintf(path, sizeof(path), "%s/00000000.seg", d.path);
	assert_int_equal(truncate(path, LOG_SIZE / 2), 0);
	is_wrong(&d, NULL, CHECK_HEAD, 0);
}

static void a_torn_end_is_no_change(void **state)
{
	(void)state;
	AUTO(log_dir_done) struct log_dir d = log_of_two();
	AUTO(image_done) struct image i = log_read(&d, 0);
	size_t pos = place_of(&i, 7);

	log_patch(&d, 0, pos, bytes_of_str("half a frame"));
	struct check_sum sum = is_right(&d, NULL);
	assert_int_equal(sum.size, BOTH);
	assert_true(sum.torn > 0);
}

static void too_many_keys(void **state)
{
	(void)state;
	static struct note_key many[CHECK_KEYS_MAX + 1];
	struct check_keys *keys = NULL;

	assert_int_equal(check_keys_new(many, ARRAY_LEN(many), &keys), KMS_E_TOO_MANY);
	assert_int_equal(check_keys_new(many, 1, &keys), KMS_E_BAD_REQUEST);
	assert_null(keys);
	assert_string_equal(check_why_name(CHECK_WHY_COUNT), "unknown");
	for (int w = 0; w < CHECK_WHY_COUNT; w++)
		assert_true(strlen(check_why_text((enum check_why)w)) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_unsigned_log),
		cmocka_unit_test(the_first_bad_record_is_named),
		cmocka_unit_test(time_that_goes_back),
		cmocka_unit_test(a_signed_log),
		cmocka_unit_test(checkpoints_that_cannot_be),
		cmocka_unit_test(a_group_of_nothing),
		cmocka_unit_test(frames_of_a_newer_version),
		cmocka_unit_test(segments_that_are_not_there),
		cmocka_unit_test(heads_of_another_story),
		cmocka_unit_test(a_cut_segment),
		cmocka_unit_test(a_torn_end_is_no_change),
		cmocka_unit_test(too_many_keys),
	};

	return cmocka_run_group_tests(tests, story_set_up, story_tear_down);
}
