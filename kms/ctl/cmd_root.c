/* SPDX-License-Identifier: Apache-2.0 */
/* root rotate: a new root key under every slot, and new shares for the people. */
#include <string.h>

#include "kms/ctl/ctl.h"
#include "kms/ctl/look.h"
#include "kms/ctl/share_show.h"

static bool is_left_out(const struct ctl *c, const char *slot)
{
	const struct args_list *left = &c->args.leave_out;

	for (size_t i = 0; i < left->n; i++) {
		if (strcmp(left->p[i], slot) == 0)
			return true;
	}
	return false;
}

/* Says what will happen; *out_shares: people will get new ones. */
static void tell(const struct ctl *c, const struct kms_status *s, bool *out_shares)
{
	*out_shares = false;
	ctl_talk(c,
	    "A new root key will be made and sealed by every slot, and each slot must prove itself:");
	for (size_t i = 0; i < s->slot_n; i++) {
		const struct kms_slot *slot = &s->slots[i];
		bool left = is_left_out(c, slot->name);
		bool shares = !left && strcmp(slot->kind, "shares") == 0;

		ctl_talk(c, "  %s%s", slot->name,
		    left     ? ": left out, removed"
		    : shares ? ": new shares; the old ones open old backups only"
		             : "");
		*out_shares = *out_shares || shares;
	}
	if (c->args.given[OPT_STORE])
		ctl_talk(c, "The store will get a new key as well: every row is sealed anew.");
}

/* What is to be thought about before: shares must have somewhere to go, and somebody must agree. */
static kms_err prepare(struct ctl *c)
{
	AUTO(kms_result_free) struct kms_result *status = NULL;
	bool shares = false;

	TRY(look_status(c, &status));
	tell(c, kms_result_status(status), &shares);
	if (shares)
		TRY(share_show_check(c));
	else if (share_show_is_said(c))
		return ctl_usage(
		    c, "--shares-out, --qr, --png: there are no shares to be made anew");
	return ctl_is_dry_run(c) ? KMS_OK : ctl_confirm(c, "root");
}

static enum kms_code confirm_rotation(
    struct ctl *c, struct kms_bytes nonce, struct kms_result **out)
{
	const struct kms_rotation how = { .confirm = nonce };

	return kms_root_rotate(c->kms, &how, out);
}

kms_err cmd_root_rotate(struct ctl *c)
{
	AUTO(kms_result_free) struct kms_result *r = NULL;
	const struct kms_rotation how = {
		.leave_out = c->args.leave_out.p,
		.leave_out_n = c->args.leave_out.n,
		.renew_store = c->args.given[OPT_STORE],
		.dry_run = ctl_is_dry_run(c),
	};

	TRY(prepare(c));
	TRY(ctl_ask(c, kms_root_rotate(c->kms, &how, &r)));
	TRY(share_give_and_confirm(c, r, confirm_rotation));
	if (how.dry_run)
		ctl_talk(c, "Nothing was changed.");
	else
		ctl_talk(
		    c, "The old root key is forgotten. Make a backup now: `kmsctl backup create`.");
	return KMS_OK;
}
