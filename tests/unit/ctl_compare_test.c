/* SPDX-License-Identifier: Apache-2.0 */
/* Two fake kmsds, and every way in which a restored one may differ from the live one. */
#include "kms/ctl/compare.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/unit/fake_kmsd.h"

enum {
	DEADLINE = 10000,
	MADE_US = 100, /* when the backup was made */
	KEYS_MAX = 8
};

/* A key of one of the two. */
struct row {
	const char *name, *state;
	uint64_t created_us;
	uint8_t bits; /* stands for the key itself */
};

/* One side; its fake's `user`. */
struct side {
	struct row rows[KEYS_MAX];
	size_t n;
	kms_err broken;   /* fails every proof with it */
	bool cannot_open; /* refuses what is to be unwrapped */
	unsigned issued, opened;
	bool context; /* the last one that was given had pairs */
};

struct pair_of {
	struct fake live, copy;
	struct side here, there;
	struct ctl ctl;
	struct throwaway t;
};

static const struct row *find(const struct side *s, struct bytes name)
{
	for (size_t i = 0; i < s->n; i++) {
		if (bytes_equal(bytes_of_str(s->rows[i].name), name))
			return &s->rows[i];
	}
	return NULL;
}

static struct key_info key_of(const struct row *row, struct version_info *v)
{
	bool bare = strcmp(row->name, "kwp") == 0;

	*v = (struct version_info){
		.version = 1, .state = bytes_of_str(row->state), .created_us = row->created_us
	};
	return (struct key_info){ .key = bytes_of_str(row->name),
		.algorithm = bytes_of_str(bare ? "aes-256-kwp" : "xaes-256-gcm"),
		.version = strcmp(row->state, "active") == 0 ? 1 : 0,
		.versions = v,
		.version_n = 1 };
}

/* Two keys a page, so that there are several. */
static struct answer list(const struct side *s, struct bytes after, struct key_info out[2])
{
	static struct version_info v;
	size_t from = 0, n = 0;

	for (size_t i = 0; i < s->n && after.n > 0; i++) {
		if (bytes_equal(bytes_of_str(s->rows[i].name), after))
			from = i + 1;
	}
	for (; n < 2 && from + n < s->n; n++) {
		out[n] = key_of(&s->rows[from + n], &v);
		out[n].version_n = 0;
	}
	return (struct answer){ .kind = ANSWER_KEYS, .u.keys = { out, n, from + n < s->n } };
}

static void answer_items(struct fake *f, struct side *s, const struct request *r)
{
	struct item_result item = { .key = r->key, .version = 1, .wrapped = r->key };
	const struct answer a = {
		.id = r->id, .kind = ANSWER_ITEMS, .u.items = { .p = &item, .n = 1 }
	};

	if (r->op == OP_ISSUE) {
		s->issued++;
		s->context = r->context.n > 0;
		CHECK(r->wrapped_only);
	} else {
		s->opened++;
		s->context = r->items[0].context.n > 0;
		item.error.err = s->cannot_open ? KMS_E_INTEGRITY : KMS_OK;
	}
	fake_answer(f, &a);
}

static void prove(struct fake *f, const struct side *s, const struct request *r)
{
	const struct row *row = find(s, r->key);
	uint8_t proof[32];

	if (s->broken != KMS_OK || row == NULL) {
		fake_refuse(f, r->id, row == NULL ? KMS_E_NOT_FOUND : s->broken);
		return;
	}
	CHECK(r->challenge.n == sizeof(proof) && r->version == 1);
	for (size_t i = 0; i < sizeof(proof); i++)
		proof[i] = r->challenge.p[i] ^ row->bits;
	fake_answer(
	    f, &(struct answer){
	           .id = r->id, .kind = ANSWER_PROOF, .u.text = bytes_of(proof, sizeof(proof)) });
}

static bool serve(struct fake *f, const struct request *r)
{
	struct side *s = f->user;
	struct key_info keys[2];
	struct version_info v;
	struct answer a;

	switch (r->op) {
	case OP_KEY_LIST: a = list(s, r->key, keys); break;
	case OP_KEY_SHOW:
		a = (struct answer){ .kind = ANSWER_KEY, .u.key = key_of(find(s, r->key), &v) };
		break;
	case OP_KEY_PROVE: prove(f, s, r); return true;
	default: answer_items(f, s, r); return true;
	}
	a.id = r->id;
	fake_answer(f, &a);
	return true;
}

/* Both with the same three keys. */
static int set_up(void **state)
{
	static const struct row rows[] = { { "a", "active", 1, 1 }, { "b", "active", 2, 2 },
		{ "kwp", "active", 3, 3 } };
	struct pair_of *p = calloc(1, sizeof(*p));

	CHECK(p != NULL);
	memcpy(p->here.rows, rows, sizeof(rows));
	memcpy(p->there.rows, rows, sizeof(rows));
	p->here.n = p->there.n = ARRAY_LEN(rows);
	fake_start(&p->live, serve, &p->here);
	fake_start(&p->copy, serve, &p->there);
	p->ctl.style.quiet = true;
	p->ctl.kms = fake_client(&p->live, DEADLINE);
	p->t.kms = fake_client(&p->copy, DEADLINE);
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct pair_of *p = *state;

	kms_close(&p->ctl.kms);
	kms_close(&p->t.kms);
	fake_stop(&p->live);
	fake_stop(&p->copy);
	free(p);
	return 0;
}

/* Adds a key to the live one alone. */
static void add(struct pair_of *p, const char *name, const char *state, uint64_t created_us)
{
	p->here.rows[p->here.n++] = (struct row){ name, state, created_us, 9 };
}

static struct comparison compare(struct pair_of *p, struct out *o)
{
	struct comparison sum;

	assert_int_equal(compare_all(&p->ctl, &p->t, MADE_US, o, &sum), KMS_OK);
	return sum;
}

/* The JSON of what differs, terminated; lives in `to`. */
static const char *differences(struct out *o, struct buf *to)
{
	const struct style json = { .json = true };

	assert_int_equal(out_print(o, &json, to), KMS_OK);
	assert_int_equal(buf_put_u8(to, '\0'), KMS_OK);
	return (const char *)to->p;
}

static void two_that_are_the_same_match(void **state)
{
	struct pair_of *p = *state;
	AUTO(out_done) struct out o = { .field_n = 0 };

	out_table(&o, "differences");
	struct comparison sum = compare(p, &o);
	assert_int_equal(sum.checked, 3);
	assert_int_equal(sum.failed + sum.newer + sum.destroyed, 0);
	assert_int_equal(sum.samples, 3);
	assert_int_equal(p->here.issued, 3);
	assert_int_equal(p->there.opened, 3);
	assert_int_equal(o.row_n, 0);
}

/* aes-256-kwp binds no context; the last of the samples is such a key. */
static void a_key_without_a_context_is_tried_without(void **state)
{
	struct pair_of *p = *state;
	AUTO(out_done) struct out o = { .field_n = 0 };

	(void)compare(p, &o);
	assert_false(p->here.context);
	assert_false(p->there.context);
	p->here.n = p->there.n = 2;
	(void)compare(p, &o);
	assert_true(p->here.context);
	assert_true(p->there.context);
}

static void what_is_newer_is_no_failure(void **state)
{
	struct pair_of *p = *state;
	AUTO(out_done) struct out o = { .field_n = 0 };
	AUTO(buf_done) struct buf to = { .n = 0 };

	add(p, "new", "active", MADE_US + 1);
	out_table(&o, "differences");
	struct comparison sum = compare(p, &o);
	assert_int_equal(sum.newer, 1);
	assert_int_equal(sum.failed, 0);
	assert_int_equal(sum.checked, 3);
	/* Nothing of it is issued for the other to open. */
	assert_int_equal(sum.samples, 3);
	assert_non_null(strstr(differences(&o, &to),
	    "{\"result\":\"newer\",\"key\":\"new\",\"version\":1,\"finding\":\"newer than"));
}

static void what_was_destroyed_is_not_asked_for(void **state)
{
	struct pair_of *p = *state;
	AUTO(out_done) struct out o = { .field_n = 0 };

	p->here.rows[0].state = "destroyed";
	p->here.rows[1].state = "deactivated";
	struct comparison sum = compare(p, &o);
	assert_int_equal(sum.destroyed, 1);
	assert_int_equal(sum.checked, 2);
	assert_int_equal(sum.failed, 0);
	assert_int_equal(sum.samples, 1);
}

static void a_missing_key_fails(void **state)
{
	struct pair_of *p = *state;
	AUTO(out_done) struct out o = { .field_n = 0 };
	AUTO(buf_done) struct buf to = { .n = 0 };

	add(p, "lost", "active", MADE_US);
	out_table(&o, "differences");
	struct comparison sum = compare(p, &o);
	assert_int_equal(sum.failed, 1);
	assert_int_equal(sum.newer, 0);
	assert_int_equal(sum.checked, 4);
	assert_non_null(strstr(differences(&o, &to), "{\"result\":\"failed\",\"key\":\"lost\""));
}

static void another_key_of_that_name_fails(void **state)
{
	struct pair_of *p = *state;
	AUTO(out_done) struct out o = { .field_n = 0 };
	AUTO(buf_done) struct buf to = { .n = 0 };

	p->there.rows[1].bits = 77;
	out_table(&o, "differences");
	struct comparison sum = compare(p, &o);
	assert_int_equal(sum.failed, 1);
	assert_int_equal(sum.samples, 2);
	assert_non_null(strstr(differences(&o, &to), "another key is in the backup"));
}

static void what_does_not_open_fails(void **state)
{
	struct pair_of *p = *state;
	AUTO(out_done) struct out o = { .field_n = 0 };

	p->there.cannot_open = true;
	struct comparison sum = compare(p, &o);
	assert_int_equal(sum.failed, 3);
	assert_int_equal(sum.samples, 3);
}

static void a_version_destroyed_there_fails(void **state)
{
	struct pair_of *p = *state;
	AUTO(out_done) struct out o = { .field_n = 0 };

	p->there.broken = KMS_E_DESTROYED;
	struct comparison sum = compare(p, &o);
	assert_int_equal(sum.failed, 3);
	assert_int_equal(sum.samples, 0);
}

/* What has nothing to do with a key ends it: a verdict would be about something else. */
static void a_kmsd_that_fails_is_no_verdict(void **state)
{
	struct pair_of *p = *state;
	AUTO(out_done) struct out o = { .field_n = 0 };
	struct comparison sum;

	p->there.broken = KMS_E_SEALED;
	assert_int_equal(compare_all(&p->ctl, &p->t, MADE_US, &o, &sum), KMS_E_SEALED);
	assert_int_equal(p->ctl.error.number, KMS_CODE_SEALED);
	assert_int_equal(sum.failed, 0);
	p->there.broken = KMS_OK;
	p->here.broken = KMS_E_DENIED;
	assert_int_equal(compare_all(&p->ctl, &p->t, MADE_US, &o, &sum), KMS_E_DENIED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define WITH_TWO(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
		WITH_TWO(two_that_are_the_same_match),
		WITH_TWO(a_key_without_a_context_is_tried_without),
		WITH_TWO(what_is_newer_is_no_failure),
		WITH_TWO(what_was_destroyed_is_not_asked_for),
		WITH_TWO(a_missing_key_fails),
		WITH_TWO(another_key_of_that_name_fails),
		WITH_TWO(what_does_not_open_fails),
		WITH_TWO(a_version_destroyed_there_fails),
		WITH_TWO(a_kmsd_that_fails_is_no_verdict),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
