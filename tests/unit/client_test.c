/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libkms against a fake kmsd: the exact request of every call (kms/client/ops.c, made in
 * kms/client/calls.c, kms/client/session.c). What the answers look like: result_test.c. Many at a
 * time: submit_test.c. Lost connections and hostile peers: client_fault_test.c.
 */
#include "kms/client/kms.h"

#include "tests/unit/sent.h"

enum {
	DEADLINE = 10000
};

static const struct item plain_item[] = { { .data = TEXT("data"), .context = { wire_pairs, 2 } } };
static const struct item moved_item[] = { { .data = TEXT("data"),
    .context = { wire_pairs, 2 },
    .new_context = { wire_pairs, 1 },
    .change_context = true } };
static const struct item two_items[] = { { .data = TEXT("data"), .context = { wire_pairs, 2 } },
	{ .data = TEXT("more") } };

static void service_calls_send_what_they_should(void **state)
{
	struct fake *f = *state;
	AUTO(kms_close) struct kms *c = fake_client(f, DEADLINE);

	SENDS(kms_status(c, &r), false, .op = OP_STATUS);
	SENDS(kms_whoami(c, &r), false, .op = OP_WHOAMI);
	SENDS(kms_metrics(c, &r), false, .op = OP_METRICS);
	SENDS(kms_random(c, 32, &r), false, .op = OP_RANDOM, .count = 32);
	SENDS(kms_audit_read(c, KMS_AUDIT_LAST, 5, true, &r), false, .op = OP_AUDIT_READ,
	    .from = UINT64_MAX, .count = 5, .wait = true);
	assert_int_equal(f->connections, 1);
}

static void key_calls_send_what_they_should(void **state)
{
	static const enum op ops[] = { OP_NONE, OP_KEY_ROTATE, OP_KEY_SUSPEND, OP_KEY_RESUME,
		OP_KEY_DEACTIVATE, OP_KEY_COMPROMISE, OP_KEY_DESTROY, OP_KEY_CANCEL_DESTROY };
	const struct kms_key_spec spec = { "rec", "voice", "aes-256-gcm", 86400, false };
	const struct kms_key_spec least = { .key = "rec", .dry_run = true };
	const struct kms_key_ref ref = { "rec", 3, "leaked", false };
	const struct kms_key_ref dry = { .key = "rec", .dry_run = true };
	struct fake *f = *state;
	AUTO(kms_close) struct kms *c = fake_client(f, DEADLINE);

	SENDS(kms_key_create(c, &spec, &r), true, .op = OP_KEY_CREATE, .key = TEXT("rec"),
	    .key_class = TEXT("voice"), .algorithm = TEXT("aes-256-gcm"), .rotate_every_s = 86400);
	SENDS(kms_key_create(c, &least, &r), false, .op = OP_KEY_CREATE, .key = TEXT("rec"),
	    .dry_run = true);
	SENDS(kms_key_list(c, NULL, 0, &r), false, .op = OP_KEY_LIST);
	SENDS(kms_key_list(c, "rec", 10, &r), false, .op = OP_KEY_LIST, .key = TEXT("rec"),
	    .count = 10);
	SENDS(kms_key_show(c, "rec", &r), false, .op = OP_KEY_SHOW, .key = TEXT("rec"));
	for (unsigned i = KMS_KEY_ROTATE; i < ARRAY_LEN(ops); i++)
		SENDS(kms_key_change(c, (enum kms_key_op)i, &ref, &r), true, .op = ops[i],
		    .key = TEXT("rec"), .version = 3, .reason = TEXT("leaked"));
	SENDS(kms_key_change(c, KMS_KEY_DESTROY, &dry, NULL), false, .op = OP_KEY_DESTROY,
	    .key = TEXT("rec"), .dry_run = true);
}

static void data_calls_send_what_they_should(void **state)
{
	const struct kms_context less = { public_pairs, 1 };
	const struct kms_bytes data = kms_bytes_of("data", 4);
	const struct kms_task tasks[] = { { .data = data, .context = context },
		{ .data = kms_bytes_of("more", 4) } };
	struct fake *f = *state;
	AUTO(kms_close) struct kms *c = fake_client(f, DEADLINE);

	SENDS(kms_issue(c, "rec", &context, 2, false, &r), false, .op = OP_ISSUE,
	    .key = TEXT("rec"), .count = 2, .context = { wire_pairs, 2 });
	SENDS(kms_issue(c, "rec", NULL, 1024, true, &r), false, .op = OP_ISSUE, .key = TEXT("rec"),
	    .count = 1024, .wrapped_only = true);
	SENDS(kms_wrap(c, "rec", data, &context, &r), false, .op = OP_WRAP, .key = TEXT("rec"),
	    .items = plain_item, .item_count = 1);
	SENDS(kms_unwrap(c, NULL, data, &context, &r), false, .op = OP_UNWRAP, .items = plain_item,
	    .item_count = 1);
	SENDS(kms_rewrap(c, NULL, data, &context, NULL, &r), false, .op = OP_REWRAP,
	    .items = plain_item, .item_count = 1);
	SENDS(kms_rewrap(c, "rec", data, &context, &less, &r), false, .op = OP_REWRAP,
	    .key = TEXT("rec"), .items = moved_item, .item_count = 1);
	SENDS(kms_mac(c, "rec", data, &context, &r), false, .op = OP_MAC, .key = TEXT("rec"),
	    .items = plain_item, .item_count = 1);
	SENDS(kms_batch(c, KMS_MAC, "rec", tasks, 2, &r), false, .op = OP_MAC, .key = TEXT("rec"),
	    .items = two_items, .item_count = 2);
}

static void who_asks_and_why_goes_with_every_request(void **state)
{
	struct fake *f = *state;
	const struct kms_options o = {
		.socket = f->path, .subject = "jane", .purpose = "review", .asserted = "tls:crm"
	};
	AUTO(kms_close) struct kms *c = NULL;
	char long_text[SUBJECT_MAX + 2];

	assert_int_equal(kms_connect(&o, &c), KMS_CODE_OK);
	assert_string_equal(kms_socket_path(c), f->path);
	SENDS(kms_status(c, &r), false, .op = OP_STATUS, .subject = TEXT("jane"),
	    .purpose = TEXT("review"), .asserted = TEXT("tls:crm"));
	assert_int_equal(kms_set_subject(c, ""), KMS_CODE_OK);
	assert_int_equal(kms_set_purpose(c, NULL), KMS_CODE_OK);
	assert_int_equal(kms_set_asserted(c, "tls:x"), KMS_CODE_OK);
	SENDS(kms_status(c, &r), false, .op = OP_STATUS, .asserted = TEXT("tls:x"));

	memset(long_text, 'x', sizeof(long_text));
	long_text[SUBJECT_MAX + 1] = '\0';
	assert_int_equal(kms_set_subject(c, long_text), KMS_CODE_BAD_REQUEST);
	assert_string_equal(kms_last_error(c)->detail, "the subject is over 128 bytes");
	assert_int_equal(kms_set_subject(c, long_text + 1), KMS_CODE_OK);
}

static void a_change_key_of_the_caller_is_used_once(void **state)
{
	const uint8_t mine[16] = "0123456789abcde";
	const struct kms_key_ref ref = { .key = "rec" };
	struct fake *f = *state;
	AUTO(kms_close) struct kms *c = fake_client(f, DEADLINE);
	const struct request want = { .op = OP_KEY_ROTATE, .key = TEXT("rec") };

	kms_set_idempotency_key(c, mine);
	assert_int_equal(kms_key_change(c, KMS_KEY_ROTATE, &ref, NULL), KMS_CODE_OK);
	assert_sent(f, want, true);
	assert_non_null(memmem(f->last.p, f->last.n, mine, sizeof(mine)));
	assert_int_equal(kms_key_change(c, KMS_KEY_ROTATE, &ref, NULL), KMS_CODE_OK);
	assert_sent(f, want, true);
	assert_null(memmem(f->last.p, f->last.n, mine, sizeof(mine)));
}

static void what_cannot_be_asked_is_refused_here(void **state)
{
	static struct kms_task tasks[BATCH_MAX + 1];
	static struct kms_pair pairs[CONTEXT_MAX_PAIRS + 1];
	const struct kms_context wide = { pairs, CONTEXT_MAX_PAIRS + 1 };
	struct fake *f = *state;
	AUTO(kms_close) struct kms *c = fake_client(f, DEADLINE);
	struct kms_result *r = NULL;
	uint8_t *big = calloc(1, FRAME_MAX);
	uint64_t id;

	assert_int_equal(kms_batch(c, KMS_WRAP, "rec", tasks, 0, &r), KMS_CODE_BAD_REQUEST);
	assert_int_equal(kms_batch(c, KMS_WRAP, "rec", tasks, BATCH_MAX + 1, &r), KMS_CODE_TOO_BIG);
	assert_int_equal(
	    kms_batch(c, (enum kms_batch_op)9, "rec", tasks, 1, &r), KMS_CODE_BAD_REQUEST);
	assert_int_equal(
	    kms_batch(c, (enum kms_batch_op)0, "rec", tasks, 1, &r), KMS_CODE_BAD_REQUEST);
	assert_int_equal(kms_issue(c, "rec", NULL, 1025, false, &r), KMS_CODE_TOO_BIG);
	assert_int_equal(kms_issue(c, "rec", &wide, 1, false, &r), KMS_CODE_BAD_REQUEST);
	assert_string_equal(kms_last_error(c)->name, err_name(KMS_E_BAD_CONTEXT));
	assert_int_equal(kms_key_change(c, (enum kms_key_op)0, NULL, &r), KMS_CODE_BAD_REQUEST);
	assert_int_equal(
	    kms_wrap(c, "rec", kms_bytes_of(big, FRAME_MAX), NULL, &r), KMS_CODE_TOO_BIG);
	assert_int_equal(kms_submit_issue(c, "rec", NULL, 1025, false, &id), KMS_CODE_TOO_BIG);
	assert_int_equal(kms_submit_batch(c, KMS_WRAP, "rec", tasks, 0, &id), KMS_CODE_BAD_REQUEST);
	assert_null(r);
	assert_int_equal(kms_in_flight(c), 0);
	assert_int_equal(f->requests, 0);
	free(big);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define WITH_FAKE(f) cmocka_unit_test_setup_teardown(f, canned_start, canned_stop)
		WITH_FAKE(service_calls_send_what_they_should),
		WITH_FAKE(key_calls_send_what_they_should),
		WITH_FAKE(data_calls_send_what_they_should),
		WITH_FAKE(who_asks_and_why_goes_with_every_request),
		WITH_FAKE(a_change_key_of_the_caller_is_used_once),
		WITH_FAKE(what_cannot_be_asked_is_refused_here),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
