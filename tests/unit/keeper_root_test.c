/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The root and what guards against an old store, in a whole keeper with hardware that obeys the
 * test: a new root, a counter whose hardware is silent, gone or ahead, openings that overlap.
 */
#include "tests/unit/keeper_slots.h"

static void a_removed_slot_takes_its_counter_along(void **state)
{
	struct world *w = *state;
	assert_true(w->rig.k.epoch.counted);
	assert_int_equal(add_slot(w, "hsm"), KMS_OK);
	assert_int_equal(remove_slot(w, "tpm", false), KMS_OK);
	assert_false(w->rig.k.epoch.counted);
	fake_chip.fails = KMS_E_TPM_UNREACHABLE;
	assert_int_equal(seal_and_open(w), KMS_OK);
	assert_int_equal(ask_key(w, OP_KEY_ROTATE, "rec"), KMS_OK);
	fake_chip.fails = KMS_OK;
	/* A new chip counts from where it stands. */
	fake_chip.counter = 1000;
	assert_int_equal(add_slot(w, "tpm"), KMS_OK);
	assert_true(w->rig.k.epoch.counted);
	assert_int_equal(fake_chip.counter, 1002);
	assert_int_equal(ask_key(w, OP_KEY_ROTATE, "rec"), KMS_OK);
	assert_int_equal(fake_chip.counter, 1003);
	assert_int_equal(seal_and_open(w), KMS_OK);
}

/* Openings that overlap: answers for one are not taken by another. */
static void answers_of_another_opening_are_dropped(void **state)
{
	struct world *w = *state;
	const struct request seal = { .id = 1, .op = OP_SEAL }, open = { .id = 2, .op = OP_UNSEAL };
	for (int i = 0; i < 20; i++) {
		int fds[5];
		for (size_t n = 0; n < ARRAY_LEN(fds); n++)
			fds[n] = send_only(w, n % 2 == 0 ? &seal : &open);
		for (int turns = 0; turns < i; turns++)
			assert_true(keeper_turn(&w->rig.k));
		/* Some of them may still be on their way. */
		while (ask_key(w, OP_UNSEAL, "") != KMS_OK || ask_key(w, OP_ISSUE, "rec") != KMS_OK)
			continue;
		for (size_t n = 0; n < ARRAY_LEN(fds); n++)
			(void)close(fds[n]);
	}
}

static void a_counter_without_a_section_can_be_given_up(void **state)
{
	struct world *w = *state;
	const struct config_slot tpm = w->rig.config.slots[0], hsm = w->rig.config.slots[1];
	assert_int_equal(add_slot(w, "hsm"), KMS_OK);
	w->rig.config.slots[0] = hsm;
	w->rig.config.slot_n = 1;
	assert_int_equal(seal_and_open(w), KMS_OK);
	assert_int_equal(remove_slot(w, "tpm", false), KMS_OK);
	assert_false(w->rig.k.epoch.counted);
	assert_int_equal(seal_and_open(w), KMS_OK);
	is_open(w);
	w->rig.config.slots[0] = tpm;
	w->rig.config.slot_n = 2;
}

static void an_older_store_of_the_same_epoch_is_noticed(void **state)
{
	struct world *w = *state;
	struct keeper *k = &w->rig.k;
	assert_int_equal(add_slot(w, "hsm"), KMS_OK);
	fake_chip.fails = KMS_E_TPM_UNREACHABLE;
	assert_int_equal(seal_and_open(w), KMS_OK);
	uint64_t epoch = k->epoch.number, counter = fake_chip.counter;
	assert_int_equal(ask_key(w, OP_KEY_ROTATE, "rec"), KMS_OK);
	assert_int_equal(k->epoch.number, epoch);
	fake_chip.fails = KMS_OK;
	changes_retry_counter(k->changes);
	/* Its epoch is left as soon as the counter answers, without anybody asking. */
	while (fake_chip.counter == counter)
		assert_int_equal(ask_key(w, OP_KEY_SHOW, "rec"), KMS_OK);
	assert_int_equal(k->epoch.number, epoch + 1);
	assert_int_equal(seal_and_open(w), KMS_OK);
}

static void leaving_out_shares_takes_them_away(void **state)
{
	struct world *w = *state;
	struct lines l = { 0 };
	const struct bytes shares = bytes_of_str("shares");
	const struct request rotate = {
		.op = OP_ROOT_ROTATE, .leave_out = &shares, .leave_out_n = 1
	};
	add_shares(w, &l);
	assert_int_equal(ask(w, rotate), KMS_OK);
	assert_int_equal(w->a.u.slots.share_n, 0);
	assert_int_equal(slot_count(w), 1);
	assert_int_equal(seal_and_open(w), KMS_OK);
}

static void a_dry_run_of_init_makes_nothing(void **state)
{
	struct world *w = *state;
	(void)close(w->fd);
	rig_stop(&w->rig);
	(void)nftw(w->rig.config.store, rig_remove_one, 8, FTW_DEPTH | FTW_PHYS);
	assert_int_equal(mkdir(w->rig.config.store, 0700), 0);
	assert_int_equal(rig_start(&w->rig), KMS_OK);
	rig_until(&w->rig, ROOT_UNINITIALISED);
	w->fd = rig_connect(&w->rig);
	assert_int_equal(ask(w, (struct request){ .op = OP_INIT, .dry_run = true }), KMS_OK);
	assert_int_equal(root_state(w->rig.k.root), ROOT_UNINITIALISED);
	assert_int_equal(ask_key(w, OP_INIT, ""), KMS_OK);
}

static void a_new_root_opens_by_every_slot(void **state)
{
	struct world *w = *state;
	struct lines old = { 0 }, l = { 0 };
	uint8_t was[KEY_BITS_LEN];
	add_shares(w, &old);
	assert_int_equal(add_slot(w, "hsm"), KMS_OK);
	memcpy(was, secret_bytes(w->rig.k.root->key).p, sizeof(was));
	uint64_t counter = fake_chip.counter;
	assert_int_equal(ask_key(w, OP_ROOT_ROTATE, ""), KMS_OK);
	keep_lines(w, &l);
	assert_memory_equal(was, secret_bytes(w->rig.k.root->key).p, sizeof(was));
	assert_int_equal(confirm(w, OP_ROOT_ROTATE, &l), KMS_OK);
	assert_memory_not_equal(was, secret_bytes(w->rig.k.root->key).p, sizeof(was));
	assert_int_equal(fake_chip.counter, counter + 1);
	fake_token.fails = KMS_E_HARDWARE_TIMEOUT;
	assert_int_equal(seal_and_open(w), KMS_OK);
	fake_token.fails = KMS_OK;
	fake_chip.fails = KMS_E_TPM_UNREACHABLE;
	assert_int_equal(seal_and_open(w), KMS_OK);
	assert_int_equal(ask_key(w, OP_SEAL, ""), KMS_OK);
	assert_int_equal(give(w, old.s[0]), KMS_E_SHARE_FOREIGN);
	assert_int_equal(give(w, l.s[0]), KMS_OK);
	assert_int_equal(give(w, l.s[1]), KMS_OK);
	is_open(w);
}

static void a_new_root_names_what_it_can_not_reach(void **state)
{
	struct world *w = *state;
	const struct bytes hsm = bytes_of_str("hsm"), moon = bytes_of_str("moon");
	struct request rotate = { .op = OP_ROOT_ROTATE, .leave_out = &moon, .leave_out_n = 1 };
	assert_int_equal(add_slot(w, "hsm"), KMS_OK);
	fake_token.fails = KMS_E_HARDWARE_TIMEOUT;
	assert_int_equal(ask_key(w, OP_ROOT_ROTATE, ""), KMS_E_HARDWARE_TIMEOUT);
	assert_true(bytes_equal(w->a.error.detail, hsm));
	assert_int_equal(ask(w, rotate), KMS_E_NOT_FOUND);
	assert_int_equal(slot_count(w), 2);
	rotate.leave_out = &hsm;
	assert_int_equal(ask(w, rotate), KMS_OK);
	assert_int_equal(slot_count(w), 1);
	assert_int_equal(seal_and_open(w), KMS_OK);
	/* Nothing would open it any more. */
	const struct bytes tpm = bytes_of_str("tpm");
	rotate.leave_out = &tpm;
	fake_chip.fails = KMS_E_TPM_FAILED;
	assert_int_equal(ask(w, rotate), KMS_E_LAST_SLOT);
	assert_int_equal(slot_count(w), 1);
}

static void a_silent_counter_is_asked_again(void **state)
{
	struct world *w = *state;
	struct keeper *k = &w->rig.k;
	assert_int_equal(add_slot(w, "hsm"), KMS_OK);
	fake_chip.fails = KMS_E_TPM_UNREACHABLE;
	assert_int_equal(seal_and_open(w), KMS_OK);
	assert_true(changes_counter(k->changes).unchecked);
	uint64_t epoch = k->epoch.number;
	assert_int_equal(ask_key(w, OP_KEY_ROTATE, "rec"), KMS_OK);
	assert_int_equal(k->epoch.number, epoch);
	fake_chip.fails = KMS_OK;
	assert_int_equal(ask_key(w, OP_KEY_ROTATE, "rec"), KMS_OK);
	assert_false(changes_counter(k->changes).unchecked);
	assert_int_equal(seal_and_open(w), KMS_OK);
	assert_int_equal(fake_chip.counter, k->epoch.base + k->epoch.number);
}

static void a_counter_that_comes_back_ahead_seals(void **state)
{
	struct world *w = *state;
	assert_int_equal(add_slot(w, "hsm"), KMS_OK);
	fake_chip.fails = KMS_E_TPM_UNREACHABLE;
	assert_int_equal(seal_and_open(w), KMS_OK);
	fake_chip.fails = KMS_OK;
	fake_chip.counter += 2;
	assert_int_not_equal(ask_key(w, OP_KEY_ROTATE, "rec"), KMS_OK);
	assert_int_equal(root_state(w->rig.k.root), ROOT_SEALED);
	assert_int_equal(root_last(w->rig.k.root), KMS_E_ROLLBACK);
}

static void an_old_store_opens_only_when_that_is_meant(void **state)
{
	struct world *w = *state;
	assert_int_equal(ask_key(w, OP_SEAL, ""), KMS_OK);
	fake_chip.counter += 3;
	assert_int_equal(ask_key(w, OP_UNSEAL, ""), KMS_E_ROLLBACK);
	assert_int_equal(
	    ask(w, (struct request){ .op = OP_UNSEAL, .accept_restore = true }), KMS_OK);
	assert_int_equal(fake_chip.counter, w->rig.k.epoch.base + w->rig.k.epoch.number);
	is_open(w);
	/* Accepted once, and for all that follows. */
	assert_int_equal(seal_and_open(w), KMS_OK);
}

static void a_counter_that_is_gone_is_given_up_only_when_that_is_meant(void **state)
{
	struct world *w = *state;
	assert_int_equal(ask_key(w, OP_SEAL, ""), KMS_OK);
	fake_chip.counter = 3;
	assert_int_equal(ask_key(w, OP_UNSEAL, ""), KMS_E_COUNTER_GONE);
	assert_int_equal(
	    ask(w, (struct request){ .op = OP_UNSEAL, .accept_restore = true }), KMS_OK);
	assert_false(w->rig.k.epoch.counted);
	assert_int_equal(seal_and_open(w), KMS_OK);
}

#define WITH_WORLD(f) cmocka_unit_test_setup_teardown(f, world_set_up, world_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_WORLD(a_removed_slot_takes_its_counter_along),
		WITH_WORLD(answers_of_another_opening_are_dropped),
		WITH_WORLD(a_counter_without_a_section_can_be_given_up),
		WITH_WORLD(an_older_store_of_the_same_epoch_is_noticed),
		WITH_WORLD(leaving_out_shares_takes_them_away),
		WITH_WORLD(a_dry_run_of_init_makes_nothing),
		WITH_WORLD(a_new_root_opens_by_every_slot),
		WITH_WORLD(a_new_root_names_what_it_can_not_reach),
		WITH_WORLD(a_silent_counter_is_asked_again),
		WITH_WORLD(a_counter_that_comes_back_ahead_seals),
		WITH_WORLD(an_old_store_opens_only_when_that_is_meant),
		WITH_WORLD(a_counter_that_is_gone_is_given_up_only_when_that_is_meant),
	};
	return cmocka_run_group_tests_name("keeper_root", tests, NULL, NULL);
}
