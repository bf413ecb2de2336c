/* SPDX-License-Identifier: Apache-2.0 */
/* Checking, staging and applying one change of a key; see change_plan.h. When and in which group is changes.c's. */
#include "kms/keeper/change_plan.h"

#include <stdlib.h>
#include <string.h>

#include "kms/keeper/counts.h"
#include "kms/keeper/root_plan.h"
#include "kms/keys/lifecycle.h"

static const char default_class[] = "default";

void change_free(struct change **c)
{
	if (*c == NULL)
		return;
	task_free(&(*c)->task);
	buf_done(&(*c)->text);
	key_free(&(*c)->made);
	secret_free(&(*c)->fresh.bits);
	root_plan_free(&(*c)->plan);
	free((*c)->moves);
	free(*c);
	*c = NULL;
}

/* Copies one string behind the others; the room was reserved, so earlier borrows stay. */
static kms_err keep(struct change *c, struct bytes *x)
{
	uint8_t *at = c->text.p + c->text.n;
	TRY(buf_put(&c->text, *x));
	x->p = at;
	return KMS_OK;
}

kms_err change_new(const struct change_want *want, struct change **out)
{
	AUTO(change_free) struct change *c = calloc(1, sizeof(*c));
	if (c == NULL)
		return KMS_E_NO_MEMORY;
	c->want = *want;
	TRY(buf_reserve(&c->text, want->key.n + want->key_class.n + want->reason.n + 1));
	TRY(keep(c, &c->want.key));
	TRY(keep(c, &c->want.key_class));
	TRY(keep(c, &c->want.reason));
	*out = MOVE(c);
	return KMS_OK;
}

/* A version with fresh bits that becomes active. */
static kms_err make_version(struct keeper *k, uint32_t number, struct key_version *out)
{
	AUTO(secret_free) struct secret *bits = NULL;
	TRY(secret_new(KEY_BITS_LEN, &bits));
	TRY(rand_bytes(secret_fill(bits), KEY_BITS_LEN));
	out->number = number;
	out->state = STATE_ACTIVE;
	out->created_us = k->wall_us;
	out->since_us = k->wall_us;
	out->reserved = counts_first_block(out);
	out->bits = MOVE(bits);
	return KMS_OK;
}

static void copy_name(struct bytes from, char to[static NAME_MAX_LEN + 1])
{
	memcpy(to, from.p, from.n);
	to[from.n] = '\0';
}

static kms_err check_create(struct keeper *k, struct change *c)
{
	const struct change_want *w = &c->want;
	struct bytes key_class = w->key_class.n > 0 ? w->key_class : bytes_of_str(default_class);
	if (ring_find(k->ring, w->key) != NULL)
		return KMS_E_EXISTS;
	AUTO(key_free) struct key *key = NULL;
	struct key_version *v = NULL;
	TRY(key_new(&key));
	TRY(rand_bytes(key->id.b, KEY_ID_LEN));
	copy_name(w->key, key->name);
	copy_name(key_class, key->key_class);
	key->algorithm = w->algorithm;
	key->created_us = k->wall_us;
	key->rotate_every_s = w->rotate_every_s;
	TRY(key_add_version(key, &v));
	TRY(make_version(k, v->number, v));
	c->made = MOVE(key);
	c->key = c->made;
	return KMS_OK;
}

static kms_err add_move(struct change *c, const struct key_version *v, enum key_state to)
{
	if (!lifecycle_may(v->state, to))
		return v->state == STATE_DESTROYED ? KMS_E_DESTROYED : KMS_E_WRONG_STATE;
	struct change_move *more = reallocarray(c->moves, c->move_n + 1, sizeof(*more));
	if (more == NULL)
		return KMS_E_NO_MEMORY;
	c->moves = more;
	c->moves[c->move_n++] = (struct change_move){ .version = v->number, .to = to };
	return KMS_OK;
}

static kms_err check_rotate(struct keeper *k, struct change *c)
{
	const struct key *key = c->key;
	const struct key_version *active = key_active(key);
	if (key->n >= KEY_VERSIONS_MAX)
		return KMS_E_KEYS_FULL;
	if (active != NULL)
		TRY(add_move(c, active, STATE_DEACTIVATED));
	return make_version(k, key->versions[key->n - 1].number + 1, &c->fresh);
}

/* The version that version 0 stands for: the active one; for resume the newest suspended one. */
static const struct key_version *default_version(const struct key *key, enum op op)
{
	if (op != OP_KEY_RESUME)
		return key_active(key);
	for (size_t i = key->n; i-- > 0;)
		if (key->versions[i].state == STATE_SUSPENDED)
			return &key->versions[i];
	return NULL;
}

static enum key_state target(const struct key *key, enum op op)
{
	switch (op) {
	case OP_KEY_SUSPEND: return STATE_SUSPENDED;
	/* There is one active version at most: where a newer one is, a resumed one only unwraps. */
	case OP_KEY_RESUME: return key_active(key) == NULL ? STATE_ACTIVE : STATE_DEACTIVATED;
	case OP_KEY_DEACTIVATE: return STATE_DEACTIVATED;
	case OP_KEY_COMPROMISE: return STATE_COMPROMISED;
	case OP_KEY_DESTROY: return STATE_DESTROYED;
	default: return STATE_NONE;
	}
}

static kms_err check_move(struct change *c)
{
	const struct change_want *w = &c->want;
	const struct key_version *v =
	    w->version == 0 ? default_version(c->key, w->op) : key_find_version(c->key, w->version);
	if (v == NULL)
		return w->version == 0 ? KMS_E_WRONG_STATE : KMS_E_NOT_FOUND;
	if (w->op == OP_KEY_RESUME && v->state != STATE_SUSPENDED)
		return KMS_E_WRONG_STATE;
	return add_move(c, v, target(c->key, w->op));
}

/* Destroying a whole key destroys every version that is left. */
static kms_err check_destroy_all(struct change *c)
{
	for (size_t i = 0; i < c->key->n; i++) {
		const struct key_version *v = &c->key->versions[i];
		if (v->state != STATE_DESTROYED)
			TRY(add_move(c, v, STATE_DESTROYED));
	}
	return c->move_n > 0 ? KMS_OK : KMS_E_DESTROYED;
}

kms_err change_check(struct keeper *k, struct change *c)
{
	CHECK(!c->checked);
	c->checked = true;
	c->now_us = k->wall_us;
	/* It was made while nothing else could change the slots. */
	if (c->plan != NULL)
		return KMS_OK;
	if (c->want.op == OP_KEY_CREATE)
		return check_create(k, c);
	c->key = ring_find(k->ring, c->want.key);
	if (c->key == NULL)
		return KMS_E_NOT_FOUND;
	if (c->want.op == OP_KEY_ROTATE)
		return check_rotate(k, c);
	if (c->want.op == OP_KEY_DESTROY && c->want.version == 0)
		return check_destroy_all(c);
	return check_move(c);
}

kms_err change_stage_version(
    struct keeper *k, const struct key *key, const struct key_version *v, struct row_batch *b)
{
	uint8_t row_key[VERSION_ROW_KEY_LEN];
	uint8_t sealed[ROWS_BITS_OVERHEAD + KEY_BITS_LEN];
	const struct bytes bind = bytes_of(row_key, sizeof(row_key));
	struct bytes bits = { 0 };
	AUTO(buf_done) struct buf row = { 0 };
	version_row_key(key, v->number, row_key);
	if (v->state != STATE_DESTROYED) {
		TRY(rows_seal_bits(k->rows, bind, v->bits, sealed));
		bits = bytes_of(sealed, sizeof(sealed));
	}
	TRY(version_encode(v, bits, &row));
	return rows_put(k->rows, b, TABLE_VERSION, bind, buf_bytes(&row));
}

static void set_state(const struct change *c, enum key_state to, struct key_version *v)
{
	v->state = to;
	v->since_us = c->now_us;
	memset(v->reason, 0, sizeof(v->reason));
	if (c->want.reason.n > 0)
		memcpy(v->reason, c->want.reason.p, c->want.reason.n);
}

static kms_err stage_move(
    struct keeper *k, const struct change *c, const struct change_move *m, struct row_batch *b)
{
	const struct key_version *now = key_find_version(c->key, m->version);
	CHECK(now != NULL);
	struct key_version then = *now;
	set_state(c, m->to, &then);
	return change_stage_version(k, c->key, &then, b);
}

static kms_err stage_created(struct keeper *k, const struct change *c, struct row_batch *b)
{
	AUTO(buf_done) struct buf row = { 0 };
	TRY(key_encode(c->made, &row));
	TRY(rows_put(k->rows, b, TABLE_KEY, bytes_of(c->made->id.b, KEY_ID_LEN), buf_bytes(&row)));
	TRY(change_stage_version(k, c->made, &c->made->versions[0], b));
	return counts_put_row(k, b, c->made, 1, &c->made->versions[0].reserved);
}

kms_err change_stage(struct keeper *k, struct change *c, struct row_batch *b)
{
	if (c->plan != NULL)
		return root_plan_stage(k, c->plan, b);
	if (c->made != NULL)
		return stage_created(k, c, b);
	for (size_t i = 0; i < c->move_n; i++) {
		TRY(stage_move(k, c, &c->moves[i], b));
		b->purge = b->purge || c->moves[i].to == STATE_DESTROYED;
	}
	if (c->fresh.number == 0)
		return KMS_OK;
	TRY(change_stage_version(k, c->key, &c->fresh, b));
	return counts_put_row(k, b, c->key, c->fresh.number, &c->fresh.reserved);
}

static void apply_move(const struct change *c, const struct change_move *m)
{
	struct key_version *v = key_find_version(c->key, m->version);
	CHECK(v != NULL);
	set_state(c, m->to, v);
	if (m->to == STATE_DESTROYED)
		secret_free(&v->bits);
}

void change_apply(struct keeper *k, struct change *c)
{
	if (c->plan != NULL) {
		root_plan_apply(k, c->plan);
		return;
	}
	if (c->made != NULL) {
		/* The name was free when the group began, and a group takes each name once. */
		CHECK(ring_add(k->ring, c->made) == KMS_OK);
		c->made = NULL;
		return;
	}
	ring_touch(k->ring, c->key);
	for (size_t i = 0; i < c->move_n; i++)
		apply_move(c, &c->moves[i]);
	if (c->fresh.number == 0)
		return;
	struct key_version *v = NULL;
	/* Without memory for what is durable already we can't go on; a restart reads it back. */
	CHECK(key_add_version(c->key, &v) == KMS_OK);
	CHECK(v->number == c->fresh.number);
	*v = c->fresh;
	c->fresh.bits = NULL;
}
