/* SPDX-License-Identifier: Apache-2.0 */
/* init, and the slots: what opens the root key. */
#include <stdio.h>
#include <string.h>

#include "kms/ctl/ctl.h"
#include "kms/ctl/look.h"
#include "kms/ctl/share_show.h"

static const char usual_slot[] = "tpm";

static bool with_shares(const struct ctl *c)
{
	return c->args.given[OPT_SHARES];
}

static struct kms_opener opener_of(const struct ctl *c, const char *slot)
{
	return (struct kms_opener){ .slot = slot,
		.shares_needed = c->args.shares_needed,
		.shares_total = c->args.shares_total,
		.dry_run = ctl_is_dry_run(c) };
}

static kms_err check_options(struct ctl *c)
{
	if (share_show_is_said(c) && !with_shares(c))
		return ctl_usage(c, "--shares-out, --qr and --png go with --shares");
	return with_shares(c) ? share_show_check(c) : KMS_OK;
}

/* A kmsd that knows no shares makes none, and says nothing of it. */
static kms_err check_shares(struct ctl *c, const struct kms_result *r)
{
	size_t n;

	(void)kms_result_shares(r, &n);
	if (!with_shares(c) || ctl_is_dry_run(c) || n == c->args.shares_total)
		return KMS_OK;
	kms_err e = ctl_refuse(
	    c, KMS_E_BAD_ANSWER, "%zu shares instead of %u", n, (unsigned)c->args.shares_total);
	ctl_hint(c, "Look at `kmsctl slot list`, and compare `kmsctl version` with `kmsctl "
	            "status`: this kmsd may be too old for shares.");
	return e;
}

static void tell_plan(const struct ctl *c, const char *slot)
{
	char shares[64] = "";

	if (with_shares(c))
		(void)snprintf(shares, sizeof(shares),
		    "%sfor %u people's shares, of whom any %u open", slot != NULL ? ", and " : " ",
		    (unsigned)c->args.shares_total, (unsigned)c->args.shares_needed);
	ctl_talk(c, "A root key would be made%s%s%s; nothing was changed.",
	    slot != NULL ? " in the slot " : "", slot != NULL ? slot : "", shares);
}

/* What init would do: everything is asked that can be asked without doing it. */
static kms_err plan_init(struct ctl *c, const char *slot)
{
	AUTO(kms_result_free) struct kms_result *r = NULL, *checked = NULL;

	TRY(look_status(c, &r));
	if (strcmp(kms_result_status(r)->state, "uninitialised") != 0) {
		kms_err e = ctl_refuse(c, KMS_E_EXISTS, "the root key");
		ctl_hint(
		    c, "This instance has a root key already; `kmsctl status` says how it is.");
		return e;
	}
	if (slot != NULL) {
		TRY(ctl_ask(c, kms_slot_check(c->kms, slot, &checked)));
		ctl_talk(c, "The hardware will do.");
	}
	tell_plan(c, slot);
	return share_give(c, checked);
}

kms_err cmd_init(struct ctl *c)
{
	AUTO(kms_result_free) struct kms_result *r = NULL;
	const char *slot = with_shares(c) ? NULL : usual_slot;

	if (c->args.given[OPT_SLOT])
		slot = c->args.text[OPT_SLOT];
	TRY(check_options(c));
	if (ctl_is_dry_run(c))
		return plan_init(c, slot);
	const struct kms_opener with = opener_of(c, slot);
	TRY(ctl_connect(c));
	TRY(ctl_ask(c, kms_init(c->kms, &with, &r)));
	TRY(check_shares(c, r));
	if (slot != NULL)
		ctl_talk(c, "The root key is made and sealed. kmsd opens itself from now on.");
	else
		ctl_talk(c,
		    "The root key is made. After each start %u people with their shares open it.",
		    (unsigned)with.shares_needed);
	return share_give(c, r);
}

kms_err cmd_slot_list(struct ctl *c)
{
	AUTO(kms_result_free) struct kms_result *r = NULL;

	TRY(ctl_connect(c));
	TRY(ctl_ask(c, kms_slot_list(c->kms, &r)));
	return look_print_slots(c, r);
}

kms_err cmd_slot_check(struct ctl *c)
{
	AUTO(kms_result_free) struct kms_result *r = NULL;
	const char *slot = c->args.operand_n > 0 ? c->args.operands[0] : usual_slot;

	TRY(ctl_connect(c));
	TRY(ctl_ask(c, kms_slot_check(c->kms, slot, &r)));
	ctl_talk(c, "The hardware will do.");
	return look_print_slots(c, r);
}

static enum kms_code confirm_add(struct ctl *c, struct kms_bytes nonce, struct kms_result **out)
{
	const struct kms_opener with = { .confirm = nonce };

	return kms_slot_add(c->kms, &with, out);
}

kms_err cmd_slot_add(struct ctl *c)
{
	AUTO(kms_result_free) struct kms_result *r = NULL;
	const char *slot = c->args.operand_n > 0 ? c->args.operands[0] : NULL;
	const struct kms_opener with = opener_of(c, slot);

	if (slot == NULL && !with_shares(c))
		return ctl_usage(c, "it wants a SLOT, or --shares K/N");
	TRY(check_options(c));
	TRY(ctl_connect(c));
	TRY(ctl_ask(c, kms_slot_add(c->kms, &with, &r)));
	TRY(check_shares(c, r));
	if (with.dry_run)
		ctl_talk(c, "It can be added; nothing was changed.");
	TRY(share_give_and_confirm(c, r, confirm_add));
	if (!with.dry_run)
		ctl_talk(c, "Added, after it has opened the root key in a process of its own.");
	return KMS_OK;
}

kms_err cmd_slot_remove(struct ctl *c)
{
	AUTO(kms_result_free) struct kms_result *r = NULL;
	const char *slot = c->args.operands[0];
	bool dry_run = ctl_is_dry_run(c), rely = c->args.given[OPT_RELY_ON_SHARES];

	TRY(ctl_connect(c));
	ctl_talk(c,
	    "%s: it will open the root key no more. Backups that were copied elsewhere before "
	    "still open with it.",
	    slot);
	if (!dry_run)
		TRY(ctl_confirm(c, slot));
	TRY(ctl_ask(c, kms_slot_remove(c->kms, slot, rely, dry_run, &r)));
	if (dry_run)
		ctl_talk(c, "It can be removed; nothing was changed.");
	return share_give(c, r);
}
