/* SPDX-License-Identifier: Apache-2.0 */
/* The life of an instance: init, wait, seal, unseal, and its slots. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "kms/base/clock.h"
#include "kms/ctl/ctl.h"
#include "kms/ctl/look.h"

enum {
	WAIT_FIRST_MS = 20, /* between two looks; twice as long each time */
	WAIT_LONGEST_MS = 1000,
	US_PER_MS = 1000
};

static const char usual_slot[] = "tpm";

/* {"state", "sealed"}, and one line for people on stderr. */
static kms_err print_state(struct ctl *c, const char *state, bool dry_run)
{
	AUTO(out_done) struct out o = { .field_n = 0 };

	out_str(&o, "state", NULL, state);
	out_bool(&o, "sealed", NULL, strcmp(state, "unsealed") != 0);
	if (dry_run)
		out_bool(&o, "dry_run", NULL, true);
	return ctl_print(c, &o);
}

static kms_err print_slots(struct ctl *c, const struct kms_result *r)
{
	AUTO(out_done) struct out o = { .field_n = 0 };
	size_t n;

	const struct kms_slot *slots = kms_result_slots(r, &n);
	look_put_slots(&o, slots, n);
	return ctl_print(c, &o);
}

static kms_err get_status(struct ctl *c, struct kms_result **out)
{
	TRY(ctl_connect(c));
	return ctl_ask(c, kms_status(c->kms, out));
}

/* What init would do: everything is asked that can be asked without doing it. */
static kms_err plan_init(struct ctl *c, const char *slot)
{
	AUTO(kms_result_free) struct kms_result *r = NULL, *checked = NULL;

	TRY(get_status(c, &r));
	if (strcmp(kms_result_status(r)->state, "uninitialised") != 0) {
		kms_err e = ctl_refuse(c, KMS_E_EXISTS, "the root key");
		ctl_hint(
		    c, "This instance has a root key already; `kmsctl status` says how it is.");
		return e;
	}
	TRY(ctl_ask(c, kms_slot_check(c->kms, slot, &checked)));
	ctl_talk(c,
	    "The hardware will do. A root key would be made in the slot %s; nothing was "
	    "changed.",
	    slot);
	return print_slots(c, checked);
}

kms_err cmd_init(struct ctl *c)
{
	AUTO(kms_result_free) struct kms_result *r = NULL;
	const char *slot = c->args.given[OPT_SLOT] ? c->args.text[OPT_SLOT] : usual_slot;

	if (ctl_is_dry_run(c))
		return plan_init(c, slot);
	TRY(ctl_connect(c));
	TRY(ctl_ask(c, kms_init(c->kms, &(struct kms_opener){ .slot = slot }, &r)));
	ctl_talk(c, "The root key is made and sealed. kmsd opens itself from now on.");
	return print_slots(c, r);
}

static kms_err plan_seal(struct ctl *c)
{
	AUTO(kms_result_free) struct kms_result *r = NULL;

	TRY(get_status(c, &r));
	const struct kms_status *s = kms_result_status(r);
	if (!look_is_unsealed(s))
		return ctl_refuse(c, KMS_E_SEALED, "%s", s->state);
	ctl_talk(c,
	    "The memory would forget what it holds (keys: %ju, versions: %ju) and what is asked would "
	    "be refused (connections: %ju); nothing was changed.",
	    (uintmax_t)s->keys, (uintmax_t)s->versions, (uintmax_t)s->connections);
	return print_state(c, s->state, true);
}

kms_err cmd_seal(struct ctl *c)
{
	if (ctl_is_dry_run(c))
		return plan_seal(c);
	TRY(ctl_connect(c));
	TRY(ctl_ask(c, kms_seal(c->kms)));
	ctl_talk(c, "kmsd is sealed. `kmsctl unseal` opens it again.");
	return print_state(c, "sealed", false);
}

static kms_err plan_unseal(struct ctl *c)
{
	AUTO(kms_result_free) struct kms_result *r = NULL;

	TRY(get_status(c, &r));
	const struct kms_status *s = kms_result_status(r);
	if (look_is_unsealed(s))
		ctl_talk(c, "kmsd is unsealed already; nothing would happen.");
	else if (c->args.given[OPT_SLOT])
		ctl_talk(
		    c, "The slot %s would be tried; nothing was changed.", c->args.text[OPT_SLOT]);
	else
		ctl_talk(c, "All slots (%zu) would be tried in their order; nothing was changed.",
		    s->slot_n);
	return print_state(c, s->state, true);
}

kms_err cmd_unseal(struct ctl *c)
{
	if (ctl_is_dry_run(c))
		return plan_unseal(c);
	TRY(ctl_connect(c));
	TRY(ctl_ask(c, kms_unseal(c->kms, NULL, NULL)));
	ctl_talk(c, "kmsd is unsealed.");
	return print_state(c, "unsealed", false);
}

kms_err cmd_slot_list(struct ctl *c)
{
	AUTO(kms_result_free) struct kms_result *r = NULL;

	TRY(ctl_connect(c));
	TRY(ctl_ask(c, kms_slot_list(c->kms, &r)));
	return print_slots(c, r);
}

kms_err cmd_slot_check(struct ctl *c)
{
	AUTO(kms_result_free) struct kms_result *r = NULL;
	const char *slot = c->args.operand_n > 0 ? c->args.operands[0] : usual_slot;

	TRY(ctl_connect(c));
	TRY(ctl_ask(c, kms_slot_check(c->kms, slot, &r)));
	ctl_talk(c, "The hardware will do.");
	return print_slots(c, r);
}

/* One look. KMS_OK only if it serves; *out_hopeless: waiting will not help. */
static kms_err look(struct ctl *c, bool *out_hopeless)
{
	AUTO(kms_result_free) struct kms_result *r = NULL;

	kms_err e = get_status(c, &r);
	if (e != KMS_OK) {
		*out_hopeless = c->error.number != KMS_CODE_UNAVAILABLE || e == KMS_E_SOCKET_DENIED;
		return e;
	}
	const struct kms_status *s = kms_result_status(r);
	if (look_is_unsealed(s))
		return KMS_OK;
	kms_err why = look_why(s->why);
	if (strcmp(s->state, "uninitialised") == 0)
		return ctl_refuse(c, KMS_E_NOT_INITIALISED, "%s", s->state);
	e = ctl_refuse(c, KMS_E_SEALED, "%s", why != KMS_OK ? err_text(why) : s->state);
	if (why != KMS_OK)
		ctl_hint(c, err_hint(why));
	return e;
}

static void sleep_ms(uint64_t ms)
{
	const struct timespec t = { .tv_sec = (time_t)(ms / 1000),
		.tv_nsec = (long)(ms % 1000) * 1000000 };

	(void)nanosleep(&t, NULL);
}

/* kmsd tells nobody when its state changes, and may not even run yet: so this looks. */
kms_err cmd_wait(struct ctl *c)
{
	bool limited = c->args.given[OPT_TIMEOUT], hopeless = false;
	uint64_t start = clock_mono_us(), limit_us = UINT64_MAX;

	if (limited && c->args.number[OPT_TIMEOUT] < UINT64_MAX / 1000000)
		limit_us = c->args.number[OPT_TIMEOUT] * 1000000;
	for (uint64_t pause = WAIT_FIRST_MS;; pause *= 2) {
		kms_err e = look(c, &hopeless);
		uint64_t spent = clock_mono_us() - start;

		if (e == KMS_OK)
			return print_state(c, "unsealed", false);
		if (hopeless || spent >= limit_us)
			return e;
		pause = pause > WAIT_LONGEST_MS ? WAIT_LONGEST_MS : pause;
		uint64_t left = (limit_us - spent) / US_PER_MS + 1;
		sleep_ms(pause < left ? pause : left);
	}
}
