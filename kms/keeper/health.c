/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See health.h. A TPM is asked for randomness, which wears nothing and takes it a moment; of a token
 * only a real operation tells that it is there, since one that was pulled may still answer others.
 */
#include "kms/keeper/health.h"

#include <stdlib.h>
#include <string.h>

#include "kms/keeper/changes.h"
#include "kms/keeper/helper.h"
#include "kms/keeper/root_private.h"

enum {
	RANDOM_LEN = 16
};

struct health {
	struct keeper *k;
	struct event *timer;
	uint8_t id[16]; /* of the slot being asked */
	bool asking;
	size_t next; /* the slot to be asked then */
};

static void on_timer(evutil_socket_t fd, short what, void *arg);

static void wait_turn(struct health *h)
{
	uint64_t us = h->k->config->slot_check_us;
	size_t n = h->k->root != NULL ? h->k->root->rows.slot_n : 0;
	/* Each slot once in that time. */
	us /= n > 0 ? n : 1;
	const struct timeval later = { .tv_sec = (time_t)(us / 1000000),
		.tv_usec = (suseconds_t)(us % 1000000) };
	if (us > 0)
		(void)event_add(h->timer, &later);
}

kms_err health_new(struct keeper *k, struct health **out)
{
	AUTO(health_free) struct health *h = calloc(1, sizeof(*h));
	if (h == NULL)
		return KMS_E_NO_MEMORY;
	h->k = k;
	h->timer = event_new(k->base, -1, 0, on_timer, h);
	if (h->timer == NULL)
		return KMS_E_NO_MEMORY;
	wait_turn(h);
	*out = MOVE(h);
	return KMS_OK;
}

void health_free(struct health **h)
{
	if (*h == NULL)
		return;
	if ((*h)->timer != NULL)
		event_free((*h)->timer);
	free(*h);
	*h = NULL;
}

/* Lines and records of what changed, not of every look. */
static void note(struct keeper *k, size_t i, kms_err e)
{
	struct root *r = k->root;
	struct bytes slot = root_slot_name(r, i);
	char name[NAME_MAX_LEN + 1] = "";
	bool news = r->last[i].tried ? r->last[i].err != e : e != KMS_OK;
	r->last[i].tried = true;
	r->last[i].err = e;
	if (!news)
		return;
	memcpy(name, slot.p, slot.n);
	if (e == KMS_OK)
		LOG(LOG_LEVEL_NOTICE, "slot-back", "A slot would open the root again.",
		    log_str("slot", name));
	else
		LOG(LOG_LEVEL_ERROR, "slot-lost", "A slot would not open the root now.",
		    log_str("slot", name), log_err(e));
	root_record(k, OP_SLOT_CHECK, e, slot);
}

static void on_answer(struct keeper *k, void *arg, struct call_answer *a)
{
	struct health *h = arg;
	h->asking = false;
	wait_turn(h);
	size_t i = root_find_id(k->root, h->id);
	if (k->root->state != ROOT_UNSEALED || i == ROOT_NO_SLOT)
		return;
	note(k, i, a->err);
	/* What was put off until it answers need not wait longer. */
	if (a->err == KMS_OK && i == root_counter_slot(k->root, &k->epoch))
		changes_retry_counter(k->changes);
}

static kms_err ask(struct health *h, size_t i)
{
	struct keeper *k = h->k;
	struct call_task task;
	struct slot s;
	TRY(slot_decode(buf_bytes(&k->root->rows.slots[i]), &s));
	bool tpm = bytes_equal(s.kind, bytes_of_str("tpm"));
	TRY(root_slot_task(k, i, tpm ? CALL_RANDOM : CALL_DESCRIBE, &task));
	task.blob = (struct bytes){ 0 };
	task.n = tpm ? RANDOM_LEN : 0;
	memcpy(h->id, s.id, sizeof(h->id));
	return helper_call(k, &task, false, on_answer, h);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct health *h = arg;
	struct root *r = h->k->root;
	keeper_tick(h->k);
	/* Work on the slots asks the hardware more than this would. */
	bool quiet = r->state == ROOT_UNSEALED && r->work == NULL && !h->asking;
	if (quiet && r->rows.slot_n > 0) {
		h->next = h->next + 1 < r->rows.slot_n ? h->next + 1 : 0;
		kms_err e = ask(h, h->next);
		h->asking = e == KMS_OK;
		if (e == KMS_E_SLOT_CONFIG)
			note(h->k, h->next, e);
	}
	if (!h->asking)
		wait_turn(h);
}
