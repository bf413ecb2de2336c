/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slots that are looked after: hardware that goes and comes back while the root is open
 * (kms/keeper/health.c), and PINs that are wrong (kms/keeper/backoff.c).
 */
#include "tests/unit/keeper_world.h"

#include "kms/keeper/backoff.h"
#include "kms/keeper/changes.h"
#include "kms/keeper/root_private.h"

enum {
	OFTEN_US = 4000, /* each slot every 4 ms */
	HOUR_S = 3600
};

static void start_again(struct world *w)
{
	(void)close(w->fd);
	rig_stop(&w->rig);
	assert_int_equal(rig_start(&w->rig), KMS_OK);
	w->fd = rig_connect(&w->rig);
}

static int looked_after(void **state)
{
	if (world_set_up(state) != 0)
		return -1;
	struct world *w = *state;
	w->rig.config.slot_check_us = OFTEN_US;
	start_again(w);
	rig_until(&w->rig, ROOT_UNSEALED);
	assert_int_equal(
	    ask(w, (struct request){ .op = OP_SLOT_ADD, .slot = bytes_of_str("hsm") }), KMS_OK);
	return 0;
}

/* Turns the loop until slot i ended its last try so. */
static void until_last(struct world *w, size_t i, kms_err e)
{
	while (w->rig.k.root->last[i].err != e)
		assert_true(keeper_turn(&w->rig.k));
}

static void a_token_that_goes_is_seen(void **state)
{
	struct world *w = *state;
	fake_token.fails = KMS_E_TOKEN_MISSING;
	until_last(w, 1, KMS_E_TOKEN_MISSING);
	assert_int_equal(ask_key(w, OP_SLOT_LIST, ""), KMS_OK);
	assert_true(bytes_equal(w->a.u.slots.p[1].last, bytes_of_str("token_missing")));
	/* The others serve on, and it comes back by itself. */
	assert_int_equal(ask_key(w, OP_ISSUE, "rec"), KMS_OK);
	fake_token.fails = KMS_OK;
	until_last(w, 1, KMS_OK);
}

static void a_chip_that_comes_back_catches_up(void **state)
{
	struct world *w = *state;
	const struct keeper *k = &w->rig.k;
	fake_chip.fails = KMS_E_TPM_UNREACHABLE;
	assert_int_equal(ask_key(w, OP_KEY_ROTATE, "rec"), KMS_OK);
	assert_true(changes_counter(k->changes).behind);
	until_last(w, 0, KMS_E_TPM_UNREACHABLE);
	fake_chip.fails = KMS_OK;
	while (changes_counter(k->changes).behind)
		assert_true(keeper_turn(&w->rig.k));
	assert_int_equal(fake_chip.counter, k->epoch.base + k->epoch.number);
}

static void a_slot_without_a_section_is_named(void **state)
{
	struct world *w = *state;
	w->rig.config.slot_n = 1;
	until_last(w, 1, KMS_E_SLOT_CONFIG);
	w->rig.config.slot_n = 2;
	until_last(w, 1, KMS_OK);
}

/* ---- Wrong PINs --------------------------------------------------------------------------- */

static kms_err check_hsm(struct world *w)
{
	return ask(w, (struct request){ .op = OP_SLOT_CHECK, .slot = bytes_of_str("hsm") });
}

static void a_wrong_pin_is_tried_once(void **state)
{
	struct world *w = *state;
	fake_token.fails = KMS_E_PIN_WRONG;
	assert_int_equal(check_hsm(w), KMS_E_PIN_WRONG);
	fake_token.fails = KMS_OK;
	assert_int_equal(check_hsm(w), KMS_E_PIN_WAIT);
	/* Nor after a restart. */
	start_again(w);
	rig_until(&w->rig, ROOT_UNSEALED);
	assert_int_equal(check_hsm(w), KMS_E_PIN_WAIT);
	assert_int_equal(ask(w, (struct request){ .op = OP_SLOT_ADD, .slot = bytes_of_str("hsm") }),
	    KMS_E_PIN_WAIT);
	assert_int_equal(backoff_check(&w->rig.k, "tpm"), KMS_OK);
}

static void each_wrong_pin_rests_longer(void **state)
{
	struct world *w = *state;
	struct keeper *k = &w->rig.k;
	static const kms_err wrong[] = { KMS_E_PIN_WRONG, KMS_E_PIN_LOCKED, KMS_E_PIN_EXPIRED };
	uint64_t now = k->wall_us;
	for (unsigned i = 0; i < 14; i++) {
		uint64_t s = (uint64_t)1 << i < HOUR_S ? (uint64_t)1 << i : HOUR_S;
		k->wall_us = now;
		backoff_note(k, "hsm", wrong[i % ARRAY_LEN(wrong)]);
		k->wall_us = now + s * 1000000 - 1;
		assert_int_equal(backoff_check(k, "hsm"), KMS_E_PIN_WAIT);
		k->wall_us = now + s * 1000000;
		assert_int_equal(backoff_check(k, "hsm"), KMS_OK);
	}
	/* A clock that is set back by years does not lock anybody out. */
	k->wall_us = now - (uint64_t)HOUR_S * 24 * 365 * 1000000;
	assert_int_equal(backoff_check(k, "hsm"), KMS_OK);
	k->wall_us = now;
	assert_int_equal(backoff_check(k, "hsm"), KMS_E_PIN_WAIT);
	/* What has nothing to do with PINs changes nothing; the right one ends it. */
	backoff_note(k, "hsm", KMS_E_TOKEN_MISSING);
	assert_int_equal(backoff_check(k, "hsm"), KMS_E_PIN_WAIT);
	backoff_note(k, "hsm", KMS_OK);
	assert_int_equal(backoff_check(k, "hsm"), KMS_OK);
}

static void a_file_without_sense_is_none(void **state)
{
	struct world *w = *state;
	static const char nonsense[] = "\003\000hsm\143zzzzzzzz\177\177";
	char path[512];
	(void)snprintf(path, sizeof(path), "%s/pin-tries", w->rig.config.store);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	/* A length beyond the end; a name that is none; too many tries. */
	assert_int_equal(fwrite(nonsense, sizeof(nonsense) - 1, 1, f), 1);
	assert_int_equal(fclose(f), 0);
	start_again(w);
	rig_until(&w->rig, ROOT_UNSEALED);
	assert_int_equal(check_hsm(w), KMS_OK);
}

#define LOOKED_AFTER(f) cmocka_unit_test_setup_teardown(f, looked_after, world_tear_down)
#define WITH_WORLD(f)   cmocka_unit_test_setup_teardown(f, world_set_up, world_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOOKED_AFTER(a_token_that_goes_is_seen),
		LOOKED_AFTER(a_chip_that_comes_back_catches_up),
		LOOKED_AFTER(a_slot_without_a_section_is_named),
		WITH_WORLD(a_wrong_pin_is_tried_once),
		WITH_WORLD(each_wrong_pin_rests_longer),
		WITH_WORLD(a_file_without_sense_is_none),
	};
	return cmocka_run_group_tests_name("keeper_health", tests, NULL, NULL);
}
