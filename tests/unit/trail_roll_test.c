/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What trail_recover makes of a group that lies over several segments after a crash or a change:
 * any of them missing, heads half written or changed.
 */
#include "kms/audit/trail.h"

#include "tests/unit/log_story.h"

enum {
	SECTOR = 512
};

/* A group over segments 0, 1 and 2, in its pieces. */
struct rolled {
	struct log_dir dir;
	struct trail_group *group;
	struct story story;
};

static void rolled_done(struct rolled *r)
{
	trail_group_free(&r->group);
	story_close(&r->story);
	log_dir_done(&r->dir);
}

static void rolled_begin(struct rolled *r)
{
	r->dir = log_dir_new();
	r->story = story_open_unsealed(&r->dir);
	story_group(&r->story, 3);
	story_append_large(&r->story, 45);
	assert_int_equal(trail_take(r->story.trail, &r->group), KMS_OK);
	assert_int_equal(r->group->n, 3);
}

static void a_crash_between_segments(void **state)
{
	(void)state;
	for (size_t whole = 0; whole <= 3; whole++) {
		AUTO(rolled_done) struct rolled r = { .group = NULL };
		struct trail_end end;
		rolled_begin(&r);
		if (whole > 0)
			assert_int_equal(
			    segments_write(r.story.segments, r.group->writes, whole), KMS_OK);
		assert_int_equal(segments_prepare(r.dir.fd, (uint32_t)whole, LOG_SIZE), KMS_OK);
		assert_int_equal(trail_recover(r.dir.fd, &end), KMS_OK);
		assert_int_equal(end.segment, whole == 0 ? 0 : whole - 1);
		assert_int_equal(end.dropped, 0);
		assert_int_equal(story_verify(&r.dir, 0x42), KMS_OK);
		story_goes_on(&r.dir, end.tree.size);
	}
}

/* The first write of a new segment cut short, in its head and behind it. */
static void a_new_segment_half_begun(void **state)
{
	(void)state;
	AUTO(rolled_done) struct rolled r = { .group = NULL };
	struct trail_end end;

	rolled_begin(&r);
	assert_int_equal(segments_write(r.story.segments, r.group->writes, 1), KMS_OK);
	assert_int_equal(trail_recover(r.dir.fd, &end), KMS_OK);
	const uint64_t before = end.tree.size;
	const struct segment_write *next = &r.group->writes[1];
	for (size_t cut = 1; cut < 60000; cut += cut < 400 ? 1 : 5000) {
		if (log_has(&r.dir, 1))
			log_remove(&r.dir, 1);
		assert_int_equal(segments_prepare(r.dir.fd, 1, LOG_SIZE), KMS_OK);
		assert_int_equal(segments_prepare(r.dir.fd, 2, LOG_SIZE), KMS_OK);
		log_patch(&r.dir, 1, 0, bytes_of(next->bytes.p, cut));
		assert_int_equal(story_verify(&r.dir, 0x42), KMS_OK);
		assert_int_equal(trail_recover(r.dir.fd, &end), KMS_OK);
		assert_in_range(end.tree.size, before, before + 2);
		assert_true(end.dropped > 0 || end.segment == 1);
	}
	story_goes_on(&r.dir, end.tree.size);
}

/* Its first sector missing, later ones there. */
static void a_head_that_never_arrived(void **state)
{
	(void)state;
	AUTO(rolled_done) struct rolled r = { .group = NULL };
	const struct segment_write *next;

	rolled_begin(&r);
	next = &r.group->writes[1];
	assert_int_equal(segments_write(r.story.segments, r.group->writes, 1), KMS_OK);
	assert_int_equal(segments_prepare(r.dir.fd, 1, LOG_SIZE), KMS_OK);
	log_patch(&r.dir, 1, SECTOR, bytes_of(next->bytes.p + SECTOR, next->bytes.n - SECTOR));
	assert_int_equal(story_recover(&r.dir), KMS_OK);
	AUTO(image_done) struct image i = log_read(&r.dir, 1);
	assert_int_equal(image_used(&i), 0);
}

static void a_head_that_was_changed(void **state)
{
	(void)state;
	AUTO(rolled_done) struct rolled r = { .group = NULL };

	rolled_begin(&r);
	assert_int_equal(segments_write(r.story.segments, r.group->writes, 3), KMS_OK);
	AUTO(image_done) struct image good = log_read(&r.dir, 2);
	for (size_t i = 0; i < 150; i++) {
		uint8_t x = good.p[i] ^ 0x10;
		log_patch(&r.dir, 2, i, bytes_of(&x, 1));
		kms_err e = story_recover(&r.dir);
		assert_true(e == KMS_E_AUDIT_CORRUPT || (e == KMS_E_AUDIT_NEWER && i == 4));
		log_patch(&r.dir, 2, i, bytes_of(&good.p[i], 1));
	}
	assert_int_equal(story_recover(&r.dir), KMS_OK);
}

static void segments_that_no_crash_leaves(void **state)
{
	(void)state;
	AUTO(rolled_done) struct rolled r = { .group = NULL };
	static const uint8_t zeros[SEGMENT_SIZE_MIN];

	rolled_begin(&r);
	assert_int_equal(segments_write(r.story.segments, r.group->writes, 3), KMS_OK);
	AUTO(image_done) struct image last = log_read(&r.dir, 2);
	AUTO(image_done) struct image middle = log_read(&r.dir, 1);

	/* One in place of another. */
	log_write(&r.dir, 2, &middle);
	assert_int_equal(story_recover(&r.dir), KMS_E_AUDIT_CORRUPT);
	/* A torn one behind one that was never begun. */
	log_patch(&r.dir, 2, 0, bytes_of(zeros, sizeof(zeros)));
	log_patch(&r.dir, 2, 0, bytes_of_str("KMSA"));
	log_patch(&r.dir, 1, 0, bytes_of(zeros, sizeof(zeros)));
	assert_int_equal(story_recover(&r.dir), KMS_E_AUDIT_CORRUPT);
	/* Two torn ones. */
	log_patch(&r.dir, 1, 0, bytes_of_str("KMSA"));
	assert_int_equal(story_recover(&r.dir), KMS_E_AUDIT_CORRUPT);
	log_write(&r.dir, 1, &middle);
	log_write(&r.dir, 2, &last);
	assert_int_equal(story_recover(&r.dir), KMS_OK);
	/* A gap. */
	log_remove(&r.dir, 1);
	assert_int_equal(story_recover(&r.dir), KMS_E_AUDIT_CORRUPT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_crash_between_segments),
		cmocka_unit_test(a_new_segment_half_begun),
		cmocka_unit_test(a_head_that_never_arrived),
		cmocka_unit_test(a_head_that_was_changed),
		cmocka_unit_test(segments_that_no_crash_leaves),
	};

	return cmocka_run_group_tests(tests, story_set_up, story_tear_down);
}
