/* SPDX-License-Identifier: Apache-2.0 */
/* See sealing.h. Its state belongs to the task that kms-seal has, so it outlives whoever wanted it. */
#include "kms/keeper/sealing.h"

#include <stdlib.h>
#include <string.h>

#include "kms/crypto/rand.h"
#include "kms/keeper/helper.h"
#include "kms/keeper/root_private.h"
#include "kms/keeper/work.h"

struct sealing {
	uint64_t number; /* of the work that it is for */
	const struct config_slot *section;
	struct secret *root;
	struct buf before; /* the row before */
	struct buf row;
	uint64_t counter;
	sealing_done *done;
};

static void sealing_free(struct sealing **s)
{
	if (*s == NULL)
		return;
	secret_free(&(*s)->root);
	buf_done(&(*s)->before);
	buf_done(&(*s)->row);
	free(*s);
	*s = NULL;
}

static void finish(struct keeper *k, struct sealing *s, kms_err e)
{
	const struct sealed out = { .row = buf_bytes(&s->row), .counter = s->counter };
	if (s->number == work_number(k->root))
		s->done(k, e, e == KMS_OK ? &out : NULL);
}

static void on_proved(struct keeper *k, void *arg, struct call_answer *a)
{
	AUTO(sealing_free) struct sealing *s = arg;
	kms_err e = a->err;
	if (e == KMS_OK && a->root == NULL)
		e = KMS_E_HARDWARE_HELPER;
	if (e == KMS_OK && !secret_equal(s->root, secret_bytes(a->root)))
		e = KMS_E_INTEGRITY;
	finish(k, s, e);
}

static kms_err make_row(struct keeper *k, struct sealing *s, struct bytes blob)
{
	struct slot row = { .created_us = k->wall_us,
		.kind = bytes_of_str(s->section->kind),
		.name = bytes_of_str(s->section->name) };
	if (s->before.n > 0)
		TRY(slot_decode(buf_bytes(&s->before), &row));
	else
		TRY(rand_bytes(row.id, sizeof(row.id)));
	row.blob = blob;
	memcpy(row.instance, k->instance, INSTANCE_ID_LEN);
	return slot_encode(&row, s->root, &s->row);
}

static void on_sealed(struct keeper *k, void *arg, struct call_answer *a)
{
	AUTO(sealing_free) struct sealing *s = arg;
	kms_err e = a->err;
	s->counter = a->counter;
	if (e == KMS_OK)
		e = make_row(k, s, buf_bytes(&a->data));
	if (e == KMS_OK) {
		const struct call_task task =
		    root_task_for(k, s->section, CALL_UNSEAL, buf_bytes(&a->data));
		e = helper_call(k, &task, true, on_proved, s);
	}
	if (e == KMS_OK)
		s = NULL; /* on_proved's */
	else
		finish(k, s, e);
}

kms_err sealing_start(struct keeper *k, const struct config_slot *section,
    const struct secret *root, struct bytes before, sealing_done *done)
{
	AUTO(sealing_free) struct sealing *s = calloc(1, sizeof(*s));
	struct slot old = { 0 };
	if (s == NULL)
		return KMS_E_NO_MEMORY;
	s->number = work_number(k->root);
	s->section = section;
	s->done = done;
	TRY(secret_from(secret_bytes(root), &s->root));
	if (before.n > 0)
		TRY(slot_decode(before, &old));
	TRY(buf_put(&s->before, before));
	struct call_task task = root_task_for(k, section, CALL_SEAL, old.blob);
	task.root = s->root;
	TRY(helper_call(k, &task, false, on_sealed, s));
	s = NULL; /* on_sealed's */
	return KMS_OK;
}
