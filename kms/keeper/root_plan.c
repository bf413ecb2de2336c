/* SPDX-License-Identifier: Apache-2.0 */
/* See root_plan.h. Rows are told apart by their ids; the order of slots is made anew each time. */
#include "kms/keeper/root_plan.h"

#include <stdlib.h>
#include <string.h>

#include "kms/keeper/backup.h"
#include "kms/keeper/change_plan.h"
#include "kms/keeper/changes.h"
#include "kms/keeper/counts.h"
#include "kms/keeper/replies.h"
#include "kms/keeper/root_private.h"

void root_plan_free(struct root_plan **p)
{
	if (*p == NULL)
		return;
	for (size_t i = 0; i < (*p)->slot_n; i++)
		buf_done(&(*p)->slots[i]);
	buf_done(&(*p)->keyring);
	secret_free(&(*p)->key);
	secret_free(&(*p)->store_key);
	free(*p);
	*p = NULL;
}

kms_err root_plan_new(const struct keeper *k, struct root_plan **out)
{
	const struct root_rows *rows = &k->root->rows;
	AUTO(root_plan_free) struct root_plan *p = calloc(1, sizeof(*p));
	if (p == NULL)
		return KMS_E_NO_MEMORY;
	for (size_t i = 0; i < rows->slot_n; i++) {
		p->slot_n = i + 1;
		TRY(buf_put(&p->slots[i], buf_bytes(&rows->slots[i])));
	}
	*out = MOVE(p);
	return KMS_OK;
}

/* Rows that were read or made are sound. */
static struct slot slot_of(struct bytes row)
{
	struct slot s;
	CHECK(slot_decode(row, &s) == KMS_OK);
	return s;
}

/* The place in `slots` of the row with this id; n if there is none. */
static size_t find(const struct buf *slots, size_t n, const uint8_t id[static 16])
{
	struct slot s;
	for (size_t i = 0; i < n; i++)
		if (slot_decode(buf_bytes(&slots[i]), &s) == KMS_OK &&
		    memcmp(s.id, id, sizeof(s.id)) == 0)
			return i;
	return n;
}

/* Whether the counter of the present epoch, or of the plan, is that slot's; whatever kms.conf says. */
static bool counts(const struct keeper *k, const struct root_plan *p, const struct slot *s)
{
	if (p->counter_changes)
		return p->counted && memcmp(p->counter_slot, s->id, sizeof(s->id)) == 0;
	size_t i = root_counter_slot(k->root, &k->epoch);
	return i != ROOT_NO_SLOT && i == root_find_id(k->root, s->id);
}

void root_plan_drop(const struct keeper *k, struct root_plan *p, size_t i)
{
	struct slot s;
	/* One that can't be read can go as well. */
	if (slot_decode(buf_bytes(&p->slots[i]), &s) == KMS_OK && counts(k, p, &s)) {
		p->counter_changes = true;
		p->counted = false;
	}
	buf_done(&p->slots[i]);
	p->slot_n--;
	memmove(&p->slots[i], &p->slots[i + 1], (p->slot_n - i) * sizeof(p->slots[0]));
	memmove(&p->counters[i], &p->counters[i + 1], (p->slot_n - i) * sizeof(p->counters[0]));
	p->slots[p->slot_n] = (struct buf){ 0 };
}

void root_plan_drop_name(const struct keeper *k, struct root_plan *p, struct bytes name)
{
	struct slot s;
	for (size_t i = 0; i < p->slot_n; i++) {
		if (slot_decode(buf_bytes(&p->slots[i]), &s) == KMS_OK &&
		    bytes_equal(s.name, name)) {
			root_plan_drop(k, p, i);
			return;
		}
	}
}

static bool is_counted(const struct keeper *k, const struct root_plan *p)
{
	return p->counter_changes ? p->counted : k->epoch.counted;
}

kms_err root_plan_put(struct root_plan *p, struct bytes row, uint64_t counter)
{
	const struct slot s = slot_of(row);
	size_t i = find(p->slots, p->slot_n, s.id);
	if (i == ROOT_SLOTS_MAX)
		return KMS_E_SLOTS_FULL;
	if (i == p->slot_n)
		p->slot_n++;
	buf_clear(&p->slots[i]);
	TRY(buf_put(&p->slots[i], row));
	p->counters[i] = counter;
	return KMS_OK;
}

void root_plan_settle(const struct keeper *k, struct root_plan *p)
{
	for (size_t i = 0; i < p->slot_n && !is_counted(k, p); i++) {
		if (p->counters[i] == 0)
			continue;
		const struct slot s = slot_of(buf_bytes(&p->slots[i]));
		p->counter_changes = true;
		p->counted = true;
		p->counter = p->counters[i];
		memcpy(p->counter_slot, s.id, sizeof(s.id));
	}
}

kms_err root_plan_prove(const struct keeper *k, const struct root_plan *p)
{
	const struct secret *key = p->key != NULL ? p->key : k->root->key;
	for (size_t i = 0; i < p->slot_n; i++)
		TRY(slot_prove(buf_bytes(&p->slots[i]), key));
	return KMS_OK;
}

/* Those that go; of a new store key they were never. */
static kms_err delete_slots(struct keeper *k, const struct root_plan *p, struct row_batch *b)
{
	const struct root_rows *rows = &k->root->rows;
	for (size_t i = 0; i < rows->slot_n; i++) {
		struct slot s;
		/* Its key in the store is its id, which a row that can't be read does not tell. */
		TRY(slot_decode(buf_bytes(&rows->slots[i]), &s));
		if (find(p->slots, p->slot_n, s.id) == p->slot_n)
			TRY(rows_delete(k->rows, b, TABLE_SLOT, bytes_of(s.id, sizeof(s.id))));
	}
	return KMS_OK;
}

static kms_err put_slots(struct keeper *k, const struct root_plan *p, struct row_batch *b)
{
	for (size_t i = 0; i < p->slot_n; i++) {
		struct bytes row = buf_bytes(&p->slots[i]);
		const struct slot s = slot_of(row);
		TRY(rows_put(k->rows, b, TABLE_SLOT, bytes_of(s.id, sizeof(s.id)), row));
	}
	return KMS_OK;
}

/* With this change the epoch moves by one, and the counter after it. */
static void stage_counter(struct keeper *k, const struct root_plan *p)
{
	struct epoch *e = &k->epoch;
	e->counted = p->counted;
	memset(e->counter_slot, 0, sizeof(e->counter_slot));
	e->base = 0;
	if (p->counted) {
		memcpy(e->counter_slot, p->counter_slot, sizeof(e->counter_slot));
		e->base = p->counter - e->number;
	}
	changes_set_counter(k->changes, p->counted ? p->counter : 0, false);
}

static kms_err put_meta(struct keeper *k, struct row_batch *b)
{
	const struct root_rows *rows = &k->root->rows;
	uint8_t owner[4];
	store_u32(owner, rows->owner_uid);
	TRY(rows_put(k->rows, b, TABLE_META, bytes_of_str("instance"),
	    bytes_of(rows->instance, INSTANCE_ID_LEN)));
	TRY(rows_put(
	    k->rows, b, TABLE_META, bytes_of_str("owner"), bytes_of(owner, sizeof(owner))));
	return backup_put_row(k, b);
}

static kms_err put_key(struct keeper *k, struct key *key, struct row_batch *b)
{
	AUTO(buf_done) struct buf row = { 0 };
	TRY(key_encode(key, &row));
	TRY(rows_put(k->rows, b, TABLE_KEY, bytes_of(key->id.b, KEY_ID_LEN), buf_bytes(&row)));
	for (size_t i = 0; i < key->n; i++) {
		const struct key_version *v = &key->versions[i];
		const struct key_counts upto = counts_on_disk(k->counts, key, v);
		TRY(change_stage_version(k, key, v, b));
		TRY(counts_put_row(k, b, key, v->number, &upto));
	}
	return KMS_OK;
}

/*
 * Every row under a new store key, from what memory holds; their set hash begins anew. The batches
 * before this one are with the journal already, those after it are sealed under the new key. Takes
 * the loop some 10 µs a row.
 */
static kms_err reseal_rows(struct keeper *k, const struct secret *store_key, struct row_batch *b)
{
	AUTO(rows_free) struct rows *fresh = NULL;
	struct bytes after = { 0 };
	TRY(rows_new(store_key, &fresh));
	struct rows *old = k->rows;
	k->rows = fresh;
	fresh = old; /* freed */
	TRY(put_meta(k, b));
	for (struct key *key; (key = ring_next(k->ring, after)) != NULL;
	     after = bytes_of_str(key->name))
		TRY(put_key(k, key, b));
	b->purge = true;
	return replies_put_all(k, b);
}

kms_err root_plan_stage(struct keeper *k, const struct root_plan *p, struct row_batch *b)
{
	TRY(delete_slots(k, p, b));
	if (p->store_key != NULL)
		TRY(reseal_rows(k, p->store_key, b));
	TRY(put_slots(k, p, b));
	if (p->keyring.n > 0)
		TRY(rows_put(
		    k->rows, b, TABLE_ROOT, bytes_of_str("keyring"), buf_bytes(&p->keyring)));
	if (p->counter_changes)
		stage_counter(k, p);
	return KMS_OK;
}

/* How the last tries ended goes with the slots that stay; a new one has just been proved. */
static void follow(struct keeper *k, const struct buf *old, size_t old_n)
{
	struct root *r = k->root;
	struct root was = { .current = r->current };
	memcpy(was.last, r->last, sizeof(was.last));
	r->current = ROOT_NO_SLOT;
	for (size_t i = 0; i < r->rows.slot_n; i++) {
		const struct slot s = slot_of(buf_bytes(&r->rows.slots[i]));
		size_t from = find(old, old_n, s.id);
		bool same = from < old_n &&
		            bytes_equal(buf_bytes(&old[from]), buf_bytes(&r->rows.slots[i]));
		r->last[i] = was.last[same ? from : 0];
		if (!same) {
			r->last[i].tried = !root_slot_is_shares(buf_bytes(&r->rows.slots[i]));
			r->last[i].err = KMS_OK;
		}
		if (from < old_n && from == was.current)
			r->current = i;
	}
}

void root_plan_apply(struct keeper *k, struct root_plan *p)
{
	struct root *r = k->root;
	struct root_rows old = r->rows;
	memcpy(r->rows.slots, p->slots, sizeof(p->slots));
	r->rows.slot_n = p->slot_n;
	p->slot_n = 0;
	root_sort_slots(k, &r->rows);
	follow(k, old.slots, old.slot_n);
	for (size_t i = 0; i < old.slot_n; i++)
		buf_done(&old.slots[i]);
	if (p->keyring.n > 0) {
		buf_done(&r->rows.keyring);
		r->rows.keyring = p->keyring;
		p->keyring = (struct buf){ 0 };
	}
	if (p->key != NULL) {
		secret_free(&r->key);
		r->key = MOVE(p->key);
	}
	backup_look(k);
}
