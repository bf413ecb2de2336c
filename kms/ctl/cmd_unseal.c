/* SPDX-License-Identifier: Apache-2.0 */
/* Opening the root key: with hardware, or with people's shares, one at a time. */
#include <stdio.h>
#include <string.h>

#include "kms/base/clock.h"
#include "kms/ctl/ctl.h"
#include "kms/ctl/look.h"
#include "kms/ctl/share_read.h"
#include "kms/ctl/text.h"

enum {
	NONCE_LEN = 16
};

static int digit(char x)
{
	if (x >= '0' && x <= '9')
		return x - '0';
	x |= 0x20;
	return x >= 'a' && x <= 'f' ? x - 'a' + 10 : -1;
}

static kms_err parse_nonce(struct ctl *c, const char *text, uint8_t out[static NONCE_LEN])
{
	for (size_t i = 0; i < NONCE_LEN; i++) {
		int high = digit(text[2 * i]), low = high < 0 ? -1 : digit(text[2 * i + 1]);

		if (low < 0)
			return ctl_usage(c, "--ceremony takes 32 hexadecimal digits");
		out[i] = (uint8_t)(high << 4 | low);
	}
	return KMS_OK;
}

static kms_err check_options(struct ctl *c)
{
	const struct args *a = &c->args;

	if (a->share.n > 1)
		return ctl_usage(c, "one share at a time: each person gives their own");
	if (a->given[OPT_CANCEL] && (a->share.n > 0 || a->given[OPT_SLOT]))
		return ctl_usage(c, "--cancel ends a ceremony and opens nothing");
	if (a->given[OPT_SLOT] && a->share.n > 0)
		return ctl_usage(c, "--slot and --share exclude each other");
	if (a->given[OPT_CEREMONY] && a->share.n == 0 && !a->given[OPT_CANCEL])
		return ctl_usage(c, "--ceremony goes with --share or --cancel");
	return KMS_OK;
}

static void tell_missing(const struct ctl *c, const struct kms_ceremony *x)
{
	char until[CLOCK_TEXT_LEN], nonce[2 * NONCE_LEN + 1] = "";

	clock_format(x->expires_us, until);
	if (x->nonce.n <= NONCE_LEN)
		text_hex(bytes_of(x->nonce.p, x->nonce.n), nonce);
	ctl_talk(c, "%u of %u shares are here; the ceremony %s ends at %s.", (unsigned)x->have,
	    (unsigned)x->needed, nonce, until);
	ctl_talk(c, "The others run `kmsctl unseal --share -`, here or at another terminal.");
}

static kms_err print_ceremony(struct ctl *c, const struct kms_ceremony *x)
{
	AUTO(out_done) struct out o = { .field_n = 0 };

	tell_missing(c, x);
	look_put_state(&o, "sealed");
	look_put_ceremony(&o, x);
	return ctl_print(c, &o);
}

static kms_err plan(struct ctl *c)
{
	AUTO(kms_result_free) struct kms_result *r = NULL;

	TRY(look_status(c, &r));
	const struct kms_status *s = kms_result_status(r);
	if (look_is_unsealed(s))
		ctl_talk(c, "kmsd is unsealed already; nothing would happen.");
	else if (c->args.given[OPT_CANCEL])
		ctl_talk(c,
		    "The ceremony would end (shares that would be forgotten: %u); nothing "
		    "was changed.",
		    (unsigned)s->ceremony.have);
	else if (c->args.share.n > 0)
		ctl_talk(c,
		    "The share would join %u others; nothing was changed, and it was not read.",
		    (unsigned)s->ceremony.have);
	else if (c->args.given[OPT_SLOT])
		ctl_talk(
		    c, "The slot %s would be tried; nothing was changed.", c->args.text[OPT_SLOT]);
	else
		ctl_talk(c, "All slots (%zu) would be tried in their order; nothing was changed.",
		    s->slot_n);
	return look_print_state(c, s->state);
}

static kms_err unseal(struct ctl *c, const struct kms_unseal_with *with)
{
	AUTO(kms_result_free) struct kms_result *r = NULL;

	TRY(ctl_ask(c, kms_unseal(c->kms, with, &r)));
	if (kms_result_ceremony(r) != NULL)
		return print_ceremony(c, kms_result_ceremony(r));
	if (with->cancel) {
		ctl_talk(c, "The ceremony is over; its shares are forgotten.");
		return look_print_state(c, "sealed");
	}
	ctl_talk(c, "kmsd is unsealed.");
	return look_print_state(c, "unsealed");
}

kms_err cmd_unseal(struct ctl *c)
{
	AUTO(buf_done) struct buf share = { .n = 0 };
	uint8_t nonce[NONCE_LEN];
	struct kms_unseal_with with = { .slot = c->args.text[OPT_SLOT],
		.accept_restore = c->args.given[OPT_ACCEPT_RESTORE],
		.cancel = c->args.given[OPT_CANCEL] };

	TRY(check_options(c));
	if (c->args.given[OPT_CEREMONY]) {
		TRY(parse_nonce(c, c->args.text[OPT_CEREMONY], nonce));
		with.ceremony = kms_bytes_of(nonce, sizeof(nonce));
	}
	if (ctl_is_dry_run(c))
		return plan(c);
	/* First: nobody types a share for a kmsd that does not answer. */
	TRY(ctl_connect(c));
	if (c->args.share.n > 0)
		TRY(share_read(c, c->args.share.p[0], &share));
	with.share = kms_bytes_of(share.p, share.n);
	return unseal(c, &with);
}
