/* SPDX-License-Identifier: Apache-2.0 */
/* See ceremony.h. Each share is checked when it comes, so that its bearer is told, and nobody else. */
#include "kms/keeper/ceremony.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kms/crypto/rand.h"
#include "kms/keeper/root_private.h"
#include "kms/seal/share_text.h"

enum {
	LIMIT_S = 600, /* from the first share to the last */
	NONCE_LEN = 16,
	DETAIL_MAX = 64
};

/* In the audit log: one more share has come, and the root stays closed. */
static const char detail_share[] = "share";

struct ceremony {
	uint8_t nonce[NONCE_LEN];
	struct shares_info info;
	struct share shares[SHARES_MAX];
	size_t n;
	uint64_t expires_us; /* wall clock, for people */
	bool accept;
	struct event *timer;
};

void ceremony_free(struct ceremony **c)
{
	if (*c == NULL)
		return;
	for (size_t i = 0; i < (*c)->n; i++)
		share_done(&(*c)->shares[i]);
	if ((*c)->timer != NULL)
		event_free((*c)->timer);
	wipe(*c, sizeof(**c));
	free(*c);
	*c = NULL;
}

static void on_limit(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct keeper *k = arg;
	keeper_tick(k);
	LOG(LOG_LEVEL_WARNING, "ceremony-expired",
	    "The ceremony reached its time limit; its shares were forgotten.",
	    log_u64("shares", k->root->ceremony->n));
	root_record(k, OP_UNSEAL, KMS_E_TIMED_OUT, bytes_of_str(slot_shares));
	ceremony_free(&k->root->ceremony);
}

static kms_err begin(struct keeper *k, const struct slot *s)
{
	const struct timeval limit = { .tv_sec = LIMIT_S };
	AUTO(ceremony_free) struct ceremony *c = calloc(1, sizeof(*c));
	if (c == NULL)
		return KMS_E_NO_MEMORY;
	TRY(rand_bytes(c->nonce, sizeof(c->nonce)));
	TRY(shares_info(s->blob, &c->info));
	c->expires_us = k->wall_us + (uint64_t)LIMIT_S * 1000000;
	c->timer = event_new(k->base, -1, 0, on_limit, k);
	if (c->timer == NULL || event_add(c->timer, &limit) != 0)
		return KMS_E_NO_MEMORY;
	LOG(LOG_LEVEL_NOTICE, "ceremony", "A ceremony with shares has begun.",
	    log_u64("needed", c->info.k));
	k->root->ceremony = MOVE(c);
	return KMS_OK;
}

/* The slot of the shares, as it stands in the store. */
static kms_err find_slot(const struct root *r, struct slot *out, size_t *out_i)
{
	for (size_t i = 0; i < r->rows.slot_n; i++) {
		if (!root_slot_is_shares(buf_bytes(&r->rows.slots[i])))
			continue;
		*out_i = i;
		return slot_decode(buf_bytes(&r->rows.slots[i]), out);
	}
	return KMS_E_NO_SHARES;
}

/* What is wrong with what was typed, as far as it can be said. */
static void tell_slip(struct keeper *k, struct task *t, const struct share_slip *slip)
{
	char *text = NULL;
	if (arena_alloc(&k->arena, DETAIL_MAX, &text) != KMS_OK)
		return;
	int n = slip->at > 0 ? snprintf(text, DETAIL_MAX, "character %zu is wrong", slip->at)
	                     : snprintf(text, DETAIL_MAX, "%zu of %d characters", slip->typed,
	                           (int)SHARE_TEXT_LEN);
	if (slip->at > 0 || slip->typed != SHARE_TEXT_LEN)
		t->detail = bytes_of(text, (size_t)n);
}

static kms_err read_share(
    struct keeper *k, struct task *t, const struct slot *s, struct bytes typed, struct share *out)
{
	struct share_slip slip = { 0 };
	kms_err e = share_text_decode(typed, out, &slip);
	if (e != KMS_OK) {
		tell_slip(k, t, &slip);
		return e;
	}
	return shares_check(s->blob, out);
}

static bool is_here(const struct ceremony *c, uint8_t x)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->shares[i].x == x)
			return true;
	return false;
}

/* Another ceremony's nonce, or one that has ended: people would give their share to somebody else's. */
static bool is_meant(const struct ceremony *c, struct bytes nonce)
{
	if (nonce.n == 0)
		return true;
	return c != NULL && bytes_equal(nonce, bytes_of(c->nonce, sizeof(c->nonce)));
}

/* The slot may have been made anew since: shares of before open nothing. */
static void drop_if_changed(struct root *r, const struct slot *s)
{
	const struct ceremony *c = r->ceremony;
	struct shares_info now;
	if (c != NULL && (shares_info(s->blob, &now) != KMS_OK ||
	                     memcmp(c->info.set, now.set, sizeof(now.set)) != 0))
		ceremony_free(&r->ceremony);
}

static kms_err add(struct keeper *k, struct task *t, const struct slot *s, struct bytes typed)
{
	struct root *r = k->root;
	AUTO(share_done) struct share share = { 0 };
	TRY(read_share(k, t, s, typed, &share));
	drop_if_changed(r, s);
	if (r->ceremony == NULL)
		TRY(begin(k, s));
	struct ceremony *c = r->ceremony;
	CHECK(c != NULL);
	if (is_here(c, share.x))
		return KMS_E_SHARE_HERE;
	c->shares[c->n++] = share;
	share = (struct share){ 0 };
	return KMS_OK;
}

static kms_err open_root(struct keeper *k, struct task *t, const struct slot *s, size_t i)
{
	struct root *r = k->root;
	AUTO(ceremony_free) struct ceremony *c = MOVE(r->ceremony);
	AUTO(secret_free) struct secret *key = NULL;
	struct task *later = NULL;
	TRY(shares_open(s->blob, k->instance, c->shares, c->n, &key));
	TRY(slot_prove(buf_bytes(&r->rows.slots[i]), key));
	TRY(task_detach(t, &later));
	t->fate = TASK_LATER;
	later->record.detail = bytes_of_str(slot_shares);
	root_add_waiter(k, later);
	r->accept = c->accept;
	secret_free(&r->key);
	r->key = MOVE(key);
	root_open_with(k, i);
	return KMS_OK;
}

kms_err ceremony_share(
    struct keeper *k, struct task *t, const struct request *r, struct answer *out)
{
	struct root *root = k->root;
	struct slot s;
	size_t i = 0;
	out->kind = ANSWER_DONE;
	if (root->state == ROOT_UNSEALED)
		return KMS_OK; /* it is what the bearer wants */
	if (root->state != ROOT_SEALED)
		return root_why(root);
	TRY(find_slot(root, &s, &i));
	if (!is_meant(root->ceremony, r->ceremony))
		return KMS_E_NO_CEREMONY;
	TRY(add(k, t, &s, r->share));
	struct ceremony *c = root->ceremony;
	c->accept = c->accept || r->accept_restore;
	t->record.detail = bytes_of_str(detail_share);
	if (c->n == c->info.k)
		return open_root(k, t, &s, i);
	out->kind = ANSWER_CEREMONY;
	out->u.ceremony = ceremony_describe(k);
	return KMS_OK;
}

kms_err ceremony_cancel(struct keeper *k, struct bytes nonce)
{
	struct root *r = k->root;
	if (r->ceremony == NULL || !is_meant(r->ceremony, nonce))
		return KMS_E_NO_CEREMONY;
	LOG(LOG_LEVEL_NOTICE, "ceremony-cancelled", "The ceremony was cancelled.",
	    log_u64("shares", r->ceremony->n));
	ceremony_free(&r->ceremony);
	return KMS_OK;
}

struct ceremony_info ceremony_describe(const struct keeper *k)
{
	const struct ceremony *c = k->root->ceremony;
	if (c == NULL)
		return (struct ceremony_info){ 0 };
	return (struct ceremony_info){ .nonce = bytes_of(c->nonce, sizeof(c->nonce)),
		.set = bytes_of(c->info.set, sizeof(c->info.set)),
		.needed = c->info.k,
		.have = (uint32_t)c->n,
		.expires_us = c->expires_us };
}
