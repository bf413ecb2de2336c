/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of the trail: a log under way, its keys, its groups, and a tree that grows beside it. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "kms/audit/trail.h"
#include "tests/unit/log_dir.h"

static const uint8_t story_instance[INSTANCE_ID_LEN] = "the instance id";

/* A log as the keeper holds it. */
struct story {
	struct log_dir *dir;
	struct trail *trail;
	struct segments *segments;
	struct secret *key;
};

static inline void story_close(struct story *s)
{
	trail_free(&s->trail);
	segments_free(&s->segments);
	secret_free(&s->key);
}

static inline struct secret *story_key(uint8_t fill)
{
	uint8_t bits[KEY_BITS_LEN];
	struct secret *key = NULL;

	memset(bits, fill, sizeof(bits));
	assert_int_equal(secret_from(bytes_of(bits, sizeof(bits)), &key), KMS_OK);
	return key;
}

/* Recovers and goes on, sealed. */
static inline struct story story_open(struct log_dir *dir)
{
	struct story s = { .dir = dir };
	struct trail_end end;

	assert_int_equal(trail_recover(dir->fd, &end), KMS_OK);
	assert_int_equal(trail_new(&end, story_instance, LOG_SIZE, &s.trail), KMS_OK);
	assert_int_equal(segments_new(dir->fd, LOG_SIZE, &s.segments), KMS_OK);
	return s;
}

static inline void story_unseal(struct story *s)
{
	s->key = story_key(0x42);
	assert_int_equal(trail_set_key(s->trail, s->key), KMS_OK);
}

static inline struct story story_open_unsealed(struct log_dir *dir)
{
	struct story s = story_open(dir);

	story_unseal(&s);
	return s;
}

static inline void story_append(struct story *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct record r = log_record();
		assert_int_equal(trail_append(s->trail, &r), KMS_OK);
	}
}

/* Records of about 50 KiB. */
static inline void story_append_large(struct story *s, size_t n)
{
	static struct record_item items[BATCH_MAX];

	for (size_t i = 0; i < BATCH_MAX; i++) {
		memset(items[i].tag, 0x5a, sizeof(items[i].tag));
		items[i].version = UINT32_MAX;
		items[i].result = KMS_E_NO_ACTIVE_VERSION;
	}
	for (size_t i = 0; i < n; i++) {
		struct record r = log_record();
		r.items = items;
		r.item_n = BATCH_MAX;
		assert_int_equal(trail_append(s->trail, &r), KMS_OK);
	}
}

static inline void story_flush(struct story *s)
{
	AUTO(trail_group_free) struct trail_group *g = NULL;

	assert_int_equal(trail_take(s->trail, &g), KMS_OK);
	assert_int_equal(segments_write(s->segments, g->writes, g->n), KMS_OK);
}

static inline void story_group(struct story *s, size_t n)
{
	story_append(s, n);
	story_flush(s);
}

static inline kms_err story_verify(const struct log_dir *d, uint8_t fill)
{
	AUTO(secret_free) struct secret *key = story_key(fill);

	return trail_verify(d->fd, key);
}

/* The log holds n records and is whole; nothing was dropped where that was not expected. */
static inline void story_is_whole(const struct log_dir *d, uint64_t n, bool dropped)
{
	struct trail_end end;
	uint8_t a[SHA256_LEN], b[SHA256_LEN];

	assert_int_equal(trail_recover(d->fd, &end), KMS_OK);
	assert_int_equal(end.tree.size, n);
	assert_int_equal(end.dropped > 0, dropped);
	assert_int_equal(story_verify(d, 0x42), KMS_OK);
	assert_int_equal(trail_root_at(d->fd, n, a), KMS_OK);
	assert_int_equal(tree_root(&end.tree, b), KMS_OK);
	assert_memory_equal(a, b, sizeof(a));
	assert_int_equal(trail_root_at(d->fd, n + 1, a), KMS_E_AUDIT_CORRUPT);
}

static inline kms_err story_recover(const struct log_dir *d)
{
	struct trail_end end;

	return trail_recover(d->fd, &end);
}

/* The log is not only whole but goes on. */
static inline void story_goes_on(struct log_dir *d, uint64_t n)
{
	struct trail_end end;
	AUTO(story_close) struct story s = story_open_unsealed(d);

	story_group(&s, 2);
	assert_int_equal(trail_recover(d->fd, &end), KMS_OK);
	assert_int_equal(end.tree.size, n + 2);
	assert_int_equal(end.dropped, 0);
	assert_int_equal(story_verify(d, 0x42), KMS_OK);
}

static inline int story_set_up(void **state)
{
	(void)state;
	return secret_init(16, true) == KMS_OK ? 0 : -1;
}

static inline int story_tear_down(void **state)
{
	(void)state;
	secret_done();
	return 0;
}
