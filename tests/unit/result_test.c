/* SPDX-License-Identifier: Apache-2.0 */
/* Every kind of answer of a fake kmsd as the public structs show it (kms/client/result.c). */
#include "kms/client/result.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/unit/canned.h"

enum {
	DEADLINE = 10000
};

static void status_is_shown_whole(void **state)
{
	AUTO(kms_close) struct kms *c = fake_client(*state, DEADLINE);
	AUTO(kms_result_free) struct kms_result *r = NULL;

	assert_int_equal(kms_status(c, &r), KMS_CODE_OK);
	const struct kms_status *s = kms_result_status(r);
	assert_string_equal(s->program, "kmsd 0.1.0");
	assert_string_equal(s->state, "sealed");
	assert_string_equal(s->why, "tpm_lockout");
	assert_string_equal(s->audit_state, "ok");
	assert_memory_equal(s->instance.p, id16, 16);
	assert_int_equal(s->protocol, 1);
	assert_int_equal(s->wrapped_format, 2);
	assert_int_equal(s->store_schema, 3);
	assert_int_equal(s->connections, 4);
	assert_int_equal(s->keeper_starts, 5);
	assert_int_equal(s->epoch * 10 + s->counter, 67);
	assert_int_equal(s->counter_moves * 10 + s->keys, 89);
	assert_int_equal(s->versions, 10);
	assert_int_equal(s->audit_records, 11);
	assert_int_equal(s->started_us, 12);
	assert_true(s->counter_behind && s->memory_locked && s->memory_hidden);
	assert_int_equal(s->sandbox_n, 2);
	assert_string_equal(s->sandbox[1], "seccomp");
	assert_int_equal(s->slot_n, 2);
	assert_string_equal(s->slots[1].name, "spare");
	assert_string_equal(s->slots[1].detail, "");
	assert_null(kms_result_whoami(r));
	assert_null(kms_result_key(r));
	assert_int_equal(kms_result_bytes(r).n, 0);
}

static void keys_are_shown_whole(void **state)
{
	AUTO(kms_close) struct kms *c = fake_client(*state, DEADLINE);
	AUTO(kms_result_free) struct kms_result *r = NULL, *list = NULL;
	bool more;
	size_t n;

	assert_int_equal(kms_key_show(c, "rec", &r), KMS_CODE_OK);
	const struct kms_key *k = kms_result_key(r);
	assert_string_equal(k->key, "rec");
	assert_string_equal(k->key_class, "default");
	assert_string_equal(k->algorithm, "xaes-256-gcm");
	assert_string_equal(k->state, "active");
	assert_int_equal(k->id.n, 16);
	assert_int_equal(k->version * 100 + k->floor * 10 + k->version_count, 212);
	assert_int_equal(k->backed_up_until_us, 10);
	assert_int_equal(k->created_us * 10 + k->rotate_every_s, 89);
	assert_int_equal(k->version_n, 2);
	const struct kms_key_version *v = &k->versions[0];
	assert_string_equal(v->reason, "old");
	assert_true(v->above_floor);
	assert_int_equal(v->created_us * 10 + v->since_us, 12);
	assert_int_equal(v->issued * 100 + v->wrapped * 10 + v->unwrapped, 345);
	assert_null(kms_result_keys(r, &n, &more));
	assert_false(more);

	assert_int_equal(kms_key_list(c, NULL, 0, &list), KMS_CODE_OK);
	k = kms_result_keys(list, &n, &more);
	assert_int_equal(n, 2);
	assert_true(more);
	assert_string_equal(k[1].key, "crm");
	assert_null(kms_result_key(list));
}

static void items_keep_their_own_errors(void **state)
{
	const struct kms_task tasks[2] = { { .data = kms_bytes_of("a", 1) } };
	AUTO(kms_close) struct kms *c = fake_client(*state, DEADLINE);
	AUTO(kms_result_free) struct kms_result *r = NULL;
	size_t n;

	assert_int_equal(kms_batch(c, KMS_UNWRAP, NULL, tasks, 2, &r), KMS_CODE_OK);
	const struct kms_item *item = kms_result_items(r, &n);
	assert_int_equal(n, 2);
	assert_int_equal(item[0].code, KMS_CODE_OK);
	assert_null(item[0].error);
	assert_memory_equal(item[0].plaintext.p, "clear", 5);
	assert_memory_equal(item[0].wrapped.p, "wrapped", 7);
	assert_string_equal(item[0].key, "rec");
	assert_true(item[0].rewrap_advised);
	assert_int_equal(item[1].code, KMS_CODE_INTEGRITY);
	assert_string_equal(item[1].error->name, "integrity");
	assert_string_equal(item[1].error->detail, "item 1");
	assert_true(item[1].compromised);
	assert_string_equal(item[1].key, "");
}

static void the_other_answers_are_shown_whole(void **state)
{
	AUTO(kms_close) struct kms *c = fake_client(*state, DEADLINE);
	struct kms_result *r = NULL;
	size_t n;

	assert_int_equal(kms_whoami(c, &r), KMS_CODE_OK);
	assert_string_equal(kms_result_whoami(r)->identity, "unix:1000");
	assert_true(kms_result_whoami(r)->admin);
	assert_string_equal(kms_result_whoami(r)->groups[0], "landlock");
	kms_result_free(&r);
	assert_int_equal(kms_slot_list(c, &r), KMS_CODE_OK);
	assert_string_equal(kms_result_slots(r, &n)[0].detail, "a chip");
	assert_int_equal(n, 2);
	assert_null(kms_result_items(r, &n));
	assert_int_equal(n, 0);
	kms_result_free(&r);
	assert_int_equal(kms_random(c, 4, &r), KMS_CODE_OK);
	assert_memory_equal(kms_result_bytes(r).p, "dice", 4);
	kms_result_free(&r);
	assert_int_equal(kms_metrics(c, &r), KMS_CODE_OK);
	assert_int_equal(kms_result_bytes(r).n, 9);
	kms_result_free(&r);
	assert_int_equal(kms_audit_read(c, 40, 2, false, &r), KMS_CODE_OK);
	assert_int_equal(kms_result_records(r)->first, 40);
	assert_int_equal(kms_result_records(r)->size, 42);
	assert_memory_equal(kms_result_records(r)->records[1].p, "seccomp", 7);
	kms_result_free(&r);
	assert_null(r);
	kms_result_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define WITH_FAKE(f) cmocka_unit_test_setup_teardown(f, canned_start, canned_stop)
		WITH_FAKE(status_is_shown_whole),
		WITH_FAKE(keys_are_shown_whole),
		WITH_FAKE(items_keep_their_own_errors),
		WITH_FAKE(the_other_answers_are_shown_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
