/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ways to open the root, in a whole keeper with a TPM and a token that obey the test: adding and
 * removing slots, shares and their ceremony.
 */
#include "tests/unit/keeper_slots.h"

static void a_second_slot_opens(void **state)
{
	struct world *w = *state;
	assert_int_equal(add_slot(w, "hsm"), KMS_OK);
	assert_int_equal(w->a.u.slots.n, 2);
	fake_chip.fails = KMS_E_TPM_UNREACHABLE;
	assert_int_equal(seal_and_open(w), KMS_OK);
	is_open(w);
	fake_chip.fails = KMS_OK;
	fake_token.fails = KMS_E_HARDWARE_TIMEOUT;
	assert_int_equal(seal_and_open(w), KMS_OK);
	is_open(w);
}

static void no_slot_twice(void **state)
{
	struct world *w = *state;
	assert_int_equal(add_slot(w, "tpm"), KMS_E_SLOT_EXISTS);
	assert_int_equal(add_slot(w, "pkcs11"), KMS_OK);
	assert_int_equal(add_slot(w, "hsm"), KMS_E_SLOT_EXISTS);
	assert_int_equal(add_slot(w, "moon"), KMS_E_SLOT_CONFIG);
	assert_int_equal(add_slot(w, "pkcs11:token=x"), KMS_E_SLOT_CONFIG);
	assert_int_equal(add_slot(w, ""), KMS_E_BAD_REQUEST);
	assert_int_equal(slot_count(w), 2);
}

static void hardware_that_fails_is_not_added(void **state)
{
	struct world *w = *state;
	fake_token.fails = KMS_E_HARDWARE_TIMEOUT;
	assert_int_equal(add_slot(w, "hsm"), KMS_E_HARDWARE_TIMEOUT);
	assert_true(bytes_equal(w->a.error.detail, bytes_of_str("hsm")));
	fake_token.fails = KMS_OK;
	/* What it seals it doesn't open again. */
	fake_token.flips = 1;
	assert_int_equal(add_slot(w, "hsm"), KMS_E_INTEGRITY);
	fake_token.flips = 0;
	assert_int_equal(slot_count(w), 1);
	assert_int_equal(add_slot(w, "hsm"), KMS_OK);
}

static void a_dry_run_changes_nothing(void **state)
{
	struct world *w = *state;
	uint64_t epoch = w->rig.k.epoch.number;
	assert_int_equal(ask(w, (struct request){ .op = OP_SLOT_ADD,
	                            .slot = bytes_of_str("hsm"),
	                            .shares_needed = 2,
	                            .shares_total = 3,
	                            .dry_run = true }),
	    KMS_OK);
	assert_int_equal(w->a.u.slots.share_n, 0);
	assert_int_equal(ask(w, (struct request){ .op = OP_ROOT_ROTATE, .dry_run = true }), KMS_OK);
	assert_int_equal(slot_count(w), 1);
	assert_int_equal(w->rig.k.epoch.number, epoch);
}

static void the_last_slot_stays(void **state)
{
	struct world *w = *state;
	assert_int_equal(remove_slot(w, "hsm", false), KMS_E_NOT_FOUND);
	assert_int_equal(remove_slot(w, "tpm", false), KMS_E_LAST_SLOT);
	assert_int_equal(remove_slot(w, "tpm", true), KMS_E_LAST_SLOT);
	assert_int_equal(add_slot(w, "hsm"), KMS_OK);
	fake_token.fails = KMS_E_HARDWARE_TIMEOUT;
	assert_int_equal(remove_slot(w, "tpm", false), KMS_E_LAST_SLOT);
	fake_token.fails = KMS_OK;
	fake_token.flips = 1;
	assert_int_equal(remove_slot(w, "tpm", false), KMS_E_LAST_SLOT);
	fake_token.flips = 0;
	assert_int_equal(slot_count(w), 2);
}

static void shares_wait_to_be_confirmed(void **state)
{
	struct world *w = *state;
	struct lines l = { 0 }, late = { 0 };
	assert_int_equal(ask_shares(w, &l), KMS_OK);
	assert_int_equal(slot_count(w), 1);
	l.confirm[0] ^= 1;
	assert_int_equal(confirm(w, OP_SLOT_ADD, &l), KMS_E_NO_CEREMONY);
	l.confirm[0] ^= 1;
	assert_int_equal(confirm(w, OP_ROOT_ROTATE, &l), KMS_E_NO_CEREMONY);
	assert_int_equal(ask_shares(w, &late), KMS_E_SLOT_WORK);
	assert_int_equal(confirm(w, OP_SLOT_ADD, &l), KMS_OK);
	assert_int_equal(confirm(w, OP_SLOT_ADD, &l), KMS_E_NO_CEREMONY);
	assert_int_equal(slot_count(w), 2);
	assert_int_equal(ask_shares(w, &l), KMS_E_SLOT_EXISTS);
}

static void one_work_at_a_time(void **state)
{
	struct world *w = *state;
	const struct request add = { .id = 1, .op = OP_SLOT_ADD, .slot = bytes_of_str("hsm") };
	int fd = send_only(w, &add);
	while (w->rig.k.root->work == NULL)
		assert_true(keeper_turn(&w->rig.k));
	assert_int_equal(ask_key(w, OP_ROOT_ROTATE, ""), KMS_E_SLOT_WORK);
	while (w->rig.k.root->work != NULL)
		assert_true(keeper_turn(&w->rig.k));
	(void)close(fd);
	assert_int_equal(slot_count(w), 2);
}

static void nobody_waits_for_one_who_has_gone(void **state)
{
	struct world *w = *state;
	struct lines l;
	assert_int_equal(ask_shares(w, &l), KMS_OK);
	int other = rig_connect(&w->rig), first = w->fd;
	w->fd = other;
	assert_int_equal(add_slot(w, "hsm"), KMS_E_SLOT_WORK);
	(void)close(first);
	/* Until the keeper has seen it. */
	kms_err e;
	while ((e = add_slot(w, "hsm")) == KMS_E_SLOT_WORK)
		continue;
	assert_int_equal(e, KMS_OK);
	assert_int_equal(confirm(w, OP_SLOT_ADD, &l), KMS_E_NO_CEREMONY);
	assert_int_equal(slot_count(w), 2);
	/* One who is there may take the time that it takes. */
	assert_int_equal(ask_shares(w, &l), KMS_OK);
	assert_int_equal(remove_slot(w, "hsm", false), KMS_E_SLOT_WORK);
	assert_int_equal(confirm(w, OP_SLOT_ADD, &l), KMS_OK);
	assert_int_equal(remove_slot(w, "hsm", false), KMS_OK);
}

static void sealing_forgets_unconfirmed_shares(void **state)
{
	struct world *w = *state;
	struct lines l = { 0 };
	assert_int_equal(ask_shares(w, &l), KMS_OK);
	assert_int_equal(seal_and_open(w), KMS_OK);
	assert_int_equal(confirm(w, OP_SLOT_ADD, &l), KMS_E_NO_CEREMONY);
	assert_int_equal(slot_count(w), 1);
}

static void impossible_shares_are_refused(void **state)
{
	static const uint32_t wrong[][2] = { { 1, 3 }, { 4, 3 }, { 2, 17 }, { 3, 0 } };
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_int_equal(ask(*state, (struct request){ .op = OP_SLOT_ADD,
		                                 .shares_needed = wrong[i][0],
		                                 .shares_total = wrong[i][1] }),
		    KMS_E_SHARE_NUMBERS);
}

static void people_open_with_shares(void **state)
{
	struct world *w = *state;
	struct lines l = { 0 };
	add_shares(w, &l);
	fake_chip.fails = KMS_E_TPM_UNREACHABLE;
	assert_int_equal(seal_and_open(w), KMS_E_TPM_UNREACHABLE);
	assert_int_equal(give(w, l.s[2]), KMS_OK);
	assert_int_equal(w->a.kind, ANSWER_CEREMONY);
	assert_int_equal(w->a.u.ceremony.needed, 2);
	assert_int_equal(w->a.u.ceremony.have, 1);
	assert_int_equal(give(w, l.s[2]), KMS_E_SHARE_HERE);
	assert_int_equal(give(w, l.s[0]), KMS_OK);
	assert_int_equal(w->a.kind, ANSWER_DONE);
	is_open(w);
	assert_int_equal(ask_key(w, OP_STATUS, ""), KMS_OK);
	assert_true(bytes_equal(w->a.u.status.counter_state, bytes_of_str("unchecked")));
	/* Open already: the third has nothing to do. */
	assert_int_equal(give(w, l.s[1]), KMS_OK);
	assert_int_equal(w->a.kind, ANSWER_DONE);
}

static void wrong_shares_are_told_apart(void **state)
{
	struct world *w = *state;
	struct lines l = { 0 }, old = { 0 };
	add_shares(w, &old);
	assert_int_equal(remove_slot(w, "shares", false), KMS_OK);
	add_shares(w, &l);
	assert_int_equal(ask_key(w, OP_SEAL, ""), KMS_OK);
	assert_int_equal(give(w, old.s[0]), KMS_E_SHARE_FOREIGN);
	assert_int_equal(give(w, "hello"), KMS_E_SHARE_FORM);
	l.s[1][20] = l.s[1][20] == 'Q' ? 'P' : 'Q';
	assert_int_equal(give(w, l.s[1]), KMS_E_SHARE_TYPO);
	assert_true(bytes_equal(w->a.error.detail, bytes_of_str("character 21 is wrong")));
	/* None of them began anything. */
	assert_int_equal(ask_key(w, OP_STATUS, ""), KMS_OK);
	assert_int_equal(w->a.u.status.ceremony.needed, 0);
}

static void no_more_slots_than_there_is_room_for(void **state)
{
	struct world *w = *state;
	struct config *c = &w->rig.config;
	struct lines l;
	for (size_t i = c->slot_n; i < CONFIG_SLOTS_MAX; i++) {
		c->slots[i] = c->slots[1];
		(void)snprintf(c->slots[i].name, sizeof(c->slots[i].name), "hsm%zu", i);
	}
	c->slot_n = CONFIG_SLOTS_MAX;
	for (size_t i = 1; i < c->slot_n; i++)
		assert_int_equal(add_slot(w, c->slots[i].name), KMS_OK);
	assert_int_equal(slot_count(w), ROOT_SLOTS_MAX);
	assert_int_equal(ask_shares(w, &l), KMS_E_SLOTS_FULL);
	assert_int_equal(slot_count(w), ROOT_SLOTS_MAX);
	assert_int_equal(remove_slot(w, "hsm2", false), KMS_OK);
	add_shares(w, &l);
	assert_int_equal(slot_count(w), ROOT_SLOTS_MAX);
}

static void people_are_waited_for_where_there_is_no_hardware(void **state)
{
	struct world *w = *state;
	struct lines l;
	add_shares(w, &l);
	assert_int_equal(remove_slot(w, "tpm", false), KMS_E_LAST_SLOT);
	assert_int_equal(remove_slot(w, "tpm", true), KMS_OK);
	assert_int_equal(seal_and_open(w), KMS_E_SHARES_NEEDED);
	assert_int_equal(ask_key(w, OP_ISSUE, "rec"), KMS_E_SEALED);
	assert_int_equal(give(w, l.s[1]), KMS_OK);
	assert_int_equal(ask_key(w, OP_UNSEAL, ""), KMS_E_SHARES_NEEDED);
	assert_int_equal(give(w, l.s[2]), KMS_OK);
	is_open(w);
}

static void a_ceremony_can_be_cancelled(void **state)
{
	struct world *w = *state;
	struct lines l = { 0 };
	uint8_t nonce[16] = { 0 };
	const struct request cancel = { .op = OP_UNSEAL, .cancel = true };
	add_shares(w, &l);
	assert_int_equal(ask_key(w, OP_SEAL, ""), KMS_OK);
	assert_int_equal(ask(w, cancel), KMS_E_NO_CEREMONY);
	assert_int_equal(give(w, l.s[0]), KMS_OK);
	memcpy(nonce, w->a.u.ceremony.nonce.p, sizeof(nonce));
	nonce[3] ^= 1;
	assert_int_equal(ask(w, (struct request){ .op = OP_UNSEAL,
	                            .share = bytes_of_str(l.s[1]),
	                            .ceremony = bytes_of(nonce, sizeof(nonce)) }),
	    KMS_E_NO_CEREMONY);
	assert_int_equal(ask(w, cancel), KMS_OK);
	assert_int_equal(give(w, l.s[1]), KMS_OK);
	assert_int_equal(w->a.u.ceremony.have, 1);
}

static void without_shares_there_is_no_ceremony(void **state)
{
	struct world *w = *state;
	assert_int_equal(ask_key(w, OP_SEAL, ""), KMS_OK);
	assert_int_equal(give(w, "KMS1X"), KMS_E_NO_SHARES);
}

#define WITH_WORLD(f) cmocka_unit_test_setup_teardown(f, world_set_up, world_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_WORLD(a_second_slot_opens),
		WITH_WORLD(no_slot_twice),
		WITH_WORLD(hardware_that_fails_is_not_added),
		WITH_WORLD(a_dry_run_changes_nothing),
		WITH_WORLD(the_last_slot_stays),
		WITH_WORLD(shares_wait_to_be_confirmed),
		WITH_WORLD(one_work_at_a_time),
		WITH_WORLD(nobody_waits_for_one_who_has_gone),
		WITH_WORLD(sealing_forgets_unconfirmed_shares),
		WITH_WORLD(impossible_shares_are_refused),
		WITH_WORLD(people_open_with_shares),
		WITH_WORLD(wrong_shares_are_told_apart),
		WITH_WORLD(no_more_slots_than_there_is_room_for),
		WITH_WORLD(people_are_waited_for_where_there_is_no_hardware),
		WITH_WORLD(a_ceremony_can_be_cancelled),
		WITH_WORLD(without_shares_there_is_no_ceremony),
	};
	return cmocka_run_group_tests_name("keeper_slots", tests, NULL, NULL);
}
