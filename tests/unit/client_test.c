/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libkms against a fake kmsd: the exact request of every call (kms/client/ops.c, made in
 * kms/client/calls.c, kms/client/session.c) and every kind of answer as the public structs show
 * it (kms/client/result.c). Lost connections and hostile peers: client_fault_test.c.
 */
#include "kms/client/kms.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/unit/fake_kmsd.h"

enum {
	DEADLINE = 10000
};

/* ---- What the fake answers ---------------------------------------------------------------- */

#define TEXT(s)                                                                                    \
	{                                                                                          \
		.p = (const uint8_t *)(s), .n = sizeof(s) - 1                                      \
	}

static const uint8_t id16[16] = { 1, 2, 3 };
static const struct bytes words[] = { TEXT("landlock"), TEXT("seccomp") };
static const struct slot_info slot_list[] = {
	{ .id = { id16, 16 },
	    .kind = TEXT("tpm"),
	    .name = TEXT("tpm"),
	    .last = TEXT("ok"),
	    .detail = TEXT("a chip"),
	    .created_us = 7 },
	{ .id = { id16, 16 }, .kind = TEXT("tpm"), .name = TEXT("spare"), .last = TEXT("untried") },
};
static const struct version_info version_list[] = {
	{ .version = 1,
	    .state = TEXT("deactivated"),
	    .reason = TEXT("old"),
	    .created_us = 1,
	    .since_us = 2,
	    .issued = 3,
	    .wrapped = 4,
	    .unwrapped = 5,
	    .above_floor = true },
	{ .version = 2, .state = TEXT("active") },
};
static const struct key_info key_list[] = {
	{ .key = TEXT("rec"),
	    .id = { id16, 16 },
	    .key_class = TEXT("default"),
	    .algorithm = TEXT("xaes-256-gcm"),
	    .state = TEXT("active"),
	    .version = 2,
	    .floor = 1,
	    .version_count = 2,
	    .created_us = 8,
	    .rotate_every_s = 9,
	    .versions = version_list,
	    .version_n = 2 },
	{ .key = TEXT("crm"), .version = 1 },
};
static const struct item_result item_list[] = {
	{ .wrapped = TEXT("wrapped"),
	    .plaintext = TEXT("clear"),
	    .key = TEXT("rec"),
	    .version = 2,
	    .rewrap_advised = true },
	{ .error = { .err = KMS_E_INTEGRITY, .detail = TEXT("item 1") }, .compromised = true },
};

static const struct answer status_answer = { .kind = ANSWER_STATUS,
	.u.status = { .program = TEXT("kmsd 0.1.0"),
	    .state = TEXT("sealed"),
	    .why = TEXT("tpm_lockout"),
	    .audit_state = TEXT("ok"),
	    .instance = { id16, 16 },
	    .protocol = 1,
	    .wrapped_format = 2,
	    .store_schema = 3,
	    .connections = 4,
	    .keeper_starts = 5,
	    .epoch = 6,
	    .counter = 7,
	    .counter_moves = 8,
	    .keys = 9,
	    .versions = 10,
	    .audit_records = 11,
	    .started_us = 12,
	    .counter_behind = true,
	    .memory_locked = true,
	    .memory_hidden = true,
	    .sandbox = words,
	    .sandbox_n = 2,
	    .slots = slot_list,
	    .slot_n = 2 } };
static const struct answer whoami_answer = { .kind = ANSWER_WHOAMI,
	.u.whoami = {
	    .identity = TEXT("unix:1000"), .admin = true, .groups = words, .group_n = 2 } };

/* An answer that fits the operation, with as many items as were asked for. */
static struct answer answer_for(const struct request *r)
{
	static const struct item_result many[BATCH_MAX];
	size_t n = r->op == OP_ISSUE ? (r->count == 0 ? 1 : r->count) : r->item_count;

	switch (r->op) {
	case OP_STATUS: return status_answer;
	case OP_WHOAMI: return whoami_answer;
	case OP_METRICS:
		return (struct answer){ .kind = ANSWER_METRICS, .u.text = TEXT("kms_up 1\n") };
	case OP_RANDOM: return (struct answer){ .kind = ANSWER_RANDOM, .u.text = TEXT("dice") };
	case OP_INIT:
	case OP_SLOT_LIST:
	case OP_SLOT_CHECK:
		return (struct answer){ .kind = ANSWER_SLOTS, .u.slots = { slot_list, 2 } };
	case OP_UNSEAL:
	case OP_SEAL: return (struct answer){ .kind = ANSWER_DONE };
	case OP_KEY_LIST:
		return (struct answer){ .kind = ANSWER_KEYS, .u.keys = { key_list, 2, true } };
	case OP_ISSUE:
	case OP_WRAP:
	case OP_UNWRAP:
	case OP_REWRAP:
	case OP_MAC:
		return (struct answer){ .kind = ANSWER_ITEMS,
			.u.items = { n <= 2 ? item_list : many, n } };
	case OP_AUDIT_READ:
		return (struct answer){ .kind = ANSWER_RECORDS,
			.u.records = { .p = words, .n = 2, .first = 40, .size = 42 } };
	default: return (struct answer){ .kind = ANSWER_KEY, .u.key = key_list[0] };
	}
}

static bool serve_all(struct fake *f, const struct request *r)
{
	struct answer a = answer_for(r);

	a.id = r->id;
	fake_answer(f, &a);
	return true;
}

static int start(void **state)
{
	struct fake *f = calloc(1, sizeof(*f));

	CHECK(f != NULL);
	fake_start(f, serve_all, NULL);
	*state = f;
	return 0;
}

static int stop(void **state)
{
	struct fake *f = *state;

	fake_stop(f);
	free(f);
	return 0;
}

/* ---- The exact request of every call ------------------------------------------------------ */

static const struct kms_pair public_pairs[] = { { "call", { (const uint8_t *)"42", 2 } },
	{ "agent", { (const uint8_t *)"7", 1 } } };
static const struct kms_context context = { public_pairs, 2 };
static const struct pair wire_pairs[] = { { TEXT("call"), TEXT("42") },
	{ TEXT("agent"), TEXT("7") } };
static const struct item plain_item[] = { { .data = TEXT("data"), .context = { wire_pairs, 2 } } };
static const struct item moved_item[] = { { .data = TEXT("data"),
    .context = { wire_pairs, 2 },
    .new_context = { wire_pairs, 1 },
    .change_context = true } };
static const struct item two_items[] = { { .data = TEXT("data"), .context = { wire_pairs, 2 } },
	{ .data = TEXT("more") } };

/*
 * What the call must have sent, byte for byte; message_test holds the encoder itself against
 * protoc-c. `change`: with a fresh idempotency key.
 */
static void assert_sent(const struct fake *f, struct request want, bool change)
{
	AUTO(buf_done) struct buf frame = { .p = NULL };
	struct arena a;
	struct request got;

	arena_init(&a, FAKE_ARENA);
	assert_int_equal(request_decode(buf_bytes(&f->last), &a, &got), KMS_OK);
	assert_int_equal(got.idempotency_key.n, change ? IDEMPOTENCY_LEN : 0);
	assert_true(got.id != 0);
	want.id = got.id;
	want.idempotency_key = got.idempotency_key;
	assert_int_equal(request_encode(&want, &frame), KMS_OK);
	assert_int_equal(frame.n, FRAME_HEAD + f->last.n);
	assert_memory_equal(frame.p + FRAME_HEAD, f->last.p, f->last.n);
	arena_done(&a);
}

/* Evaluates a call that fills r, and holds its request against the fields given. */
#define SENDS(call, change, ...)                                                                   \
	do {                                                                                       \
		struct kms_result *r = NULL;                                                       \
		assert_int_equal((call), KMS_CODE_OK);                                             \
		assert_sent(f, (struct request){ __VA_ARGS__ }, (change));                         \
		kms_result_free(&r);                                                               \
	} while (0)

static void service_calls_send_what_they_should(void **state)
{
	struct fake *f = *state;
	AUTO(kms_close) struct kms *c = fake_client(f, DEADLINE);

	SENDS(kms_status(c, &r), false, .op = OP_STATUS);
	SENDS(kms_whoami(c, &r), false, .op = OP_WHOAMI);
	SENDS(kms_metrics(c, &r), false, .op = OP_METRICS);
	SENDS(kms_init(c, "tpm", &r), true, .op = OP_INIT, .slot = TEXT("tpm"));
	SENDS(kms_unseal(c, NULL), false, .op = OP_UNSEAL);
	SENDS(kms_unseal(c, "spare"), false, .op = OP_UNSEAL, .slot = TEXT("spare"));
	SENDS(kms_seal(c), false, .op = OP_SEAL);
	SENDS(kms_slot_list(c, &r), false, .op = OP_SLOT_LIST);
	SENDS(kms_slot_check(c, NULL, &r), false, .op = OP_SLOT_CHECK, .slot = TEXT("tpm"));
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

/* ---- Every kind of answer ----------------------------------------------------------------- */

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
#define WITH_FAKE(f) cmocka_unit_test_setup_teardown(f, start, stop)
		WITH_FAKE(service_calls_send_what_they_should),
		WITH_FAKE(key_calls_send_what_they_should),
		WITH_FAKE(data_calls_send_what_they_should),
		WITH_FAKE(who_asks_and_why_goes_with_every_request),
		WITH_FAKE(a_change_key_of_the_caller_is_used_once),
		WITH_FAKE(what_cannot_be_asked_is_refused_here),
		WITH_FAKE(status_is_shown_whole),
		WITH_FAKE(keys_are_shown_whole),
		WITH_FAKE(items_keep_their_own_errors),
		WITH_FAKE(the_other_answers_are_shown_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
