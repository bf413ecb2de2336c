/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole keeper in this process, with a chip that obeys the test: what a real TPM, a real disk or
 * patience would take too long for. Limits of algorithms, floors, full memory, every way in which
 * the counter and the store can disagree.
 */
#include "kms/keeper/changes.h"
#include "tests/unit/keeper_world.h"

static struct key *key_of(struct world *w, const char *name)
{
	return ring_find(w->rig.k.ring, bytes_of_str(name));
}

/* Issues one and keeps its wrapped form in `out`, 256 bytes of room. */
static struct bytes issue(struct world *w, const char *key, uint8_t *out)
{
	assert_int_equal(ask_key(w, OP_ISSUE, key), KMS_OK);
	struct bytes b = w->a.u.items.p[0].wrapped;
	assert_true(b.n > 0 && b.n < 256);
	memcpy(out, b.p, b.n);
	return bytes_of(out, b.n);
}

static kms_err unwrap(struct world *w, struct bytes blob)
{
	const struct item item = { .data = blob };
	return ask(w, (struct request){ .op = OP_UNWRAP, .items = &item, .item_count = 1 });
}

static void test_limit_of_gcm(void **state)
{
	struct world *w = *state;
	assert_int_equal(ask(w, (struct request){ .op = OP_KEY_CREATE,
	                            .key = bytes_of_str("gcm"),
	                            .algorithm = bytes_of_str("aes-256-gcm") }),
	    KMS_OK);
	struct key_version *v = &key_of(w, "gcm")->versions[0];
	const uint64_t limit = (uint64_t)1 << 32;
	v->used.issued = limit - 2 - v->used.wrapped;
	v->reserved.issued = v->used.issued + 1000000;
	assert_int_equal(ask_key(w, OP_ISSUE, "gcm"), KMS_OK);
	assert_int_equal(
	    ask(w, (struct request){ .op = OP_ISSUE, .key = bytes_of_str("gcm"), .count = 2 }),
	    KMS_E_USAGE_LIMIT);
	assert_int_equal(ask_key(w, OP_ISSUE, "gcm"), KMS_OK);
	assert_int_equal(ask_key(w, OP_ISSUE, "gcm"), KMS_E_USAGE_LIMIT);
	const struct item item = { .data = bytes_of_str("x") };
	assert_int_equal(
	    ask(w,
	        (struct request){
	            .op = OP_WRAP, .key = bytes_of_str("gcm"), .items = &item, .item_count = 1 }),
	    KMS_E_USAGE_LIMIT);
	/* A new version has a count of its own. */
	assert_int_equal(ask_key(w, OP_KEY_ROTATE, "gcm"), KMS_OK);
	assert_int_equal(ask_key(w, OP_ISSUE, "gcm"), KMS_OK);
}

static void test_xaes_has_no_such_limit(void **state)
{
	struct world *w = *state;
	struct key_version *v = &key_of(w, "rec")->versions[0];
	v->used.issued = (uint64_t)1 << 40;
	v->reserved.issued = v->used.issued + 1000000;
	assert_int_equal(ask_key(w, OP_ISSUE, "rec"), KMS_OK);
}

static void test_below_the_floor(void **state)
{
	struct world *w = *state;
	uint8_t room[256];
	struct bytes old = issue(w, "rec", room);
	assert_int_equal(ask_key(w, OP_KEY_ROTATE, "rec"), KMS_OK);
	assert_int_equal(unwrap(w, old), KMS_OK);
	key_of(w, "rec")->floor = 2;
	assert_int_equal(unwrap(w, old), KMS_E_BELOW_FLOOR);
	assert_int_equal(ask_key(w, OP_KEY_SHOW, "rec"), KMS_OK);
	assert_false(w->a.u.key.versions[0].above_floor);
	assert_true(w->a.u.key.versions[1].above_floor);
	key_of(w, "rec")->floor = 0;
	assert_int_equal(unwrap(w, old), KMS_OK);
}

static void test_memory_full(void **state)
{
	struct world *w = *state;
	kms_err e = KMS_OK;
	size_t made = 0;
	struct secret *held[8192];
	while (made < ARRAY_LEN(held) && secret_new(1, &held[made]) == KMS_OK)
		made++;
	e = ask_key(w, OP_KEY_CREATE, "more");
	assert_int_equal(e, KMS_E_KEYS_FULL);
	assert_int_equal(ask_key(w, OP_KEY_ROTATE, "rec"), KMS_E_KEYS_FULL);
	assert_int_equal(ask_key(w, OP_ISSUE, "rec"), KMS_OK);
	while (made > 0)
		secret_free(&held[--made]);
	assert_int_equal(ask_key(w, OP_KEY_CREATE, "more"), KMS_OK);
}

static struct status_info status(struct world *w)
{
	assert_int_equal(ask_key(w, OP_STATUS, ""), KMS_OK);
	return w->a.u.status;
}

static void test_counter_lags_and_catches_up(void **state)
{
	struct world *w = *state;
	uint64_t epoch = w->rig.k.epoch.number;
	uint64_t counter = fake_chip.counter;
	fake_chip.fails = KMS_E_TPM_FAILED;
	assert_int_equal(ask_key(w, OP_KEY_ROTATE, "rec"), KMS_OK);
	assert_true(status(w).counter_behind);
	/* Later changes keep the epoch at n+1 until the chip is there. */
	assert_int_equal(ask_key(w, OP_KEY_ROTATE, "rec"), KMS_OK);
	assert_int_equal(w->rig.k.epoch.number, epoch + 1);
	assert_int_equal(fake_chip.counter, counter);
	fake_chip.fails = KMS_OK;
	assert_int_equal(ask_key(w, OP_KEY_ROTATE, "rec"), KMS_OK);
	assert_false(status(w).counter_behind);
	/* Once for the epoch that lagged, and once more to leave it. */
	while (fake_chip.counter != counter + 2)
		assert_int_equal(ask_key(w, OP_KEY_SHOW, "rec"), KMS_OK);
	assert_int_equal(w->rig.k.epoch.number, epoch + 2);
	assert_int_equal(ask_key(w, OP_KEY_ROTATE, "rec"), KMS_OK);
	assert_int_equal(fake_chip.counter, counter + 3);
}

/* Seals, lets the counter differ by so much from what the store says, and tries to open. */
static kms_err reopen_with(struct world *w, int64_t difference)
{
	assert_int_equal(ask_key(w, OP_SEAL, ""), KMS_OK);
	fake_chip.counter = (uint64_t)((int64_t)fake_chip.counter + difference);
	return ask_key(w, OP_UNSEAL, "");
}

static void test_counter_and_store(void **state)
{
	struct world *w = *state;
	uint64_t right = fake_chip.counter;
	assert_int_equal(reopen_with(w, 0), KMS_OK);
	/* A crash between the commit and the increment: made up for. */
	assert_int_equal(reopen_with(w, -1), KMS_OK);
	assert_int_equal(fake_chip.counter, right);
	/* An old store. */
	assert_int_equal(reopen_with(w, +1), KMS_E_ROLLBACK);
	assert_int_equal(ask_key(w, OP_ISSUE, "rec"), KMS_E_SEALED);
	assert_string_equal("rollback", err_name(root_last(w->rig.k.root)));
	/* Another counter. */
	fake_chip.counter = right - 2;
	assert_int_equal(ask_key(w, OP_UNSEAL, ""), KMS_E_COUNTER_GONE);
	fake_chip.counter = right;
	assert_int_equal(ask_key(w, OP_UNSEAL, ""), KMS_OK);
	assert_int_equal(ask_key(w, OP_ISSUE, "rec"), KMS_OK);
}

static void test_other_root(void **state)
{
	struct world *w = *state;
	assert_int_equal(ask_key(w, OP_SEAL, ""), KMS_OK);
	fake_chip.flips = 1;
	assert_int_equal(ask_key(w, OP_UNSEAL, ""), KMS_E_INTEGRITY);
	fake_chip.flips = 0;
	assert_int_equal(ask_key(w, OP_UNSEAL, ""), KMS_OK);
}

static kms_err unseal_slot(struct world *w, const char *slot)
{
	return ask(w, (struct request){ .op = OP_UNSEAL, .slot = bytes_of_str(slot) });
}

static void test_unseal_by_name(void **state)
{
	struct world *w = *state;
	assert_int_equal(unseal_slot(w, "none"), KMS_E_NOT_FOUND);
	assert_int_equal(ask_key(w, OP_SEAL, ""), KMS_OK);
	assert_int_equal(unseal_slot(w, "none"), KMS_E_NOT_FOUND);
	assert_int_equal(unseal_slot(w, "tpm"), KMS_OK);
	assert_int_equal(unseal_slot(w, "tpm"), KMS_OK); /* already */
}

static void test_slot_check(void **state)
{
	struct world *w = *state;
	assert_int_equal(
	    ask(w, (struct request){ .op = OP_SLOT_CHECK, .slot = bytes_of_str("tpm") }), KMS_OK);
	assert_int_equal(w->a.u.slots.n, 1);
	assert_true(bytes_equal(w->a.u.slots.p[0].detail, bytes_of_str("a fake chip")));
	assert_int_equal(
	    ask(w, (struct request){ .op = OP_SLOT_CHECK, .slot = bytes_of_str("moon") }),
	    KMS_E_SLOT_CONFIG);
	fake_chip.fails = KMS_E_TPM_UNREACHABLE;
	assert_int_equal(ask_key(w, OP_SLOT_CHECK, ""), KMS_E_TPM_UNREACHABLE);
}

static void test_idempotency(void **state)
{
	struct world *w = *state;
	struct request q = { .op = OP_KEY_ROTATE,
		.key = bytes_of_str("rec"),
		.idempotency_key = bytes_of("sixteen bytes ok", IDEMPOTENCY_LEN) };
	assert_int_equal(ask(w, q), KMS_OK);
	assert_int_equal(ask(w, q), KMS_OK);
	assert_int_equal(w->a.u.key.version, 2);
	/* It survives a seal, for it stands in the store. */
	assert_int_equal(reopen_with(w, 0), KMS_OK);
	assert_int_equal(ask(w, q), KMS_OK);
	assert_int_equal(w->a.u.key.version, 2);
	q.op = OP_KEY_SUSPEND;
	assert_int_equal(ask(w, q), KMS_E_CONFLICT);
	q.idempotency_key.n = 15;
	assert_int_equal(ask(w, q), KMS_E_BAD_REQUEST);
}

static void test_many_versions_are_listed_to_a_bound(void **state)
{
	struct world *w = *state;
	for (int i = 0; i < 40; i++)
		assert_int_equal(ask_key(w, OP_KEY_ROTATE, "rec"), KMS_OK);
	assert_int_equal(ask_key(w, OP_KEY_SHOW, "rec"), KMS_OK);
	assert_int_equal(w->a.u.key.version_n, 41);
	assert_int_equal(w->a.u.key.version, 41);
	assert_int_equal(key_of(w, "rec")->versions[40].state, STATE_ACTIVE);
}

static void test_expanded_keys_are_bounded(void **state)
{
	struct world *w = *state;
	static uint8_t rooms[700][256];
	static struct bytes blobs[700];
	for (size_t i = 0; i < ARRAY_LEN(blobs); i++) {
		blobs[i] = issue(w, "rec", rooms[i]);
		assert_int_equal(ask_key(w, OP_KEY_ROTATE, "rec"), KMS_OK);
	}
	for (size_t i = 0; i < ARRAY_LEN(blobs); i++)
		assert_int_equal(unwrap(w, blobs[i]), KMS_OK);
	size_t cached = 0;
	const struct key *key = key_of(w, "rec");
	for (size_t i = 0; i < key->n; i++)
		cached += key->versions[i].cached != NULL;
	assert_true(cached > 1 && cached <= 512);
}

/* Puts a request into the socket, for the next turn. */
static void put(int fd, struct request q)
{
	AUTO(buf_done) struct buf frame = { 0 };
	q.id = 99;
	assert_int_equal(request_encode(&q, &frame), KMS_OK);
	assert_int_equal(send(fd, frame.p, frame.n, MSG_NOSIGNAL), frame.n);
}

/* A first use, which reserves a counter, and another request come in the same turn of the loop. */
static void first_use_beside(struct world *w, enum op op, const char *key)
{
	int other = rig_connect(&w->rig);
	/* Seen as a peer before the turn that counts. */
	assert_int_equal(ask_key(w, OP_WHOAMI, ""), KMS_OK);
	put(other, (struct request){ .op = OP_ISSUE, .key = bytes_of_str("rec") });
	assert_int_equal(ask_key(w, op, key), KMS_OK);
	(void)close(other);
}

/*
 * Each of these ended with a set hash that swore to a row nobody had written: an old copy, as it
 * seemed, for ever after.
 */
static void test_first_use_beside_a_change(void **state)
{
	struct world *w = *state;
	assert_int_equal(reopen_with(w, 0), KMS_OK);
	first_use_beside(w, OP_KEY_CREATE, "beside");
	assert_int_equal(reopen_with(w, 0), KMS_OK);
	assert_int_equal(ask_key(w, OP_ISSUE, "beside"), KMS_OK);
}

static void test_first_use_beside_a_seal(void **state)
{
	struct world *w = *state;
	assert_int_equal(ask_key(w, OP_KEY_CREATE, "used"), KMS_OK);
	assert_int_equal(reopen_with(w, 0), KMS_OK);
	assert_int_equal(ask_key(w, OP_ISSUE, "used"), KMS_OK);
	first_use_beside(w, OP_SEAL, "");
	assert_int_equal(ask_key(w, OP_UNSEAL, ""), KMS_OK);
	assert_int_equal(ask_key(w, OP_ISSUE, "rec"), KMS_OK);
}

static void test_seal_twice(void **state)
{
	struct world *w = *state;
	assert_int_equal(ask_key(w, OP_SEAL, ""), KMS_OK);
	assert_int_equal(ask_key(w, OP_SEAL, ""), KMS_OK);
	assert_int_equal(ask_key(w, OP_ISSUE, "rec"), KMS_E_SEALED);
	assert_int_equal(ask_key(w, OP_UNSEAL, ""), KMS_OK);
}

static void test_audit_read_bounds(void **state)
{
	struct world *w = *state;
	struct request q = { .op = OP_AUDIT_READ, .from = UINT64_MAX, .count = 3 };
	assert_int_equal(ask(w, q), KMS_OK);
	assert_int_equal(w->a.u.records.n, 3);
	q.count = 1001;
	assert_int_equal(ask(w, q), KMS_E_BATCH_TOO_BIG);
	q = (struct request){ .op = OP_AUDIT_READ, .from = 1000000000, .count = 3 };
	assert_int_equal(ask(w, q), KMS_OK);
	assert_int_equal(w->a.u.records.n, 0);
}

static void test_only_one_root(void **state)
{
	struct world *w = *state;
	assert_int_equal(ask_key(w, OP_INIT, ""), KMS_E_INITIALISED);
}

/* A chip that fails while the root is made leaves nothing half-made. */
static void test_root_that_can_not_be_made(void **state)
{
	struct world w = { .fd = -1 };
	(void)state;
	fake_chip = (struct fake_chip){ .fails = KMS_E_TPM_OWNER };
	assert_int_equal(rig_open(&w.rig), KMS_OK);
	arena_init(&w.arena, 16 << 20);
	rig_until(&w.rig, ROOT_UNINITIALISED);
	w.fd = rig_connect(&w.rig);
	assert_int_equal(ask_key(&w, OP_INIT, ""), KMS_E_TPM_OWNER);
	assert_int_equal(ask_key(&w, OP_ISSUE, "rec"), KMS_E_NOT_INITIALISED);
	assert_int_equal(ask_key(&w, OP_SLOT_LIST, ""), KMS_OK);
	assert_int_equal(w.a.u.slots.n, 0);
	fake_chip.fails = KMS_OK;
	assert_int_equal(ask_key(&w, OP_INIT, ""), KMS_OK);
	assert_int_equal(ask_key(&w, OP_KEY_CREATE, "rec"), KMS_OK);
	(void)close(w.fd);
	buf_done(&w.in);
	arena_done(&w.arena);
	rig_close(&w.rig);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, world_set_up, world_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(test_limit_of_gcm),
		TEST(test_xaes_has_no_such_limit), TEST(test_below_the_floor),
		TEST(test_memory_full), TEST(test_counter_lags_and_catches_up),
		TEST(test_counter_and_store), TEST(test_other_root), TEST(test_unseal_by_name),
		TEST(test_slot_check), TEST(test_idempotency),
		TEST(test_many_versions_are_listed_to_a_bound),
		TEST(test_expanded_keys_are_bounded), TEST(test_audit_read_bounds),
		TEST(test_first_use_beside_a_change), TEST(test_first_use_beside_a_seal),
		TEST(test_seal_twice), TEST(test_only_one_root),
		cmocka_unit_test(test_root_that_can_not_be_made) };
	return cmocka_run_group_tests_name("keeper", tests, NULL, NULL);
}
