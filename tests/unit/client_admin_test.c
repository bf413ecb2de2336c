/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libkms against a fake kmsd, the part for who runs it: the exact request of each call of
 * kms_admin.h (kms/client/ops_admin.c), and what its answers look like: shares, ceremonies,
 * backups, proofs.
 */
#include "kms/client/kms.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "kms/client/result.h"
#include "tests/unit/fake_kmsd.h"

enum {
	DEADLINE = 10000,
	SHORT = 20 /* ms */
};

#define TEXT(s)                                                                                    \
	{                                                                                          \
		.p = (const uint8_t *)(s), .n = sizeof(s) - 1                                      \
	}

static const uint8_t id16[16] = { 1, 2, 3 };
static const struct bytes share_list[] = { TEXT("KMS1QQ"), TEXT("KMS1PP") };
static const struct slot_info slot_list[] = {
	{ .id = { id16, 16 }, .kind = TEXT("tpm"), .name = TEXT("tpm"), .last = TEXT("ok") },
	{ .kind = TEXT("shares"), .name = TEXT("shares"), .detail = TEXT("2 of 3") },
};
#define CEREMONY                                                                                   \
	{                                                                                          \
		.nonce = { id16, 16 }, .set = { id16, 4 }, .needed = 3, .have = 2, .expires_us = 9 \
	}
static const struct backup_info backup_list[] = {
	{ .name = TEXT("a.kmsb"),
	    .id = { id16, 16 },
	    .created_us = 1,
	    .expires_us = 2,
	    .size = 3,
	    .epoch = 4,
	    .audit_records = 5,
	    .rows = 6,
	    .state = TEXT("ok"),
	    .slots = slot_list,
	    .slot_n = 2 },
	{ .name = TEXT("b.kmsb"), .state = TEXT("integrity"), .detail = TEXT("cut") },
};
static const struct answer backups_answer = { .kind = ANSWER_BACKUPS,
	.u.backups = { backup_list, 2 } };
static const struct answer status_answer = { .kind = ANSWER_STATUS,
	.u.status = { .state = TEXT("sealed"),
	    .counter_state = TEXT("unchecked"),
	    .backup_state = TEXT("late"),
	    .rehearsal_state = TEXT("off"),
	    .restoring = TEXT("a.kmsb"),
	    .ceremony = CEREMONY,
	    .backup_us = 7,
	    .rehearsal_us = 8 } };

static struct answer answer_for(const struct request *r)
{
	switch (r->op) {
	case OP_STATUS: return status_answer;
	case OP_UNSEAL:
		if (r->share.n > 0)
			return (struct answer){ .kind = ANSWER_CEREMONY, .u.ceremony = CEREMONY };
		return (struct answer){ .kind = ANSWER_DONE };
	case OP_SEAL:
	case OP_BACKUP_REHEARSED: return (struct answer){ .kind = ANSWER_DONE };
	case OP_KEY_PROVE: return (struct answer){ .kind = ANSWER_PROOF, .u.text = TEXT("hmac") };
	case OP_BACKUP_CREATE:
	case OP_BACKUP_LIST:
	case OP_BACKUP_VERIFY:
	case OP_BACKUP_RESTORE: return backups_answer;
	default:
		return (struct answer){ .kind = ANSWER_SLOTS,
			.u.slots = { .p = slot_list,
			    .n = 2,
			    .shares = share_list,
			    .share_n = r->shares_total > 0 ? 2 : 0 } };
	}
}

static bool serve_all(struct fake *f, const struct request *r)
{
	struct answer a = answer_for(r);

	a.id = r->id;
	fake_answer(f, &a);
	return true;
}

/* Gives each operation what another one should get. */
static bool serve_crossed(struct fake *f, const struct request *r)
{
	const struct answer a = { .id = r->id,
		.kind = r->op == OP_SEAL ? ANSWER_CEREMONY : ANSWER_DONE };

	if (f->requests > 2)
		return false;
	fake_answer(f, &a);
	return true;
}

/* Answers a slot's work long after one answer's deadline has passed. */
static bool serve_late(struct fake *f, const struct request *r)
{
	struct pollfd p = { .fd = f->stop, .events = POLLIN };

	(void)poll(&p, 1, 2 * SHORT);
	return serve_all(f, r);
}

static struct fake *start_with(bool (*serve)(struct fake *, const struct request *))
{
	struct fake *f = calloc(1, sizeof(*f));

	CHECK(f != NULL);
	fake_start(f, serve, NULL);
	return f;
}

static int start(void **state)
{
	*state = start_with(serve_all);
	return 0;
}

static int start_crossed(void **state)
{
	*state = start_with(serve_crossed);
	return 0;
}

static int start_late(void **state)
{
	*state = start_with(serve_late);
	return 0;
}

static int stop(void **state)
{
	struct fake *f = *state;

	fake_stop(f);
	free(f);
	return 0;
}

/* What the call must have sent, byte for byte. `change`: with a fresh idempotency key. */
static void assert_sent(const struct fake *f, struct request want, bool change)
{
	AUTO(buf_done) struct buf frame = { .p = NULL };
	struct arena a;
	struct request got;

	arena_init(&a, FAKE_ARENA);
	assert_int_equal(request_decode(buf_bytes(&f->last), &a, &got), KMS_OK);
	assert_int_equal(got.idempotency_key.n, change ? IDEMPOTENCY_LEN : 0);
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

static void slot_calls_send_what_they_should(void **state)
{
	const struct kms_opener chip = { .slot = "tpm" };
	const struct kms_opener both = {
		.slot = "pkcs11:token=a b", .shares_needed = 2, .shares_total = 3
	};
	const struct kms_opener sure = { .confirm = kms_bytes_of(id16, 16) };
	const struct kms_opener dry = { .shares_needed = 2, .shares_total = 2, .dry_run = true };
	struct fake *f = *state;
	AUTO(kms_close) struct kms *c = fake_client(f, DEADLINE);

	SENDS(kms_init(c, &chip, &r), true, .op = OP_INIT, .slot = TEXT("tpm"));
	SENDS(kms_init(c, &both, &r), true, .op = OP_INIT, .slot = TEXT("pkcs11:token=a b"),
	    .shares_needed = 2, .shares_total = 3);
	SENDS(kms_init(c, &dry, &r), false, .op = OP_INIT, .shares_needed = 2, .shares_total = 2,
	    .dry_run = true);
	SENDS(kms_slot_add(c, &both, &r), true, .op = OP_SLOT_ADD, .slot = TEXT("pkcs11:token=a b"),
	    .shares_needed = 2, .shares_total = 3);
	SENDS(kms_slot_add(c, &sure, &r), true, .op = OP_SLOT_ADD, .confirm = { id16, 16 });
	SENDS(kms_slot_remove(c, "tpm", false, false, &r), true, .op = OP_SLOT_REMOVE,
	    .slot = TEXT("tpm"));
	SENDS(kms_slot_remove(c, "tpm", true, true, &r), false, .op = OP_SLOT_REMOVE,
	    .slot = TEXT("tpm"), .rely_on_shares = true, .dry_run = true);
	SENDS(kms_slot_list(c, &r), false, .op = OP_SLOT_LIST);
	SENDS(kms_slot_check(c, NULL, &r), false, .op = OP_SLOT_CHECK, .slot = TEXT("tpm"));
	SENDS(kms_slot_check(c, "hsm", &r), false, .op = OP_SLOT_CHECK, .slot = TEXT("hsm"));
}

static void root_calls_send_what_they_should(void **state)
{
	static const char *const left[] = { "hsm", "shares" };
	static const struct bytes left_out[] = { TEXT("hsm"), TEXT("shares") };
	const struct kms_rotation plain = { .leave_out = NULL };
	const struct kms_rotation all = {
		.leave_out = left, .leave_out_n = 2, .renew_store = true, .dry_run = true
	};
	const struct kms_rotation sure = { .confirm = kms_bytes_of(id16, 16) };
	const struct kms_unseal_with share = { .share = kms_bytes_of("KMS1", 4),
		.ceremony = kms_bytes_of(id16, 16) };
	const struct kms_unseal_with old = { .slot = "tpm", .accept_restore = true };
	const struct kms_unseal_with end = { .cancel = true };
	struct fake *f = *state;
	AUTO(kms_close) struct kms *c = fake_client(f, DEADLINE);

	SENDS(kms_unseal(c, NULL, NULL), false, .op = OP_UNSEAL);
	SENDS(kms_unseal(c, &share, &r), false, .op = OP_UNSEAL, .share = TEXT("KMS1"),
	    .ceremony = { id16, 16 });
	SENDS(kms_unseal(c, &old, &r), false, .op = OP_UNSEAL, .slot = TEXT("tpm"),
	    .accept_restore = true);
	SENDS(kms_unseal(c, &end, NULL), false, .op = OP_UNSEAL, .cancel = true);
	SENDS(kms_seal(c), false, .op = OP_SEAL);
	SENDS(kms_root_rotate(c, &plain, &r), true, .op = OP_ROOT_ROTATE);
	SENDS(kms_root_rotate(c, &sure, &r), true, .op = OP_ROOT_ROTATE, .confirm = { id16, 16 });
	SENDS(kms_root_rotate(c, &all, &r), false, .op = OP_ROOT_ROTATE, .leave_out = left_out,
	    .leave_out_n = 2, .renew_store = true, .dry_run = true);
	SENDS(kms_key_prove(c, "rec", 3, kms_bytes_of(id16, 16), &r), false, .op = OP_KEY_PROVE,
	    .key = TEXT("rec"), .version = 3, .challenge = { id16, 16 });
}

static void backup_calls_send_what_they_should(void **state)
{
	struct fake *f = *state;
	AUTO(kms_close) struct kms *c = fake_client(f, DEADLINE);

	SENDS(kms_backup_create(c, &r), true, .op = OP_BACKUP_CREATE);
	SENDS(kms_backup_list(c, &r), false, .op = OP_BACKUP_LIST);
	SENDS(kms_backup_verify(c, "a", &r), false, .op = OP_BACKUP_VERIFY, .key = TEXT("a"));
	SENDS(
	    kms_backup_restore(c, "a", false, &r), true, .op = OP_BACKUP_RESTORE, .key = TEXT("a"));
	SENDS(kms_backup_restore(c, "a", true, &r), false, .op = OP_BACKUP_RESTORE,
	    .key = TEXT("a"), .dry_run = true);
	SENDS(kms_backup_rehearsed(c, "a", true, 7), true, .op = OP_BACKUP_REHEARSED,
	    .key = TEXT("a"), .failed = true, .count = 7);
}

static void shares_are_lines_of_text(void **state)
{
	const struct kms_opener with = { .shares_needed = 2, .shares_total = 2 };
	const struct kms_opener without = { .slot = "tpm" };
	AUTO(kms_close) struct kms *c = fake_client(*state, DEADLINE);
	AUTO(kms_result_free) struct kms_result *r = NULL, *none = NULL;
	size_t n;

	assert_int_equal(kms_init(c, &with, &r), KMS_CODE_OK);
	const char *const *shares = kms_result_shares(r, &n);
	assert_int_equal(n, 2);
	assert_string_equal(shares[0], "KMS1QQ");
	assert_string_equal(shares[1], "KMS1PP");
	assert_string_equal(kms_result_slots(r, &n)[1].detail, "2 of 3");
	assert_null(kms_result_ceremony(r));
	assert_null(kms_result_backups(r, &n));

	assert_int_equal(kms_slot_add(c, &without, &none), KMS_CODE_OK);
	(void)kms_result_shares(none, &n);
	assert_int_equal(n, 0);
}

/* The copy that was made of the message and every text lie in the arena, which is wiped. */
static void shares_lie_in_memory_that_is_wiped(void **state)
{
	const struct kms_opener with = { .shares_needed = 2, .shares_total = 2 };
	AUTO(kms_close) struct kms *c = fake_client(*state, DEADLINE);
	AUTO(kms_result_free) struct kms_result *r = NULL;
	size_t n;

	assert_int_equal(kms_init(c, &with, &r), KMS_CODE_OK);
	const char *share = kms_result_shares(r, &n)[1];
	assert_string_equal(share, "KMS1PP");
	/* Keeps its first block, so that the same place can be looked at. */
	arena_reset(&r->arena);
	assert_int_equal(share[0], 0);
	assert_int_equal(share[5], 0);
}

static void a_ceremony_is_told_from_being_unsealed(void **state)
{
	const struct kms_unseal_with share = { .share = kms_bytes_of("KMS1", 4) };
	AUTO(kms_close) struct kms *c = fake_client(*state, DEADLINE);
	AUTO(kms_result_free) struct kms_result *r = NULL, *done = NULL;

	assert_int_equal(kms_unseal(c, &share, &r), KMS_CODE_OK);
	const struct kms_ceremony *x = kms_result_ceremony(r);
	assert_int_equal(x->needed * 10 + x->have, 32);
	assert_int_equal(x->expires_us, 9);
	assert_memory_equal(x->nonce.p, id16, 16);
	assert_int_equal(x->set.n, 4);
	assert_int_equal(kms_unseal(c, NULL, &done), KMS_CODE_OK);
	assert_null(kms_result_ceremony(done));
}

static void backups_are_shown_whole(void **state)
{
	AUTO(kms_close) struct kms *c = fake_client(*state, DEADLINE);
	AUTO(kms_result_free) struct kms_result *r = NULL;
	size_t n;

	assert_int_equal(kms_backup_list(c, &r), KMS_CODE_OK);
	const struct kms_backup *b = kms_result_backups(r, &n);
	assert_int_equal(n, 2);
	assert_string_equal(b[0].name, "a.kmsb");
	assert_string_equal(b[0].state, "ok");
	assert_memory_equal(b[0].id.p, id16, 16);
	assert_int_equal(b[0].created_us * 100 + b[0].expires_us * 10 + b[0].size, 123);
	assert_int_equal(b[0].epoch * 100 + b[0].audit_records * 10 + b[0].rows, 456);
	assert_int_equal(b[0].slot_n, 2);
	assert_string_equal(b[0].slots[1].name, "shares");
	assert_string_equal(b[1].detail, "cut");
	assert_int_equal(b[1].slot_n, 0);
	assert_null(kms_result_shares(r, &n));
	assert_int_equal(n, 0);
}

static void a_proof_is_bytes(void **state)
{
	AUTO(kms_close) struct kms *c = fake_client(*state, DEADLINE);
	AUTO(kms_result_free) struct kms_result *r = NULL;

	assert_int_equal(kms_key_prove(c, "rec", 0, kms_bytes_of(id16, 16), &r), KMS_CODE_OK);
	assert_memory_equal(kms_result_bytes(r).p, "hmac", 4);
}

static void status_says_how_backups_are(void **state)
{
	AUTO(kms_close) struct kms *c = fake_client(*state, DEADLINE);
	AUTO(kms_result_free) struct kms_result *r = NULL;

	assert_int_equal(kms_status(c, &r), KMS_CODE_OK);
	const struct kms_status *s = kms_result_status(r);
	assert_string_equal(s->counter_state, "unchecked");
	assert_string_equal(s->backup_state, "late");
	assert_string_equal(s->rehearsal_state, "off");
	assert_string_equal(s->restoring, "a.kmsb");
	assert_int_equal(s->backup_us * 10 + s->rehearsal_us, 78);
	assert_int_equal(s->ceremony.have, 2);
	assert_int_equal(s->ceremony.nonce.n, 16);
}

/* Several slots, one after the other, take longer than one answer may. */
static void work_on_slots_may_take_long(void **state)
{
	const struct kms_opener with = { .slot = "tpm" };
	AUTO(kms_close) struct kms *c = fake_client(*state, SHORT);
	AUTO(kms_result_free) struct kms_result *r = NULL, *late = NULL;

	assert_int_equal(kms_slot_add(c, &with, &r), KMS_CODE_OK);
	assert_int_equal(kms_status(c, &late), KMS_CODE_UNAVAILABLE);
	assert_string_equal(kms_last_error(c)->name, err_name(KMS_E_TIMED_OUT));
}

static void answers_of_another_kind_are_refused(void **state)
{
	AUTO(kms_close) struct kms *c = fake_client(*state, DEADLINE);
	struct kms_result *r = NULL;

	assert_int_equal(kms_seal(c), KMS_CODE_UNAVAILABLE);
	assert_string_equal(kms_last_error(c)->name, err_name(KMS_E_BAD_ANSWER));
	assert_int_equal(kms_backup_list(c, &r), KMS_CODE_UNAVAILABLE);
	assert_null(r);
}

static void too_many_slots_to_leave_out_are_refused(void **state)
{
	static const char *const names[17] = { "a" };
	const struct kms_rotation how = { .leave_out = names, .leave_out_n = 17 };
	struct fake *f = *state;
	AUTO(kms_close) struct kms *c = fake_client(f, DEADLINE);
	struct kms_result *r = NULL;

	assert_int_equal(kms_root_rotate(c, &how, &r), KMS_CODE_BAD_REQUEST);
	assert_null(r);
	assert_int_equal(f->requests, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define WITH_FAKE(f) cmocka_unit_test_setup_teardown(f, start, stop)
		WITH_FAKE(slot_calls_send_what_they_should),
		WITH_FAKE(root_calls_send_what_they_should),
		WITH_FAKE(backup_calls_send_what_they_should),
		WITH_FAKE(shares_are_lines_of_text),
		WITH_FAKE(shares_lie_in_memory_that_is_wiped),
		WITH_FAKE(a_ceremony_is_told_from_being_unsealed),
		WITH_FAKE(backups_are_shown_whole),
		WITH_FAKE(a_proof_is_bytes),
		WITH_FAKE(status_says_how_backups_are),
		cmocka_unit_test_setup_teardown(work_on_slots_may_take_long, start_late, stop),
		cmocka_unit_test_setup_teardown(
		    answers_of_another_kind_are_refused, start_crossed, stop),
		WITH_FAKE(too_many_slots_to_leave_out_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
