/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Turns an answer into the public structs. Strings get their end here; what the keeper sent is
 * believed in its form only, so names may hold anything.
 */
#include "kms/client/result.h"

#include <stdlib.h>
#include <string.h>

#include "kms/base/secret.h"
#include "kms/client/error.h"

enum {
	/* A frame of 1 MiB can hold half a million tiny elements; more than this is no answer. */
	RESULT_MAX = 64 << 20
};

static struct kms_bytes public_bytes(struct bytes x)
{
	return kms_bytes_of(x.p, x.n);
}

static kms_err text(struct arena *a, struct bytes x, const char **out)
{
	char *p = arena_take(a, x.n + 1);

	if (p == NULL)
		return KMS_E_NO_MEMORY;
	if (x.n > 0)
		memcpy(p, x.p, x.n);
	p[x.n] = '\0';
	*out = p;
	return KMS_OK;
}

static kms_err texts(struct arena *a, const struct bytes *x, size_t n, const char *const **out)
{
	const char **list;

	TRY(arena_alloc(a, n * sizeof(*list), &list));
	for (size_t i = 0; i < n; i++)
		TRY(text(a, x[i], &list[i]));
	*out = list;
	return KMS_OK;
}

static kms_err slots(
    struct arena *a, const struct slot_info *from, size_t n, const struct kms_slot **out)
{
	struct kms_slot *list;

	TRY(arena_alloc(a, n * sizeof(*list), &list));
	for (size_t i = 0; i < n; i++) {
		list[i].id = public_bytes(from[i].id);
		list[i].created_us = from[i].created_us;
		TRY(text(a, from[i].kind, &list[i].kind));
		TRY(text(a, from[i].name, &list[i].name));
		TRY(text(a, from[i].last, &list[i].last));
		TRY(text(a, from[i].detail, &list[i].detail));
	}
	*out = list;
	return KMS_OK;
}

static struct kms_ceremony ceremony(const struct ceremony_info *from)
{
	return (struct kms_ceremony){ .nonce = public_bytes(from->nonce),
		.set = public_bytes(from->set),
		.needed = from->needed,
		.have = from->have,
		.expires_us = from->expires_us };
}

static kms_err backups(
    struct arena *a, const struct backup_info *from, size_t n, const struct kms_backup **out)
{
	struct kms_backup *list;

	TRY(arena_alloc(a, n * sizeof(*list), &list));
	for (size_t i = 0; i < n; i++) {
		list[i] = (struct kms_backup){ .id = public_bytes(from[i].id),
			.created_us = from[i].created_us,
			.expires_us = from[i].expires_us,
			.size = from[i].size,
			.epoch = from[i].epoch,
			.audit_records = from[i].audit_records,
			.rows = from[i].rows,
			.slot_n = from[i].slot_n };
		TRY(text(a, from[i].name, &list[i].name));
		TRY(text(a, from[i].state, &list[i].state));
		TRY(text(a, from[i].detail, &list[i].detail));
		TRY(slots(a, from[i].slots, from[i].slot_n, &list[i].slots));
	}
	*out = list;
	return KMS_OK;
}

static kms_err status(struct arena *a, const struct status_info *from, struct kms_status *out)
{
	*out = (struct kms_status){
		.instance = public_bytes(from->instance),
		.protocol = from->protocol,
		.wrapped_format = from->wrapped_format,
		.store_schema = from->store_schema,
		.connections = from->connections,
		.keeper_starts = from->keeper_starts,
		.epoch = from->epoch,
		.counter = from->counter,
		.counter_moves = from->counter_moves,
		.keys = from->keys,
		.versions = from->versions,
		.audit_records = from->audit_records,
		.started_us = from->started_us,
		.counter_behind = from->counter_behind,
		.memory_locked = from->memory_locked,
		.memory_hidden = from->memory_hidden,
		.sandbox_n = from->sandbox_n,
		.slot_n = from->slot_n,
		.ceremony = ceremony(&from->ceremony),
		.backup_us = from->backup_us,
		.rehearsal_us = from->rehearsal_us,
	};
	TRY(text(a, from->program, &out->program));
	TRY(text(a, from->state, &out->state));
	TRY(text(a, from->why, &out->why));
	TRY(text(a, from->audit_state, &out->audit_state));
	TRY(text(a, from->counter_state, &out->counter_state));
	TRY(text(a, from->backup_state, &out->backup_state));
	TRY(text(a, from->rehearsal_state, &out->rehearsal_state));
	TRY(text(a, from->restoring, &out->restoring));
	TRY(texts(a, from->sandbox, from->sandbox_n, &out->sandbox));
	return slots(a, from->slots, from->slot_n, &out->slots);
}

static kms_err versions(
    struct arena *a, const struct key_info *from, const struct kms_key_version **out)
{
	struct kms_key_version *list;

	TRY(arena_alloc(a, from->version_n * sizeof(*list), &list));
	for (size_t i = 0; i < from->version_n; i++) {
		const struct version_info *v = &from->versions[i];

		list[i] = (struct kms_key_version){ .version = v->version,
			.above_floor = v->above_floor,
			.created_us = v->created_us,
			.since_us = v->since_us,
			.issued = v->issued,
			.wrapped = v->wrapped,
			.unwrapped = v->unwrapped };
		TRY(text(a, v->state, &list[i].state));
		TRY(text(a, v->reason, &list[i].reason));
	}
	*out = list;
	return KMS_OK;
}

static kms_err keys(
    struct arena *a, const struct key_info *from, size_t n, const struct kms_key **out)
{
	struct kms_key *list;

	TRY(arena_alloc(a, n * sizeof(*list), &list));
	for (size_t i = 0; i < n; i++) {
		list[i] = (struct kms_key){ .id = public_bytes(from[i].id),
			.version = from[i].version,
			.floor = from[i].floor,
			.version_count = from[i].version_count,
			.created_us = from[i].created_us,
			.rotate_every_s = from[i].rotate_every_s,
			.backed_up_until_us = from[i].backed_up_until_us,
			.version_n = from[i].version_n };
		TRY(text(a, from[i].key, &list[i].key));
		TRY(text(a, from[i].key_class, &list[i].key_class));
		TRY(text(a, from[i].algorithm, &list[i].algorithm));
		TRY(text(a, from[i].state, &list[i].state));
		TRY(versions(a, &from[i], &list[i].versions));
	}
	*out = list;
	return KMS_OK;
}

static kms_err item(struct arena *a, const struct item_result *from, struct kms_item *out)
{
	struct kms_error *error = NULL;

	out->wrapped = public_bytes(from->wrapped);
	out->plaintext = public_bytes(from->plaintext);
	out->version = from->version;
	out->rewrap_advised = from->rewrap_advised;
	out->compromised = from->compromised;
	if (from->error.err == KMS_OK)
		return KMS_OK;

	TRY(arena_alloc(a, sizeof(*error), &error));
	out->code = error_from_answer(error, &from->error);
	out->error = error;
	return KMS_OK;
}

/* The items of a batch mostly name one key, whose text is then shared. */
static kms_err items(
    struct arena *a, const struct item_result *from, size_t n, const struct kms_item **out)
{
	struct kms_item *list;

	TRY(arena_alloc(a, n * sizeof(*list), &list));
	for (size_t i = 0; i < n; i++) {
		TRY(item(a, &from[i], &list[i]));
		if (i > 0 && bytes_equal(from[i].key, from[i - 1].key))
			list[i].key = list[i - 1].key;
		else
			TRY(text(a, from[i].key, &list[i].key));
	}
	*out = list;
	return KMS_OK;
}

static kms_err whoami(struct kms_result *r)
{
	r->u.whoami.admin = r->answer.u.whoami.admin;
	r->u.whoami.group_n = r->answer.u.whoami.group_n;
	TRY(text(&r->arena, r->answer.u.whoami.identity, &r->u.whoami.identity));
	return texts(
	    &r->arena, r->answer.u.whoami.groups, r->u.whoami.group_n, &r->u.whoami.groups);
}

static kms_err records(struct kms_result *r)
{
	struct kms_bytes *list;
	size_t n = r->answer.u.records.n;

	TRY(arena_alloc(&r->arena, n * sizeof(*list), &list));
	for (size_t i = 0; i < n; i++)
		list[i] = public_bytes(r->answer.u.records.p[i]);
	r->u.records = (struct kms_records){ .records = list,
		.n = n,
		.first = r->answer.u.records.first,
		.size = r->answer.u.records.size };
	return KMS_OK;
}

static kms_err slots_and_shares(struct kms_result *r)
{
	const struct answer *from = &r->answer;

	r->u.slots.n = from->u.slots.n;
	r->u.slots.share_n = from->u.slots.share_n;
	TRY(slots(&r->arena, from->u.slots.p, from->u.slots.n, &r->u.slots.p));
	return texts(&r->arena, from->u.slots.shares, from->u.slots.share_n, &r->u.slots.shares);
}

static kms_err publish(struct kms_result *r)
{
	struct arena *a = &r->arena;
	const struct answer *from = &r->answer;

	switch (from->kind) {
	case ANSWER_ERROR:
	case ANSWER_DONE: return KMS_OK;
	case ANSWER_STATUS: return status(a, &from->u.status, &r->u.status);
	case ANSWER_WHOAMI: return whoami(r);
	case ANSWER_METRICS:
	case ANSWER_PROOF:
	case ANSWER_RANDOM: r->u.bytes = public_bytes(from->u.text); return KMS_OK;
	case ANSWER_SLOTS: return slots_and_shares(r);
	case ANSWER_CEREMONY: r->u.ceremony = ceremony(&from->u.ceremony); return KMS_OK;
	case ANSWER_BACKUPS:
		r->u.backups.n = from->u.backups.n;
		return backups(a, from->u.backups.p, from->u.backups.n, &r->u.backups.p);
	case ANSWER_KEY: r->u.keys.n = 1; return keys(a, &from->u.key, 1, &r->u.keys.p);
	case ANSWER_KEYS:
		r->u.keys.n = from->u.keys.n;
		return keys(a, from->u.keys.p, from->u.keys.n, &r->u.keys.p);
	case ANSWER_ITEMS:
		r->u.items.n = from->u.items.n;
		return items(a, from->u.items.p, from->u.items.n, &r->u.items.p);
	case ANSWER_RECORDS: return records(r);
	}
	return KMS_E_BAD_FRAME;
}

kms_err result_new(struct bytes message, struct kms_result **out)
{
	AUTO(kms_result_free) struct kms_result *r = calloc(1, sizeof(*r));
	struct bytes copy;

	if (r == NULL)
		return KMS_E_NO_MEMORY;
	arena_init(&r->arena, RESULT_MAX);
	TRY(arena_copy(&r->arena, message, &copy));
	TRY(answer_decode(copy, &r->arena, &r->answer));
	TRY(publish(r));
	*out = MOVE(r);
	return KMS_OK;
}

void kms_result_free(struct kms_result **r)
{
	struct kms_result *x = MOVE(*r);

	if (x == NULL)
		return;
	arena_done(&x->arena);
	free(x);
}

static bool is(const struct kms_result *r, enum answer_kind kind)
{
	return r != NULL && r->answer.kind == kind;
}

const struct kms_status *kms_result_status(const struct kms_result *r)
{
	return is(r, ANSWER_STATUS) ? &r->u.status : NULL;
}

const struct kms_whoami *kms_result_whoami(const struct kms_result *r)
{
	return is(r, ANSWER_WHOAMI) ? &r->u.whoami : NULL;
}

const struct kms_slot *kms_result_slots(const struct kms_result *r, size_t *out_n)
{
	bool here = is(r, ANSWER_SLOTS);

	*out_n = here ? r->u.slots.n : 0;
	return here ? r->u.slots.p : NULL;
}

const char *const *kms_result_shares(const struct kms_result *r, size_t *out_n)
{
	bool here = is(r, ANSWER_SLOTS);

	*out_n = here ? r->u.slots.share_n : 0;
	return here ? r->u.slots.shares : NULL;
}

struct kms_bytes kms_result_confirm(const struct kms_result *r)
{
	return is(r, ANSWER_SLOTS) ? public_bytes(r->answer.u.slots.confirm)
	                           : kms_bytes_of(NULL, 0);
}

const struct kms_ceremony *kms_result_ceremony(const struct kms_result *r)
{
	return is(r, ANSWER_CEREMONY) ? &r->u.ceremony : NULL;
}

const struct kms_backup *kms_result_backups(const struct kms_result *r, size_t *out_n)
{
	bool here = is(r, ANSWER_BACKUPS);

	*out_n = here ? r->u.backups.n : 0;
	return here ? r->u.backups.p : NULL;
}

const struct kms_key *kms_result_key(const struct kms_result *r)
{
	return is(r, ANSWER_KEY) ? r->u.keys.p : NULL;
}

const struct kms_key *kms_result_keys(const struct kms_result *r, size_t *out_n, bool *out_more)
{
	bool here = is(r, ANSWER_KEYS);

	*out_n = here ? r->u.keys.n : 0;
	*out_more = here && r->answer.u.keys.more;
	return here ? r->u.keys.p : NULL;
}

const struct kms_item *kms_result_items(const struct kms_result *r, size_t *out_n)
{
	bool here = is(r, ANSWER_ITEMS);

	*out_n = here ? r->u.items.n : 0;
	return here ? r->u.items.p : NULL;
}

struct kms_bytes kms_result_bytes(const struct kms_result *r)
{
	bool here = is(r, ANSWER_RANDOM) || is(r, ANSWER_METRICS) || is(r, ANSWER_PROOF);

	return here ? r->u.bytes : kms_bytes_of(NULL, 0);
}

const struct kms_records *kms_result_records(const struct kms_result *r)
{
	return is(r, ANSWER_RECORDS) ? &r->u.records : NULL;
}
