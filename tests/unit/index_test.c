/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding keys: by name, by id and in the order of names, among as many as a large installation
 * has, whatever order they came in.
 */
#include "kms/keys/index.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kms/base/buf.h"
#include "tests/unit/dice.h"

enum {
	KEYS = 20000
};

/* Keys without versions; the index looks at names and ids alone. */
struct many {
	struct key *keys; /* in the order of names */
	struct key **order;
	struct index index;
};

static int set_up(void **state)
{
	struct many *m = calloc(1, sizeof(*m));

	m->keys = calloc(KEYS, sizeof(*m->keys));
	m->order = calloc(KEYS, sizeof(struct key *));
	for (uint32_t i = 0; i < KEYS; i++) {
		/* Every third is the beginning of the next two. */
		static const char *const tails[] = { "", ".a", "0" };
		struct key *k = &m->keys[i];
		(void)snprintf(k->name, sizeof(k->name), "key-%06u%s", i / 3, tails[i % 3]);
		store_u32(k->id.b, i * 0x9e3779b1u);
		m->order[i] = k;
	}
	assert_int_equal(index_init(&m->index), KMS_OK);
	*state = m;
	return 0;
}

static int tear_down(void **state)
{
	struct many *m = *state;

	index_done(&m->index);
	free(m->keys);
	free(m->order);
	free(m);
	return 0;
}

static struct bytes name_of(const struct key *k)
{
	return bytes_of_str(k->name);
}

static void add_all(struct many *m)
{
	for (size_t i = 0; i < KEYS; i++)
		assert_int_equal(index_add(&m->index, m->order[i]), KMS_OK);
	assert_int_equal(m->index.n, KEYS);
}

static void all_are_found(const struct many *m)
{
	struct bytes after = bytes_of(NULL, 0);

	for (size_t i = 0; i < KEYS; i++) {
		struct key *k = &m->keys[i];
		assert_ptr_equal(index_find(&m->index, name_of(k)), k);
		assert_ptr_equal(index_find_id(&m->index, k->id), k);
		assert_ptr_equal(index_next(&m->index, after), k);
		after = name_of(k);
	}
	assert_null(index_next(&m->index, after));
}

static void sorted_keys_are_found(void **state)
{
	struct many *m = *state;

	add_all(m);
	all_are_found(m);
}

static void reversed_keys_are_found(void **state)
{
	struct many *m = *state;

	for (size_t i = 0; i < KEYS; i++)
		m->order[i] = &m->keys[KEYS - 1 - i];
	add_all(m);
	all_are_found(m);
}

static void shuffled_keys_are_found(void **state)
{
	struct many *m = *state;
	struct dice d = dice_of(4);

	for (size_t i = KEYS; i > 1; i--) {
		size_t other = dice_below(&d, i);
		struct key *held = m->order[i - 1];
		m->order[i - 1] = m->order[other];
		m->order[other] = held;
	}
	add_all(m);
	all_are_found(m);
}

static void nothing_is_found_in_an_empty_one(void **state)
{
	const struct many *m = *state;

	assert_null(index_find(&m->index, bytes_of_str("key")));
	assert_null(index_find(&m->index, bytes_of(NULL, 0)));
	assert_null(index_find_id(&m->index, m->keys[0].id));
	assert_null(index_next(&m->index, bytes_of(NULL, 0)));
}

static void strangers_are_not_found(void **state)
{
	static const char *const names[] = { "", "k", "key-00000", "key-0000000x", "KEY-000000",
		"key-999999", "key-000000.", "key-000000.aa" };
	struct many *m = *state;
	struct key_id id = m->keys[5].id;

	add_all(m);
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		assert_null(index_find(&m->index, bytes_of_str(names[i])));
	id.b[KEY_ID_LEN - 1] ^= 1;
	assert_null(index_find_id(&m->index, id));
}

/* `after` need not be a name that is there. */
static void a_page_begins_between_names(void **state)
{
	struct many *m = *state;

	add_all(m);
	assert_ptr_equal(index_next(&m->index, bytes_of_str("a")), &m->keys[0]);
	assert_ptr_equal(index_next(&m->index, bytes_of_str("key-000000!")), &m->keys[1]);
	assert_ptr_equal(index_next(&m->index, bytes_of_str("key-0000009")), &m->keys[3]);
	assert_null(index_next(&m->index, bytes_of_str("z")));
}

static void doubles_are_refused(void **state)
{
	struct many *m = *state;
	struct key same_name = m->keys[100], same_id = m->keys[100];

	add_all(m);
	same_name.id.b[KEY_ID_LEN - 1] ^= 1;
	(void)snprintf(same_id.name, sizeof(same_id.name), "another");
	assert_int_equal(index_add(&m->index, &same_name), KMS_E_EXISTS);
	assert_int_equal(index_add(&m->index, &same_id), KMS_E_EXISTS);
	assert_int_equal(index_add(&m->index, &m->keys[100]), KMS_E_EXISTS);
	assert_int_equal(m->index.n, KEYS);
	assert_null(index_find(&m->index, bytes_of_str("another")));
	all_are_found(m);
}

/* Names come from outside: where they lie must not be known there. */
static void places_differ_from_run_to_run(void **state)
{
	const struct many *m = *state;
	struct index other;

	assert_int_equal(index_init(&other), KMS_OK);
	assert_true(other.seed != m->index.seed);
	index_done(&other);
}

#define MANY(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		MANY(sorted_keys_are_found),
		MANY(reversed_keys_are_found),
		MANY(shuffled_keys_are_found),
		MANY(nothing_is_found_in_an_empty_one),
		MANY(strangers_are_not_found),
		MANY(a_page_begins_between_names),
		MANY(doubles_are_refused),
		MANY(places_differ_from_run_to_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
