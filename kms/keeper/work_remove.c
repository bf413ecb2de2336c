/* SPDX-License-Identifier: Apache-2.0 */
/* Removing a slot: only when a fresh process has opened the root with another one. */
#include <string.h>

#include "kms/keeper/helper.h"
#include "kms/keeper/work_private.h"

static void try_next(struct keeper *k);

/* One that opens is enough. */
static void on_opened(struct keeper *k, void *arg, struct call_answer *a)
{
	struct work *w = k->root->work;
	if (w == NULL || w->number != (uint64_t)(uintptr_t)arg)
		return;
	bool opens = a->err == KMS_OK && a->root != NULL &&
	             secret_equal(k->root->key, secret_bytes(a->root));
	if (opens)
		work_submit(k);
	else
		try_next(k);
}

static bool has_shares(const struct root_plan *p)
{
	for (size_t i = 0; i < p->slot_n; i++)
		if (root_slot_is_shares(buf_bytes(&p->slots[i])))
			return true;
	return false;
}

/* The hardware of the slots that stay, one after the other. */
static void try_next(struct keeper *k)
{
	struct work *w = k->root->work;
	const struct root_rows *rows = &k->root->rows;
	while (w->at < rows->slot_n) {
		size_t i = w->at++;
		struct call_task task;
		if (i == root_find_name(k->root, bytes_of_str(w->names[0])) ||
		    root_slot_task(k, i, CALL_UNSEAL, &task) != KMS_OK)
			continue;
		void *number = (void *)(uintptr_t)w->number; /* NOLINT(performance-no-int-to-ptr) */
		if (helper_call(k, &task, true, on_opened, number) == KMS_OK)
			return;
	}
	if (w->rely_on_shares && has_shares(w->plan))
		work_submit(k);
	else
		work_fail(k, KMS_E_LAST_SLOT, (struct bytes){ 0 });
}

static kms_err start(
    struct keeper *k, struct work *w, struct task *t, struct bytes name, bool rely_on_shares)
{
	TRY(root_plan_new(k, &w->plan));
	root_plan_drop(k, w->plan, root_find_name(k->root, name));
	w->rely_on_shares = rely_on_shares;
	memcpy(w->names[0], name.p, name.n);
	w->name_n = 1;
	memcpy(w->about, name.p, name.n);
	return work_take_task(w, t);
}

kms_err work_remove(struct keeper *k, struct task *t, struct bytes name, bool rely_on_shares)
{
	struct work *w = NULL;
	if (root_find_name(k->root, name) == ROOT_NO_SLOT)
		return KMS_E_NOT_FOUND;
	TRY(work_begin(k, t->record.op, &w));
	kms_err e = start(k, w, t, name, rely_on_shares);
	if (e != KMS_OK) {
		work_free(&k->root->work);
		return e;
	}
	try_next(k);
	return KMS_OK;
}
