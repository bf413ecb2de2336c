/* SPDX-License-Identifier: Apache-2.0 */
/* Names for the ids of records: found over pages, asked for rarely, done without where refused. */
#include "kms/ctl/keynames.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/unit/fake_kmsd.h"

enum {
	DEADLINE = 20000,
	PAGE = 3
};

/* A kmsd with keys k1, k2 … kN, PAGE to an answer; key i has an id of bytes 100 - i. */
struct desk {
	struct fake fake;
	struct ctl c;
	struct keynames names;
	unsigned keys, lists;
	bool refuses, cut;
};

static struct key_id id_of(unsigned i)
{
	struct key_id id;

	memset(id.b, (int)(100 - i), sizeof(id.b));
	return id;
}

static unsigned number_after(struct bytes name)
{
	return name.n > 1 ? (unsigned)(name.p[1] - '0') : 0;
}

static bool serve(struct fake *f, const struct request *r)
{
	struct desk *d = f->user;
	struct key_info keys[PAGE];
	struct key_id ids[PAGE];
	char names[PAGE][16];
	struct answer a = { .id = r->id, .kind = ANSWER_KEYS, .u.keys = { .p = keys } };
	unsigned first = number_after(r->key) + 1;

	CHECK(r->op == OP_KEY_LIST);
	d->lists++;
	if (d->refuses || (d->cut && first > 1)) {
		fake_refuse(f, r->id, KMS_E_DENIED);
		return true;
	}
	for (unsigned i = first; i <= d->keys && i < first + PAGE; i++) {
		size_t k = a.u.keys.n++;

		ids[k] = id_of(i);
		(void)snprintf(names[k], sizeof(names[k]), "k%u", i);
		keys[k] = (struct key_info){ .key = bytes_of_str(names[k]),
			.id = bytes_of(ids[k].b, sizeof(ids[k].b)) };
	}
	a.u.keys.more = first + PAGE <= d->keys;
	fake_answer(f, &a);
	return true;
}

static int start(void **state)
{
	struct desk *d = calloc(1, sizeof(*d));

	CHECK(d != NULL);
	d->keys = 7;
	fake_start(&d->fake, serve, d);
	d->c.kms = fake_client(&d->fake, DEADLINE);
	*state = d;
	return 0;
}

static int stop(void **state)
{
	struct desk *d = *state;

	keynames_done(&d->names);
	kms_close(&d->c.kms);
	fake_stop(&d->fake);
	free(d);
	return 0;
}

static const char *name_of(struct desk *d, unsigned i)
{
	const struct key_id id = id_of(i);

	return keynames_find(&d->names, &d->c, &id);
}

static void every_page_is_read_once(void **state)
{
	struct desk *d = *state;

	for (unsigned i = 1; i <= 7; i++) {
		const char expected[] = { 'k', (char)('0' + i), '\0' };
		assert_string_equal(name_of(d, i), expected);
	}
	assert_int_equal(d->lists, 3);
}

static void no_key_needs_no_question(void **state)
{
	struct desk *d = *state;
	const struct key_id none = { .b = { 0 } };

	assert_null(keynames_find(&d->names, &d->c, &none));
	assert_int_equal(d->lists, 0);
}

static void a_new_key_is_asked_for_on_the_next_page(void **state)
{
	struct desk *d = *state;

	assert_string_equal(name_of(d, 1), "k1");
	d->keys = 8;
	assert_null(name_of(d, 8));
	assert_int_equal(d->lists, 3);
	keynames_begin(&d->names);
	assert_string_equal(name_of(d, 8), "k8");
	assert_string_equal(name_of(d, 1), "k1");
	assert_int_equal(d->lists, 6);
}

static void a_stranger_is_asked_for_once(void **state)
{
	struct desk *d = *state;

	d->keys = 1;
	for (unsigned page = 0; page < 3; page++) {
		keynames_begin(&d->names);
		assert_null(name_of(d, 50));
	}
	assert_int_equal(d->lists, 1);
	/* Only so many are remembered; the oldest is asked for again. */
	for (unsigned i = 0; i < KEYNAMES_STRANGERS; i++) {
		const struct key_id id = { .b = { 200, (uint8_t)i } };
		keynames_begin(&d->names);
		assert_null(keynames_find(&d->names, &d->c, &id));
	}
	assert_int_equal(d->lists, 1 + KEYNAMES_STRANGERS);
	keynames_begin(&d->names);
	assert_null(name_of(d, 50));
	assert_int_equal(d->lists, 2 + KEYNAMES_STRANGERS);
}

static void a_refusal_costs_the_names_alone(void **state)
{
	struct desk *d = *state;

	d->refuses = true;
	assert_null(name_of(d, 1));
	assert_null(name_of(d, 2));
	assert_int_equal(d->lists, 1);
	assert_int_equal(d->c.error.number, KMS_CODE_OK);

	/* A list that breaks off is none, and does not cost what was known. */
	d->refuses = false;
	keynames_begin(&d->names);
	assert_string_equal(name_of(d, 3), "k3");
	d->cut = true;
	keynames_begin(&d->names);
	assert_null(name_of(d, 9));
	assert_string_equal(name_of(d, 7), "k7");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define ON_DESK(f) cmocka_unit_test_setup_teardown(f, start, stop)
		ON_DESK(every_page_is_read_once),
		ON_DESK(no_key_needs_no_question),
		ON_DESK(a_new_key_is_asked_for_on_the_next_page),
		ON_DESK(a_stranger_is_asked_for_once),
		ON_DESK(a_refusal_costs_the_names_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
