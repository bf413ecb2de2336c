/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What trail_recover makes of a segment after a crash or a change: cut at every byte, every byte
 * flipped, sectors that never arrived. Groups over several segments: trail_roll_test.c. A crash costs no record that was
 * acknowledged; what no crash leaves is refused.
 */
#include "kms/audit/trail.h"

#include "tests/unit/log_story.h"

enum {
	SECTOR = 512,
	ROUNDS = 400
};

/* A log of three groups and where each of them ends. */
struct three {
	struct log_dir dir;
	struct image image; /* of segment 0 */
	size_t ends[3];
	uint64_t sizes[3];
};

static void three_done(struct three *t)
{
	image_done(&t->image);
	log_dir_done(&t->dir);
}

static struct three three_new(const size_t records[static 3], bool sealed)
{
	struct three t = { .dir = log_dir_new() };
	AUTO(story_close)
	struct story s = sealed ? story_open(&t.dir) : story_open_unsealed(&t.dir);
	uint64_t n = 0;

	for (size_t i = 0; i < 3; i++) {
		AUTO(trail_group_free) struct trail_group *g = NULL;
		story_append(&s, records[i]);
		assert_int_equal(trail_take(s.trail, &g), KMS_OK);
		assert_int_equal(segments_write(s.segments, g->writes, g->n), KMS_OK);
		t.ends[i] = g->writes[0].offset + g->writes[0].bytes.n;
		t.sizes[i] = n += records[i];
	}
	t.image = log_read(&t.dir, 0);
	return t;
}

static const size_t small_groups[3] = { 1, 3, 2 };

/* Puts everything back that a round changed. */
static void restore(const struct three *t)
{
	log_patch(&t->dir, 0, 0, bytes_of(t->image.p, t->ends[2] + 4UL * SECTOR));
}

/* Records whose frames end at or before `cut`. */
static uint64_t records_before(const struct three *t, size_t cut)
{
	struct segment_head h;
	struct bytes in = bytes_of(t->image.p, t->image.n), payload;
	size_t pos = 0, used = 0;
	uint64_t n = 0;
	uint8_t type = 1;

	assert_int_equal(segment_head_decode(in, &h, &pos), KMS_OK);
	for (;;) {
		assert_int_equal(
		    segment_frame_find(bytes_of(in.p + pos, in.n - pos), &type, &payload, &used),
		    KMS_OK);
		pos += used;
		if (type == 0 || pos > cut)
			return n;
		n += type == SEGMENT_RECORD;
	}
}

static void cut_at_every_byte(void **state)
{
	(void)state;
	AUTO(three_done) struct three t = three_new(small_groups, false);
	static const uint8_t zeros[SEGMENT_SIZE_MIN];

	for (size_t cut = 0; cut < t.ends[2]; cut++) {
		struct trail_end end;
		uint64_t left = cut < 109 ? 0 : records_before(&t, cut);
		log_patch(&t.dir, 0, cut, bytes_of(zeros, t.ends[2] - cut));
		assert_int_equal(trail_recover(t.dir.fd, &end), KMS_OK);
		assert_int_equal(end.tree.size, left);
		assert_int_equal(end.fresh, cut < 109);
		if (cut % 8 == 0)
			story_goes_on(&t.dir, left);
		restore(&t);
	}
	story_is_whole(&t.dir, t.sizes[2], false);
}

/* With rubbish in place of zeros. */
static void rubbish_behind_a_cut(void **state)
{
	(void)state;
	AUTO(three_done) struct three t = three_new(small_groups, false);
	uint8_t rubbish[3UL * SECTOR];

	for (size_t i = 0; i < sizeof(rubbish); i++)
		rubbish[i] = (uint8_t)(i * 31 + i / 7 + 1);
	for (size_t cut = t.ends[1]; cut < t.ends[2]; cut += 7) {
		struct trail_end end;
		log_patch(&t.dir, 0, cut, bytes_of(rubbish, sizeof(rubbish)));
		assert_int_equal(trail_recover(t.dir.fd, &end), KMS_OK);
		assert_int_equal(end.tree.size, records_before(&t, cut));
		assert_true(end.dropped >= sizeof(rubbish));
		/* It is gone for good. */
		story_is_whole(&t.dir, end.tree.size, false);
		restore(&t);
	}
}

static void every_byte_flipped(void **state)
{
	(void)state;
	AUTO(three_done) struct three t = three_new(small_groups, false);
	size_t last = t.ends[2] - SEGMENT_FRAME_HEAD - SEGMENT_GROUP_LEN;

	for (size_t i = 0; i < t.ends[2] + 3UL * SECTOR; i++) {
		struct trail_end end = { .dropped = 0 };
		uint8_t x = t.image.p[i] ^ (uint8_t)(1 << i % 8);
		log_patch(&t.dir, 0, i, bytes_of(&x, 1));
		kms_err e = trail_recover(t.dir.fd, &end);
		/* The last frame, and what is behind it, may be what a crash left. */
		if (i < last) {
			assert_true(e == KMS_E_AUDIT_CORRUPT || (e == KMS_E_AUDIT_NEWER && i == 4));
		} else {
			assert_int_equal(e, KMS_OK);
			assert_int_equal(end.tree.size, t.sizes[2]);
			assert_true(end.dropped > 0);
		}
		restore(&t);
	}
	story_is_whole(&t.dir, t.sizes[2], false);
}

static void every_bit_of_a_length(void **state)
{
	(void)state;
	AUTO(three_done) struct three t = three_new(small_groups, false);
	struct segment_head h;
	size_t head = 0;

	assert_int_equal(segment_head_decode(bytes_of(t.image.p, t.image.n), &h, &head), KMS_OK);
	const size_t starts[] = { head, t.ends[0], t.ends[1] };
	for (size_t i = 0; i < ARRAY_LEN(starts) * 32; i++) {
		size_t at = starts[i / 32] + i % 32 / 8;
		uint8_t x = t.image.p[at] ^ (uint8_t)(1 << i % 8);
		log_patch(&t.dir, 0, at, bytes_of(&x, 1));
		assert_int_equal(story_recover(&t.dir), KMS_E_AUDIT_CORRUPT);
		restore(&t);
	}
}

static const size_t large_groups[3] = { 20, 30, 200 };

static uint32_t next_random(uint32_t *x)
{
	*x = *x * 1664525 + 1013904223;
	return *x >> 8;
}

/* Some sectors of the write [from, to) hold what was there before: zeros, or the group's before. */
static void lose_sectors(const struct three *t, size_t from, size_t to, uint32_t seed)
{
	static const uint8_t zeros[SECTOR];

	for (size_t at = from, end; at < to; at = end) {
		end = (at / SECTOR + 1) * SECTOR < to ? (at / SECTOR + 1) * SECTOR : to;
		if (next_random(&seed) % 3 == 0)
			log_patch(&t->dir, 0, at, bytes_of(zeros, end - at));
	}
}

static void sectors_of_the_last_group_missing(void **state)
{
	(void)state;
	AUTO(three_done) struct three t = three_new(large_groups, false);

	for (uint32_t seed = 0; seed < ROUNDS; seed++) {
		struct trail_end end;
		lose_sectors(&t, t.ends[1], t.ends[2], seed);
		assert_int_equal(trail_recover(t.dir.fd, &end), KMS_OK);
		assert_in_range(end.tree.size, t.sizes[1], t.sizes[2]);
		if (seed % 20 == 0)
			story_goes_on(&t.dir, end.tree.size);
		restore(&t);
	}
}

static void sectors_of_an_older_group_missing(void **state)
{
	(void)state;
	AUTO(three_done) struct three t = three_new(large_groups, false);
	static const uint8_t zeros[SECTOR];

	for (size_t at = SECTOR; at + SECTOR <= t.ends[1]; at += SECTOR) {
		log_patch(&t.dir, 0, at, bytes_of(zeros, SECTOR));
		assert_int_equal(story_recover(&t.dir), KMS_E_AUDIT_CORRUPT);
		restore(&t);
	}
	/* The first one too, with the head. */
	log_patch(&t.dir, 0, 0, bytes_of(zeros, SECTOR));
	assert_int_equal(story_recover(&t.dir), KMS_E_AUDIT_CORRUPT);
	restore(&t);
	/* A change that leaves no sector empty, in the last group. */
	log_patch(&t.dir, 0, t.ends[1] + 5UL * SECTOR, bytes_of(zeros, SECTOR / 2));
	assert_int_equal(story_recover(&t.dir), KMS_E_AUDIT_CORRUPT);
	restore(&t);
	story_is_whole(&t.dir, t.sizes[2], false);
}

static void a_sealed_log_torn(void **state)
{
	(void)state;
	AUTO(three_done) struct three t = three_new(small_groups, true);
	static const uint8_t zeros[SEGMENT_SIZE_MIN];

	for (size_t cut = t.ends[0]; cut < t.ends[2]; cut += 3) {
		log_patch(&t.dir, 0, cut, bytes_of(zeros, t.ends[2] - cut));
		story_goes_on(&t.dir, records_before(&t, cut));
		restore(&t);
	}
	/* In the middle a change is a change. */
	log_patch(&t.dir, 0, t.ends[0] + 20, bytes_of_str("x"));
	assert_int_equal(story_recover(&t.dir), KMS_E_AUDIT_CORRUPT);
}

/* A frame of the tail that was dropped must not come back behind a new one of the same length. */
static void what_was_dropped_stays_dropped(void **state)
{
	(void)state;
	AUTO(three_done) struct three t = three_new(large_groups, false);
	static const uint8_t zeros[2UL * SECTOR];
	struct trail_end end;

	/* The first two sectors behind the second group never arrived. */
	size_t from = (t.ends[1] / SECTOR + 1) * SECTOR;
	log_patch(&t.dir, 0, from, bytes_of(zeros, sizeof(zeros)));
	assert_int_equal(trail_recover(t.dir.fd, &end), KMS_OK);
	assert_true(end.dropped > 0);
	AUTO(image_done) struct image i = log_read(&t.dir, 0);
	assert_int_equal(image_used(&i), end.offset);
	story_goes_on(&t.dir, end.tree.size);
}

/* Only what was made ahead is left: somebody took the log. */
static void the_log_is_gone(void **state)
{
	(void)state;
	AUTO(three_done) struct three t = three_new(small_groups, false);
	uint8_t root[SHA256_LEN];

	assert_int_equal(segments_prepare(t.dir.fd, 1, LOG_SIZE), KMS_OK);
	log_remove(&t.dir, 0);
	assert_int_equal(story_recover(&t.dir), KMS_E_AUDIT_CORRUPT);
	log_remove(&t.dir, 1);
	assert_int_equal(story_recover(&t.dir), KMS_OK);
	assert_int_equal(trail_root_at(t.dir.fd, 1, root), KMS_E_AUDIT_CORRUPT);
}

static void a_cut_file_is_damage(void **state)
{
	(void)state;
	AUTO(three_done) struct three t = three_new(small_groups, false);

	int fd = openat(t.dir.fd, "00000000.seg", O_WRONLY | O_CLOEXEC);
	assert_int_equal(ftruncate(fd, (off_t)t.ends[2]), 0);
	assert_int_equal(story_recover(&t.dir), KMS_E_AUDIT_CORRUPT);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(story_recover(&t.dir), KMS_E_AUDIT_CORRUPT);
	(void)close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cut_at_every_byte),
		cmocka_unit_test(rubbish_behind_a_cut),
		cmocka_unit_test(every_byte_flipped),
		cmocka_unit_test(every_bit_of_a_length),
		cmocka_unit_test(sectors_of_the_last_group_missing),
		cmocka_unit_test(sectors_of_an_older_group_missing),
		cmocka_unit_test(a_sealed_log_torn),
		cmocka_unit_test(what_was_dropped_stays_dropped),
		cmocka_unit_test(the_log_is_gone),
		cmocka_unit_test(a_cut_file_is_damage),
	};

	return cmocka_run_group_tests(tests, story_set_up, story_tear_down);
}
