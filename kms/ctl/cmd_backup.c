/* SPDX-License-Identifier: Apache-2.0 */
/* backup create, list, verify and restore. The files are kmsd's; here they have names only. */
#include <string.h>

#include "kms/ctl/backupview.h"
#include "kms/ctl/ctl.h"
#include "kms/ctl/look.h"

static kms_err print(struct ctl *c, const struct kms_result *r)
{
	AUTO(out_done) struct out o = { .field_n = 0 };
	size_t n;

	const struct kms_backup *list = kms_result_backups(r, &n);
	if (ctl_is_dry_run(c))
		out_bool(&o, "dry_run", NULL, true);
	backupview_put(&o, list, n);
	return ctl_print(c, &o);
}

kms_err cmd_backup_create(struct ctl *c)
{
	AUTO(kms_result_free) struct kms_result *r = NULL;

	if (ctl_is_dry_run(c)) {
		TRY(look_status(c, &r));
		const struct kms_status *s = kms_result_status(r);
		if (!look_is_unsealed(s))
			return ctl_refuse(c, KMS_E_SEALED, "%s", s->state);
		ctl_talk(c, "A backup of %ju keys would be written; nothing was changed.",
		    (uintmax_t)s->keys);
		return print(c, r);
	}
	TRY(ctl_connect(c));
	TRY(ctl_ask(c, kms_backup_create(c->kms, &r)));
	ctl_talk(c,
	    "Written. `kmsctl backup rehearse` proves that it would bring all back; copy it "
	    "to another host.");
	return print(c, r);
}

kms_err cmd_backup_list(struct ctl *c)
{
	AUTO(kms_result_free) struct kms_result *r = NULL;
	size_t n;

	TRY(ctl_connect(c));
	TRY(ctl_ask(c, kms_backup_list(c->kms, &r)));
	(void)kms_result_backups(r, &n);
	if (n == 0)
		ctl_talk(c, "There are no backups yet; `kmsctl backup create` makes one.");
	return print(c, r);
}

kms_err cmd_backup_verify(struct ctl *c)
{
	AUTO(kms_result_free) struct kms_result *r = NULL;
	size_t n;

	TRY(ctl_connect(c));
	TRY(ctl_ask(c, kms_backup_verify(c->kms, c->args.operands[0], &r)));
	const struct kms_backup *b = kms_result_backups(r, &n);
	for (size_t i = 0; i < n; i++) {
		kms_err why = look_why(b[i].state);

		if (backupview_is_good(&b[i]))
			ctl_talk(c, "%s is whole and as it was written.", b[i].name);
		else
			c->status = kms_exit_status(
			    (enum kms_code)err_wire(why != KMS_OK ? why : KMS_E_INTEGRITY));
	}
	return print(c, r);
}

static void tell_next(const struct ctl *c, const struct kms_backup *b)
{
	bool shares = false, hardware = false;

	for (size_t i = 0; i < b->slot_n; i++) {
		const struct kms_slot *slot = &b->slots[i];
		bool people = strcmp(slot->kind, "shares") == 0;

		ctl_talk(c, "  %s%s%s%s", slot->name, slot->detail[0] != '\0' ? " (" : "",
		    slot->detail, slot->detail[0] != '\0' ? ")" : "");
		shares = shares || people;
		hardware = hardware || !people;
	}
	if (hardware)
		ctl_talk(c, "On the hardware that made it, `kmsctl unseal` opens it now.");
	if (shares)
		ctl_talk(c, "With shares, each person runs `kmsctl unseal --share -`.");
	ctl_talk(c, "After that, add this host's own slot: `kmsctl slot add tpm`.");
}

kms_err cmd_backup_restore(struct ctl *c)
{
	AUTO(kms_result_free) struct kms_result *r = NULL;
	size_t n;

	TRY(ctl_connect(c));
	TRY(ctl_ask(c, kms_backup_restore(c->kms, c->args.operands[0], ctl_is_dry_run(c), &r)));
	const struct kms_backup *b = kms_result_backups(r, &n);
	if (ctl_is_dry_run(c))
		ctl_talk(c, "It can be restored here; nothing was changed.");
	else if (n > 0) {
		ctl_talk(c, "%s is restored as soon as one of these opens it:", b->name);
		tell_next(c, b);
	}
	return print(c, r);
}
