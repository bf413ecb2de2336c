/* SPDX-License-Identifier: Apache-2.0 */
/* The operations of kms_admin.h: the root key, its slots, backups. Requests and nothing more. */
#include "kms/client/calls.h"

enum {
	LEAVE_OUT_MAX = 16 /* more slots than an instance can have */
};

static struct bytes borrow(struct kms_bytes x)
{
	return bytes_of(x.p, x.n);
}

static enum kms_code open_with(
    struct kms *c, enum op op, const struct kms_opener *with, struct kms_result **out)
{
	struct call call = call_begin(c, op, ANSWER_SLOTS);

	call.request.slot = call_text(with->slot);
	call.request.shares_needed = with->shares_needed;
	call.request.shares_total = with->shares_total;
	call.request.dry_run = with->dry_run;
	call.request.confirm = borrow(with->confirm);
	return call_do(c, &call, out);
}

enum kms_code kms_init(struct kms *c, const struct kms_opener *with, struct kms_result **out)
{
	return open_with(c, OP_INIT, with, out);
}

enum kms_code kms_slot_add(struct kms *c, const struct kms_opener *with, struct kms_result **out)
{
	return open_with(c, OP_SLOT_ADD, with, out);
}

enum kms_code kms_slot_remove(
    struct kms *c, const char *slot, bool rely_on_shares, bool dry_run, struct kms_result **out)
{
	struct call call = call_begin(c, OP_SLOT_REMOVE, ANSWER_SLOTS);

	call.request.slot = call_text(slot);
	call.request.rely_on_shares = rely_on_shares;
	call.request.dry_run = dry_run;
	return call_do(c, &call, out);
}

enum kms_code kms_slot_list(struct kms *c, struct kms_result **out)
{
	return call_plain(c, OP_SLOT_LIST, ANSWER_SLOTS, out);
}

enum kms_code kms_slot_check(struct kms *c, const char *slot, struct kms_result **out)
{
	struct call call = call_begin(c, OP_SLOT_CHECK, ANSWER_SLOTS);

	call.request.slot = call_text(slot != NULL ? slot : "tpm");
	return call_do(c, &call, out);
}

enum kms_code kms_unseal(struct kms *c, const struct kms_unseal_with *with, struct kms_result **out)
{
	static const struct kms_unseal_with all;
	struct call call = call_begin(c, OP_UNSEAL, ANSWER_DONE);

	if (with == NULL)
		with = &all;
	call.want.also = ANSWER_CEREMONY;
	call.request.slot = call_text(with->slot);
	call.request.share = borrow(with->share);
	call.request.ceremony = borrow(with->ceremony);
	call.request.accept_restore = with->accept_restore;
	call.request.cancel = with->cancel;
	return call_do(c, &call, out);
}

enum kms_code kms_seal(struct kms *c)
{
	return call_plain(c, OP_SEAL, ANSWER_DONE, NULL);
}

enum kms_code kms_root_rotate(
    struct kms *c, const struct kms_rotation *how, struct kms_result **out)
{
	struct bytes names[LEAVE_OUT_MAX];
	struct call call = call_begin(c, OP_ROOT_ROTATE, ANSWER_SLOTS);

	if (how->leave_out_n > LEAVE_OUT_MAX)
		return call_fail(c, KMS_E_BAD_REQUEST);
	for (size_t i = 0; i < how->leave_out_n; i++)
		names[i] = call_text(how->leave_out[i]);
	call.request.leave_out = names;
	call.request.leave_out_n = how->leave_out_n;
	call.request.renew_store = how->renew_store;
	call.request.dry_run = how->dry_run;
	call.request.confirm = borrow(how->confirm);
	return call_do(c, &call, out);
}

enum kms_code kms_key_prove(struct kms *c, const char *key, uint32_t version,
    struct kms_bytes challenge, struct kms_result **out)
{
	struct call call = call_begin(c, OP_KEY_PROVE, ANSWER_PROOF);

	call.request.key = call_text(key);
	call.request.version = version;
	call.request.challenge = borrow(challenge);
	return call_do(c, &call, out);
}

enum kms_code kms_backup_create(struct kms *c, struct kms_result **out)
{
	return call_plain(c, OP_BACKUP_CREATE, ANSWER_BACKUPS, out);
}

enum kms_code kms_backup_list(struct kms *c, struct kms_result **out)
{
	return call_plain(c, OP_BACKUP_LIST, ANSWER_BACKUPS, out);
}

enum kms_code kms_backup_verify(struct kms *c, const char *name, struct kms_result **out)
{
	struct call call = call_begin(c, OP_BACKUP_VERIFY, ANSWER_BACKUPS);

	call.request.key = call_text(name);
	return call_do(c, &call, out);
}

enum kms_code kms_backup_restore(
    struct kms *c, const char *name, bool dry_run, struct kms_result **out)
{
	struct call call = call_begin(c, OP_BACKUP_RESTORE, ANSWER_BACKUPS);

	call.request.key = call_text(name);
	call.request.dry_run = dry_run;
	return call_do(c, &call, out);
}

enum kms_code kms_backup_rehearsed(struct kms *c, const char *name, bool failed, uint32_t checked)
{
	struct call call = call_begin(c, OP_BACKUP_REHEARSED, ANSWER_DONE);

	call.request.key = call_text(name);
	call.request.failed = failed;
	call.request.count = checked;
	return call_do(c, &call, NULL);
}
