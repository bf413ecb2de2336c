/* SPDX-License-Identifier: Apache-2.0 */
/* Whether it serves: wait and seal. Opening it is cmd_unseal.c's. */
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

static kms_err plan_seal(struct ctl *c)
{
	AUTO(kms_result_free) struct kms_result *r = NULL;

	TRY(look_status(c, &r));
	const struct kms_status *s = kms_result_status(r);
	if (!look_is_unsealed(s))
		return ctl_refuse(c, KMS_E_SEALED, "%s", s->state);
	ctl_talk(c,
	    "The memory would forget what it holds (keys: %ju, versions: %ju) and what is asked would "
	    "be refused (connections: %ju); nothing was changed.",
	    (uintmax_t)s->keys, (uintmax_t)s->versions, (uintmax_t)s->connections);
	return look_print_state(c, s->state);
}

kms_err cmd_seal(struct ctl *c)
{
	if (ctl_is_dry_run(c))
		return plan_seal(c);
	TRY(ctl_connect(c));
	TRY(ctl_ask(c, kms_seal(c->kms)));
	ctl_talk(c, "kmsd is sealed. `kmsctl unseal` opens it again.");
	return look_print_state(c, "sealed");
}

/* One look. KMS_OK only if it serves; *out_hopeless: waiting will not help. */
static kms_err look(struct ctl *c, bool *out_hopeless)
{
	AUTO(kms_result_free) struct kms_result *r = NULL;

	kms_err e = look_status(c, &r);
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
			return look_print_state(c, "unsealed");
		if (hopeless || spent >= limit_us)
			return e;
		pause = pause > WAIT_LONGEST_MS ? WAIT_LONGEST_MS : pause;
		uint64_t left = (limit_us - spent) / US_PER_MS + 1;
		sleep_ms(pause < left ? pause : left);
	}
}
