/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For message_test.c: a message as we read it against the same one as protoc-c reads it, field by
 * field. A member of a oneof is compared through any other of the same type.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "proto/kms.pb-c.h"
#include "proto/message.h"

#define SAME_TEXT(ours, theirs) assert_true(bytes_equal((ours), bytes_of_str(theirs)))
#define SAME_BYTES(ours, theirs)                                                                   \
	assert_true(bytes_equal((ours), bytes_of((theirs).data, (theirs).len)))
#define SAME(ours, theirs) assert_int_equal((ours), (theirs))

/* ---- Requests ------------------------------------------------------------------------------ */

static inline void same_pairs(struct pairs ours, Kms__Pair *const *theirs, size_t n)
{
	SAME(ours.n, n);
	for (size_t i = 0; i < n; i++) {
		SAME_TEXT(ours.p[i].name, theirs[i]->name);
		SAME_BYTES(ours.p[i].value, theirs[i]->value);
	}
}

static inline void same_create(const struct request *r, const Kms__CreateKey *p)
{
	SAME_TEXT(r->key, p->key);
	SAME_TEXT(r->key_class, p->class_);
	SAME_TEXT(r->algorithm, p->algorithm);
	SAME(r->rotate_every_s, p->rotate_every_s);
	SAME(r->dry_run, p->dry_run);
}

static inline void same_ref(const struct request *r, const Kms__KeyRef *p)
{
	SAME_TEXT(r->key, p->key);
	SAME(r->version, p->version);
	SAME_TEXT(r->reason, p->reason);
	SAME(r->dry_run, p->dry_run);
}

static inline void same_issue(const struct request *r, const Kms__Issue *p)
{
	SAME_TEXT(r->key, p->key);
	same_pairs(r->context, p->context, p->n_context);
	SAME(r->count, p->count);
	SAME(r->wrapped_only, p->wrapped_only);
}

static inline void same_batch(const struct request *r, const Kms__Batch *p)
{
	SAME_TEXT(r->key, p->key);
	SAME(r->item_count, p->n_items);
	for (size_t i = 0; i < p->n_items; i++) {
		SAME_BYTES(r->items[i].data, p->items[i]->data);
		same_pairs(r->items[i].context, p->items[i]->context, p->items[i]->n_context);
		same_pairs(
		    r->items[i].new_context, p->items[i]->new_context, p->items[i]->n_new_context);
		SAME(r->items[i].change_context, p->items[i]->change_context);
	}
}

static inline void same_init(const struct request *r, const Kms__Init *p)
{
	SAME_TEXT(r->slot, p->slot);
	SAME(r->shares_needed, p->shares_needed);
	SAME(r->shares_total, p->shares_total);
	SAME(r->dry_run, p->dry_run);
	SAME_BYTES(r->confirm, p->confirm);
}

static inline void same_slot_ref(const struct request *r, const Kms__SlotRef *p)
{
	SAME_TEXT(r->slot, p->slot);
	SAME(r->rely_on_shares, p->rely_on_shares);
	SAME(r->dry_run, p->dry_run);
}

static inline void same_unseal(const struct request *r, const Kms__Unseal *p)
{
	SAME_TEXT(r->slot, p->slot);
	SAME_BYTES(r->share, p->share);
	SAME_BYTES(r->ceremony, p->ceremony);
	SAME(r->accept_restore, p->accept_restore);
	SAME(r->cancel, p->cancel);
}

static inline void same_rotate(const struct request *r, const Kms__RootRotate *p)
{
	SAME(r->leave_out_n, p->n_leave_out);
	for (size_t i = 0; i < p->n_leave_out; i++)
		SAME_TEXT(r->leave_out[i], p->leave_out[i]);
	SAME(r->renew_store, p->renew_store);
	SAME(r->dry_run, p->dry_run);
	SAME_BYTES(r->confirm, p->confirm);
}

static inline void same_backup_ref(const struct request *r, const Kms__BackupRef *p)
{
	SAME_TEXT(r->key, p->name);
	SAME(r->failed, p->failed);
	SAME(r->count, p->checked);
}

static inline void same_prove(const struct request *r, const Kms__Prove *p)
{
	SAME_TEXT(r->key, p->key);
	SAME(r->version, p->version);
	SAME_BYTES(r->challenge, p->challenge);
}

/* The members of the oneof, by what they hold. */
static inline void same_operation(const struct request *r, const Kms__Request *p)
{
	switch (r->op) {
	case OP_INIT:
	case OP_SLOT_ADD: same_init(r, p->init); break;
	case OP_SLOT_CHECK:
	case OP_SLOT_REMOVE: same_slot_ref(r, p->slot_check); break;
	case OP_UNSEAL: same_unseal(r, p->unseal); break;
	case OP_ROOT_ROTATE: same_rotate(r, p->root_rotate); break;
	case OP_BACKUP_VERIFY:
	case OP_BACKUP_RESTORE:
	case OP_BACKUP_REHEARSED: same_backup_ref(r, p->backup_verify); break;
	case OP_KEY_PROVE: same_prove(r, p->key_prove); break;
	case OP_KEY_CREATE: same_create(r, p->key_create); break;
	case OP_KEY_LIST:
		SAME_TEXT(r->key, p->key_list->after);
		SAME(r->count, p->key_list->limit);
		break;
	case OP_ISSUE: same_issue(r, p->issue); break;
	case OP_WRAP:
	case OP_UNWRAP:
	case OP_REWRAP:
	case OP_MAC: same_batch(r, p->wrap); break;
	case OP_RANDOM: SAME(r->count, p->random->n); break;
	case OP_AUDIT_READ:
		SAME(r->from, p->audit_read->from);
		SAME(r->count, p->audit_read->limit);
		SAME(r->wait, p->audit_read->wait);
		break;
	default:
		if (r->op >= OP_KEY_SHOW && r->op <= OP_KEY_CANCEL_DESTROY)
			same_ref(r, p->key_show);
		break;
	}
}

/* ---- Answers ------------------------------------------------------------------------------- */

static inline void same_error(const struct answer_error *e, const Kms__Error *p)
{
	CHECK(p != NULL);
	SAME_TEXT(e->code, p->code);
	SAME_TEXT(e->name, p->name);
	SAME_TEXT(e->text, p->text);
	SAME_TEXT(e->hint, p->hint);
	SAME_TEXT(e->detail, p->detail);
	assert_string_equal(err_name(e->err), p->name);
	assert_string_equal(err_wire_name(e->wire), p->code);
}

static inline void same_texts(
    const struct bytes *ours, size_t ours_n, char *const *theirs, size_t n)
{
	SAME(ours_n, n);
	for (size_t i = 0; i < n; i++)
		SAME_TEXT(ours[i], theirs[i]);
}

static inline void same_slots(
    const struct slot_info *ours, size_t ours_n, Kms__SlotInfo *const *theirs, size_t n)
{
	SAME(ours_n, n);
	for (size_t i = 0; i < n; i++) {
		SAME_BYTES(ours[i].id, theirs[i]->id);
		SAME_TEXT(ours[i].kind, theirs[i]->kind);
		SAME_TEXT(ours[i].name, theirs[i]->name);
		SAME(ours[i].created_us, theirs[i]->created_us);
		SAME_TEXT(ours[i].last, theirs[i]->last);
		SAME_TEXT(ours[i].detail, theirs[i]->detail);
	}
}

static inline void same_ceremony(const struct ceremony_info *c, const Kms__Ceremony *p)
{
	SAME_BYTES(c->nonce, p->nonce);
	SAME_BYTES(c->set, p->set);
	SAME(c->needed, p->needed);
	SAME(c->have, p->have);
	SAME(c->expires_us, p->expires_us);
}

static inline void same_backups(const struct answer *a, const Kms__Backups *p)
{
	SAME(a->u.backups.n, p->n_backups);
	for (size_t i = 0; i < p->n_backups; i++) {
		const struct backup_info *b = &a->u.backups.p[i];
		const Kms__BackupInfo *q = p->backups[i];
		SAME_TEXT(b->name, q->name);
		SAME_BYTES(b->id, q->id);
		SAME(b->created_us, q->created_us);
		SAME(b->expires_us, q->expires_us);
		SAME(b->size, q->size);
		SAME(b->epoch, q->epoch);
		SAME(b->audit_records, q->audit_records);
		SAME(b->rows, q->rows);
		SAME_TEXT(b->state, q->state);
		SAME_TEXT(b->detail, q->detail);
		same_slots(b->slots, b->slot_n, q->slots, q->n_slots);
	}
}

static inline void same_status(const struct status_info *s, const Kms__Status *p)
{
	SAME_TEXT(s->program, p->program);
	SAME(s->protocol, p->protocol);
	SAME(s->wrapped_format, p->wrapped_format);
	SAME(s->store_schema, p->store_schema);
	SAME_TEXT(s->state, p->state);
	SAME_BYTES(s->instance, p->instance);
	SAME_TEXT(s->why, p->why);
	SAME(s->epoch, p->epoch);
	SAME(s->counter, p->counter);
	SAME(s->counter_behind, p->counter_behind);
	SAME(s->counter_moves, p->counter_moves);
	SAME(s->keys, p->keys);
	SAME(s->versions, p->versions);
	SAME(s->audit_records, p->audit_records);
	SAME_TEXT(s->audit_state, p->audit_state);
	SAME(s->memory_locked, p->memory_locked);
	SAME(s->memory_hidden, p->memory_hidden);
	SAME(s->connections, p->connections);
	SAME(s->started_us, p->started_us);
	SAME(s->keeper_starts, p->keeper_starts);
	same_texts(s->sandbox, s->sandbox_n, p->sandbox, p->n_sandbox);
	same_slots(s->slots, s->slot_n, p->slots, p->n_slots);
	SAME_TEXT(s->counter_state, p->counter_state);
	same_ceremony(&s->ceremony, p->ceremony);
	SAME(s->backup_us, p->backup_us);
	SAME(s->rehearsal_us, p->rehearsal_us);
	SAME_TEXT(s->backup_state, p->backup_state);
	SAME_TEXT(s->rehearsal_state, p->rehearsal_state);
	SAME_TEXT(s->restoring, p->restoring);
}

static inline void same_version(const struct version_info *v, const Kms__Version *p)
{
	SAME(v->version, p->version);
	SAME_TEXT(v->state, p->state);
	SAME_TEXT(v->reason, p->reason);
	SAME(v->created_us, p->created_us);
	SAME(v->since_us, p->since_us);
	SAME(v->issued, p->counts->issued);
	SAME(v->wrapped, p->counts->wrapped);
	SAME(v->unwrapped, p->counts->unwrapped);
	SAME(v->above_floor, p->above_floor);
}

static inline void same_key(const struct key_info *k, const Kms__Key *p)
{
	SAME_TEXT(k->key, p->key);
	SAME_BYTES(k->id, p->id);
	SAME_TEXT(k->key_class, p->class_);
	SAME_TEXT(k->algorithm, p->algorithm);
	SAME(k->version, p->version);
	SAME_TEXT(k->state, p->state);
	SAME(k->floor, p->floor);
	SAME(k->created_us, p->created_us);
	SAME(k->rotate_every_s, p->rotate_every_s);
	SAME(k->version_n, p->n_versions);
	for (size_t i = 0; i < p->n_versions; i++)
		same_version(&k->versions[i], p->versions[i]);
	SAME(k->version_count, p->version_count);
	SAME(k->backed_up_until_us, p->backed_up_until_us);
}

static inline void same_items(const struct answer *a, const Kms__Items *p)
{
	SAME(a->u.items.n, p->n_items);
	for (size_t i = 0; i < p->n_items; i++) {
		const struct item_result *r = &a->u.items.p[i];
		const Kms__ItemResult *t = p->items[i];

		same_error(&r->error, t->error);
		SAME_BYTES(r->wrapped, t->wrapped);
		SAME_BYTES(r->plaintext, t->plaintext);
		SAME_TEXT(r->key, t->key);
		SAME(r->version, t->version);
		SAME(r->rewrap_advised, t->rewrap_advised);
		SAME(r->compromised, t->compromised);
	}
}

static inline void same_records(const struct answer *a, const Kms__Records *p)
{
	SAME(a->u.records.n, p->n_records);
	for (size_t i = 0; i < p->n_records; i++)
		SAME_BYTES(a->u.records.p[i], p->records[i]);
	SAME(a->u.records.first, p->first);
	SAME(a->u.records.size, p->size);
}

static inline void same_keys(const struct answer *a, const Kms__KeyList *p)
{
	SAME(a->u.keys.n, p->n_keys);
	for (size_t i = 0; i < p->n_keys; i++)
		same_key(&a->u.keys.p[i], p->keys[i]);
	SAME(a->u.keys.more, p->more);
}

static inline void same_result(const struct answer *a, const Kms__Answer *p)
{
	switch (a->kind) {
	case ANSWER_ERROR: same_error(&a->error, p->error); break;
	case ANSWER_DONE: break;
	case ANSWER_STATUS: same_status(&a->u.status, p->status); break;
	case ANSWER_WHOAMI:
		SAME_TEXT(a->u.whoami.identity, p->whoami->identity);
		SAME(a->u.whoami.admin, p->whoami->admin);
		same_texts(a->u.whoami.groups, a->u.whoami.group_n, p->whoami->groups,
		    p->whoami->n_groups);
		break;
	case ANSWER_METRICS:
	case ANSWER_PROOF:
	case ANSWER_RANDOM: SAME_BYTES(a->u.text, p->metrics->data); break;
	case ANSWER_SLOTS:
		same_slots(a->u.slots.p, a->u.slots.n, p->slots->slots, p->slots->n_slots);
		SAME(a->u.slots.share_n, p->slots->n_shares);
		for (size_t i = 0; i < p->slots->n_shares; i++)
			SAME_BYTES(a->u.slots.shares[i], p->slots->shares[i]);
		SAME_BYTES(a->u.slots.confirm, p->slots->confirm);
		break;
	case ANSWER_KEY: same_key(&a->u.key, p->key); break;
	case ANSWER_KEYS: same_keys(a, p->keys); break;
	case ANSWER_ITEMS: same_items(a, p->items); break;
	case ANSWER_RECORDS: same_records(a, p->records); break;
	case ANSWER_CEREMONY: same_ceremony(&a->u.ceremony, p->ceremony); break;
	case ANSWER_BACKUPS: same_backups(a, p->backups); break;
	}
}
