/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log grown, closed in groups, rolled into the next segment, sealed and unsealed. Crashes are
 * in trail_crash_test.c, forgers in trail_forge_test.c.
 */
#include "kms/audit/trail.h"

#include <pthread.h>
#include <stdatomic.h>

#include "tests/unit/log_story.h"

enum {
	GROUPS_WHILE_VERIFIED = 300
};

static void an_empty_folder_is_a_fresh_log(void **state)
{
	(void)state;
	AUTO(log_dir_done) struct log_dir d = log_dir_new();
	struct trail_end end;
	uint8_t root[SHA256_LEN], empty[SHA256_LEN];

	assert_int_equal(trail_recover(d.fd, &end), KMS_OK);
	assert_true(end.fresh && end.tree.size == 0 && end.segment == 0 && end.dropped == 0);
	assert_int_equal(story_verify(&d, 0x42), KMS_OK);
	assert_int_equal(trail_root_at(d.fd, 0, root), KMS_OK);
	assert_int_equal(hash_sha256(NULL, 0, empty), KMS_OK);
	assert_memory_equal(root, empty, sizeof(root));
	assert_int_equal(trail_root_at(d.fd, 1, root), KMS_E_AUDIT_CORRUPT);
	trail_end_done(&end);
}

static void records_are_numbered_and_kept(void **state)
{
	(void)state;
	AUTO(log_dir_done) struct log_dir d = log_dir_new();
	AUTO(story_close) struct story s = story_open_unsealed(&d);
	AUTO(trail_group_free) struct trail_group *g = NULL;
	struct record r = log_record();

	assert_int_equal(trail_take(s.trail, &g), KMS_E_NOT_FOUND);
	for (uint64_t i = 0; i < 3; i++) {
		assert_int_equal(trail_append(s.trail, &r), KMS_OK);
		assert_int_equal(r.seq, i);
		assert_int_equal(trail_pending(s.trail), i + 1);
	}
	assert_int_equal(trail_take(s.trail, &g), KMS_OK);
	assert_true(g->first == 0 && g->count == 3 && g->segment == 0 && g->n == 1);
	assert_int_equal(g->writes[0].offset, 0);
	assert_int_equal(trail_pending(s.trail), 0);
	assert_int_equal(segments_write(s.segments, g->writes, g->n), KMS_OK);
	trail_group_free(&g);
	assert_int_equal(trail_take(s.trail, &g), KMS_E_NOT_FOUND);
	story_is_whole(&d, 3, false);
}

static void the_root_at_every_size(void **state)
{
	(void)state;
	AUTO(log_dir_done) struct log_dir d = log_dir_new();
	uint8_t roots[40][SHA256_LEN], got[SHA256_LEN];
	uint64_t n = 0;

	/* A new start after every few records. */
	for (size_t run = 0; run < 8; run++) {
		AUTO(story_close) struct story s = story_open_unsealed(&d);
		for (size_t i = 0; i < 5; i++) {
			story_group(&s, 1);
			assert_int_equal(trail_root(s.trail, &n, got), KMS_OK);
			assert_int_equal(n, run * 5 + i + 1);
			memcpy(roots[n - 1], got, sizeof(got));
		}
	}
	for (n = 1; n <= 40; n++) {
		assert_int_equal(trail_root_at(d.fd, n, got), KMS_OK);
		assert_memory_equal(got, roots[n - 1], sizeof(got));
	}
	story_is_whole(&d, 40, false);
}

static void sealed_records_wait_for_the_first_group(void **state)
{
	(void)state;
	AUTO(log_dir_done) struct log_dir d = log_dir_new();
	AUTO(story_close) struct story s = story_open(&d);

	story_group(&s, 2);
	story_group(&s, 3);
	/* Nothing to check yet, whatever the key. */
	assert_int_equal(story_verify(&d, 0x41), KMS_OK);
	story_append(&s, 1);
	story_unseal(&s);
	story_group(&s, 1);
	story_is_whole(&d, 7, false);
	assert_int_equal(story_verify(&d, 0x41), KMS_E_AUDIT_CORRUPT);

	/* Sealed again: what was appended under the key is closed with it. */
	story_append(&s, 2);
	assert_int_equal(trail_set_key(s.trail, NULL), KMS_OK);
	story_append(&s, 1);
	story_flush(&s);
	assert_int_equal(trail_set_key(s.trail, NULL), KMS_OK);
	assert_int_equal(trail_set_key(s.trail, s.key), KMS_OK);
	assert_int_equal(trail_set_key(s.trail, NULL), KMS_OK);
	story_group(&s, 1);
	story_is_whole(&d, 11, false);
}

/* Frames of a type in a segment. */
static size_t count_frames(const struct log_dir *d, uint32_t number, uint8_t wanted)
{
	AUTO(segment_view_free) struct segment_view *v = NULL;
	uint64_t pos = 0;
	size_t n = 0;

	assert_int_equal(segment_view_open(d->fd, number, &v), KMS_OK);
	for (uint8_t type = 1; type != 0;) {
		struct bytes payload;
		assert_int_equal(segment_view_next(v, &pos, &type, &payload), KMS_OK);
		n += type == wanted;
	}
	return n;
}

static void a_key_change_closes_what_went_before(void **state)
{
	(void)state;
	AUTO(log_dir_done) struct log_dir d = log_dir_new();
	AUTO(story_close) struct story s = story_open_unsealed(&d);

	story_append(&s, 2);
	assert_int_equal(trail_set_key(s.trail, NULL), KMS_OK);
	assert_int_equal(trail_set_key(s.trail, s.key), KMS_OK);
	story_flush(&s);
	assert_int_equal(count_frames(&d, 0, SEGMENT_RECORD), 2);
	assert_int_equal(count_frames(&d, 0, SEGMENT_GROUP), 1);
	story_is_whole(&d, 2, false);
}

static void a_group_rolls_over_segments(void **state)
{
	(void)state;
	AUTO(log_dir_done) struct log_dir d = log_dir_new();
	AUTO(story_close) struct story s = story_open_unsealed(&d);
	AUTO(trail_group_free) struct trail_group *g = NULL;
	uint8_t root[SHA256_LEN];

	story_append_large(&s, 150);
	assert_int_equal(trail_take(s.trail, &g), KMS_OK);
	assert_in_range(g->n, 6, 12);
	assert_int_equal(g->segment, g->n - 1);
	for (uint32_t i = 0; i < g->n; i++) {
		assert_int_equal(g->writes[i].number, i);
		assert_int_equal(g->writes[i].offset, 0);
		assert_true(g->writes[i].bytes.n <= LOG_SIZE);
	}
	/* Some are made ahead, some are not. */
	assert_int_equal(segments_prepare(d.fd, 2, LOG_SIZE), KMS_OK);
	assert_int_equal(segments_write(s.segments, g->writes, g->n), KMS_OK);
	assert_int_equal(segments_prepare(d.fd, (uint32_t)g->n, LOG_SIZE), KMS_OK);
	story_is_whole(&d, 150, false);
	story_group(&s, 4);
	story_is_whole(&d, 154, false);
	for (uint64_t n = 0; n <= 154; n++)
		assert_int_equal(trail_root_at(d.fd, n, root), KMS_OK);
}

static void a_log_begins_where_it_was_pruned(void **state)
{
	(void)state;
	AUTO(log_dir_done) struct log_dir d = log_dir_new();
	AUTO(story_close) struct story s = story_open_unsealed(&d);
	uint8_t root[SHA256_LEN];

	story_append_large(&s, 50);
	story_flush(&s);
	log_remove(&d, 0);
	story_is_whole(&d, 50, false);
	assert_int_equal(trail_root_at(d.fd, 1, root), KMS_E_AUDIT_CORRUPT);
	assert_int_equal(trail_root_at(d.fd, 49, root), KMS_OK);
}

static void small_records_fill_segments(void **state)
{
	(void)state;
	AUTO(log_dir_done) struct log_dir d = log_dir_new();
	AUTO(story_close) struct story s = story_open_unsealed(&d);
	uint64_t n = 0;

	/* Groups of every size, so that one or the other ends with its segment. */
	for (size_t size = 1; size < 200; size++) {
		story_group(&s, size);
		n += size;
	}
	story_is_whole(&d, n, false);
	uint32_t first = 0, end = 0;
	assert_int_equal(segments_range(d.fd, &first, &end), KMS_OK);
	assert_in_range(end, 3, 5);
	for (uint32_t i = 0; i < end; i++) {
		AUTO(image_done) struct image image = log_read(&d, i);
		assert_true(i + 1 == end || image_used(&image) > LOG_SIZE - 1500);
	}
}

static void the_configured_size_may_change(void **state)
{
	(void)state;
	AUTO(log_dir_done) struct log_dir d = log_dir_new();
	struct trail_end end;

	{
		AUTO(story_close) struct story s = story_open_unsealed(&d);
		story_group(&s, 3);
	}
	assert_int_equal(segments_prepare(d.fd, 1, LOG_SIZE), KMS_OK);
	assert_int_equal(trail_recover(d.fd, &end), KMS_OK);
	AUTO(story_close) struct story s = { .dir = &d };
	assert_int_equal(trail_new(&end, story_instance, 2 * LOG_SIZE, &s.trail), KMS_OK);
	assert_int_equal(segments_new(d.fd, 2 * LOG_SIZE, &s.segments), KMS_OK);
	story_append_large(&s, 40);
	story_flush(&s);
	AUTO(image_done) struct image old = log_read(&d, 0), new = log_read(&d, 1);
	assert_int_equal(old.n, LOG_SIZE);
	assert_int_equal(new.n, 2 * LOG_SIZE);
	assert_int_equal(trail_recover(d.fd, &end), KMS_OK);
	assert_int_equal(end.tree.size, 43);
	assert_int_equal(end.segment_size, 2 * LOG_SIZE);
}

static void too_small_a_segment_is_refused(void **state)
{
	(void)state;
	struct trail_end end = { .fresh = true };
	struct trail *t = NULL;

	assert_int_equal(trail_new(&end, story_instance, SEGMENT_SIZE_MIN - 1, &t), KMS_E_INTERNAL);
	assert_null(t);
}

static void heads_carry_the_instance(void **state)
{
	(void)state;
	AUTO(log_dir_done) struct log_dir d = log_dir_new();
	AUTO(story_close) struct story s = story_open(&d);
	AUTO(segment_view_free) struct segment_view *v = NULL;
	static const uint8_t other[INSTANCE_ID_LEN] = "made at init";

	trail_set_instance(s.trail, other);
	story_group(&s, 1);
	assert_int_equal(segment_view_open(d.fd, 0, &v), KMS_OK);
	assert_memory_equal(segment_view_head(v)->instance, other, sizeof(other));
}

static void a_refused_record_leaves_no_trace(void **state)
{
	(void)state;
	AUTO(log_dir_done) struct log_dir d = log_dir_new();
	AUTO(story_close) struct story s = story_open_unsealed(&d);
	static uint8_t text[2 * SEGMENT_SIZE_MIN];
	static const size_t sizes[] = { RECORD_MAX, RECORD_MAX + 100, SEGMENT_SIZE_MIN,
		sizeof(text) };

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct record r = log_record();
		r.subject = bytes_of(text, sizes[i]);
		assert_int_equal(trail_append(s.trail, &r), KMS_E_INTERNAL);
		assert_int_equal(trail_pending(s.trail), 0);
		story_group(&s, 1);
	}
	story_is_whole(&d, ARRAY_LEN(sizes), false);
}

static void groups_come_back_for_their_memory(void **state)
{
	(void)state;
	AUTO(log_dir_done) struct log_dir d = log_dir_new();
	AUTO(story_close) struct story s = story_open(&d);
	const uint8_t *seen[4] = { NULL };
	size_t known = 0;

	for (size_t i = 0; i < 50; i++) {
		AUTO(trail_group_free) struct trail_group *g = NULL;
		story_append(&s, 5);
		assert_int_equal(trail_take(s.trail, &g), KMS_OK);
		size_t at = 0;
		while (at < known && seen[at] != g->memory.p)
			at++;
		assert_true(at < 4);
		if (at == known)
			seen[known++] = g->memory.p;
	}
}

static void a_group_may_outlive_its_trail(void **state)
{
	(void)state;
	AUTO(log_dir_done) struct log_dir d = log_dir_new();
	struct trail_group *a = NULL, *b = NULL;
	AUTO(segments_free) struct segments *segments = NULL;

	{
		AUTO(story_close) struct story s = story_open_unsealed(&d);
		story_append(&s, 2);
		assert_int_equal(trail_take(s.trail, &a), KMS_OK);
		story_append(&s, 3);
		assert_int_equal(trail_take(s.trail, &b), KMS_OK);
	}
	assert_int_equal(segments_new(d.fd, LOG_SIZE, &segments), KMS_OK);
	assert_int_equal(segments_write(segments, a->writes, a->n), KMS_OK);
	trail_group_free(&a);
	assert_int_equal(segments_write(segments, b->writes, b->n), KMS_OK);
	trail_group_free(&b);
	trail_group_free(&b);
	story_is_whole(&d, 5, false);
}

static void a_group_is_written_again_after_a_failure(void **state)
{
	(void)state;
	AUTO(log_dir_done) struct log_dir d = log_dir_new();
	AUTO(story_close) struct story s = story_open_unsealed(&d);
	AUTO(trail_group_free) struct trail_group *g = NULL;

	story_group(&s, 2);
	story_append_large(&s, 50);
	assert_int_equal(trail_take(s.trail, &g), KMS_OK);
	assert_int_equal(renameat(d.fd, "00000000.seg", d.fd, "away"), 0);
	assert_int_equal(segments_write(s.segments, g->writes, g->n), KMS_E_AUDIT_IO);
	assert_false(log_has(&d, 1));
	assert_int_equal(renameat(d.fd, "away", d.fd, "00000000.seg"), 0);
	assert_int_equal(segments_write(s.segments, g->writes, g->n), KMS_OK);
	assert_int_equal(segments_write(s.segments, g->writes, g->n), KMS_OK);
	story_is_whole(&d, 52, false);
}

/* The journal's part while another thread looks. */
struct writer {
	struct story *story;
	atomic_bool done;
};

static void *write_groups(void *arg)
{
	struct writer *w = arg;

	for (size_t i = 0; i < GROUPS_WHILE_VERIFIED; i++) {
		AUTO(trail_group_free) struct trail_group *g = NULL;
		for (size_t n = 0; n < 60; n++) {
			struct record r = log_record();
			CHECK(trail_append(w->story->trail, &r) == KMS_OK);
		}
		CHECK(trail_take(w->story->trail, &g) == KMS_OK);
		CHECK(segments_write(w->story->segments, g->writes, g->n) == KMS_OK);
	}
	atomic_store(&w->done, true);
	return NULL;
}

static void a_log_is_verified_while_it_grows(void **state)
{
	(void)state;
	AUTO(log_dir_done) struct log_dir d = log_dir_new();
	AUTO(story_close) struct story s = story_open_unsealed(&d);
	AUTO(secret_free) struct secret *key = story_key(0x42);
	struct writer w = { .story = &s };
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, write_groups, &w), 0);
	while (!atomic_load(&w.done))
		assert_int_equal(trail_verify(d.fd, key), KMS_OK);
	assert_int_equal(pthread_join(thread, NULL), 0);
	story_is_whole(&d, (uint64_t)GROUPS_WHILE_VERIFIED * 60, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_folder_is_a_fresh_log),
		cmocka_unit_test(records_are_numbered_and_kept),
		cmocka_unit_test(the_root_at_every_size),
		cmocka_unit_test(sealed_records_wait_for_the_first_group),
		cmocka_unit_test(a_key_change_closes_what_went_before),
		cmocka_unit_test(a_group_rolls_over_segments),
		cmocka_unit_test(a_log_begins_where_it_was_pruned),
		cmocka_unit_test(small_records_fill_segments),
		cmocka_unit_test(the_configured_size_may_change),
		cmocka_unit_test(too_small_a_segment_is_refused),
		cmocka_unit_test(heads_carry_the_instance),
		cmocka_unit_test(a_refused_record_leaves_no_trace),
		cmocka_unit_test(groups_come_back_for_their_memory),
		cmocka_unit_test(a_group_may_outlive_its_trail),
		cmocka_unit_test(a_group_is_written_again_after_a_failure),
		cmocka_unit_test(a_log_is_verified_while_it_grows),
	};

	return cmocka_run_group_tests(tests, story_set_up, story_tear_down);
}
