/* SPDX-License-Identifier: Apache-2.0 */
/* The operations on the ways to open the root: init, unseal, slots, shares, a new root. */
#include <stdlib.h>

#include "kms/crypto/shamir.h"
#include "kms/keeper/ceremony.h"
#include "kms/keeper/describe.h"
#include "kms/keeper/helper.h"
#include "kms/keeper/ops.h"
#include "kms/keeper/root.h"
#include "kms/keeper/work.h"

/* What a request says of them. Hardware is the TPM where nothing is said and `by_default` is true. */
static kms_err take_ways(
    const struct keeper *k, const struct request *r, bool by_default, struct root_ways *out)
{
	struct bytes spec = r->slot;
	*out = (struct root_ways){ .k = r->shares_needed, .n = r->shares_total };
	if (spec.n == 0 && out->k == 0 && by_default)
		spec = bytes_of_str("tpm");
	return spec.n > 0 ? config_choose_slot(k->config, spec, &out->section) : KMS_OK;
}

kms_err op_init(struct keeper *k, struct task *t, const struct request *r, struct answer *out)
{
	struct root_ways ways;
	struct task *later = NULL;
	TRY(root_may_init(k->root));
	TRY(take_ways(k, r, true, &ways));
	if (ways.k > 0 && !shamir_possible(ways.k, ways.n))
		return KMS_E_SHARE_NUMBERS;
	if (t->dry_run) {
		out->kind = ANSWER_SLOTS;
		return describe_slots(k, &out->u.slots.p, &out->u.slots.n);
	}
	TRY(task_detach(t, &later));
	t->fate = TASK_LATER;
	root_init(k, later, &ways);
	return KMS_OK;
}

kms_err op_unseal(struct keeper *k, struct task *t, const struct request *r, struct answer *out)
{
	struct task *later = NULL;
	out->kind = ANSWER_DONE;
	if (r->cancel) {
		t->record.detail = bytes_of_str("cancel");
		return ceremony_cancel(k, r->ceremony);
	}
	if (r->share.n > 0)
		return ceremony_share(k, t, r, out);
	if (r->slot.n > 0)
		TRY(root_has_slot(k->root, r->slot));
	TRY(task_detach(t, &later));
	t->fate = TASK_LATER;
	root_unseal(k, later, r->slot, r->accept_restore);
	return KMS_OK;
}

kms_err op_slot_list(struct keeper *k, struct task *t, const struct request *r, struct answer *out)
{
	(void)t;
	(void)r;
	out->kind = ANSWER_SLOTS;
	return describe_slots(k, &out->u.slots.p, &out->u.slots.n);
}

/* What waits for the hardware's description. */
struct check {
	struct task *task;
	const struct config_slot *section;
};

static void on_described(struct keeper *k, void *arg, struct call_answer *a)
{
	struct check *c = arg;
	const struct slot_info info = { .kind = bytes_of_str(c->section->kind),
		.name = bytes_of_str(c->section->name),
		.last = bytes_of_str(a->err == KMS_OK ? "ok" : err_name(a->err)),
		.detail = buf_bytes(&a->data) };
	struct answer ans = { .kind = ANSWER_SLOTS, .u.slots = { .p = &info, .n = 1 } };
	request_finish(k, c->task, a->err, &ans);
	arena_reset(&k->arena);
	task_free(&c->task);
	free(c);
}

static void check_free(struct check **c)
{
	if (*c == NULL)
		return;
	task_free(&(*c)->task);
	free(*c);
	*c = NULL;
}

kms_err op_slot_check(struct keeper *k, struct task *t, const struct request *r, struct answer *out)
{
	(void)out;
	struct root_ways ways;
	AUTO(check_free) struct check *c = calloc(1, sizeof(*c));
	if (c == NULL)
		return KMS_E_NO_MEMORY;
	TRY(take_ways(k, r, true, &ways));
	c->section = ways.section;
	const struct call_task call =
	    root_task_for(k, c->section, CALL_DESCRIBE, (struct bytes){ 0 });
	TRY(task_detach(t, &c->task));
	TRY(helper_call(k, &call, false, on_described, c));
	c = NULL; /* on_described's */
	t->fate = TASK_LATER;
	return KMS_OK;
}

kms_err op_slot_add(struct keeper *k, struct task *t, const struct request *r, struct answer *out)
{
	(void)out;
	struct root_ways ways;
	if (r->confirm.n > 0)
		return work_confirm(k, t, r->confirm);
	TRY(take_ways(k, r, false, &ways));
	return work_add(k, t, &ways);
}

kms_err op_slot_remove(
    struct keeper *k, struct task *t, const struct request *r, struct answer *out)
{
	(void)out;
	return work_remove(k, t, r->slot, r->rely_on_shares);
}

kms_err op_root_rotate(
    struct keeper *k, struct task *t, const struct request *r, struct answer *out)
{
	(void)out;
	if (r->confirm.n > 0)
		return work_confirm(k, t, r->confirm);
	return work_rotate(k, t, r);
}
