/* SPDX-License-Identifier: Apache-2.0 */
/* The slots as they stand in the store, and which hardware of kms.conf each of them means. */
#include <string.h>

#include "kms/keeper/root_private.h"
#include "kms/keeper/turn.h"

bool root_slot_is(struct bytes row, struct bytes name)
{
	struct slot s;
	if (name.n == 0)
		return true;
	if (slot_decode(row, &s) != KMS_OK)
		return false;
	return bytes_equal(s.name, name) || bytes_equal(s.kind, name);
}

bool root_slot_is_shares(struct bytes row)
{
	struct slot s;
	return slot_decode(row, &s) == KMS_OK && bytes_equal(s.kind, bytes_of_str(slot_shares));
}

size_t root_find_id(const struct root *r, const uint8_t id[static 16])
{
	struct slot s;
	for (size_t i = 0; i < r->rows.slot_n; i++)
		if (slot_decode(buf_bytes(&r->rows.slots[i]), &s) == KMS_OK &&
		    memcmp(s.id, id, sizeof(s.id)) == 0)
			return i;
	return ROOT_NO_SLOT;
}

size_t root_find_name(const struct root *r, struct bytes name)
{
	struct slot s;
	for (size_t i = 0; i < r->rows.slot_n; i++)
		if (slot_decode(buf_bytes(&r->rows.slots[i]), &s) == KMS_OK &&
		    bytes_equal(s.name, name))
			return i;
	return ROOT_NO_SLOT;
}

kms_err root_has_slot(const struct root *r, struct bytes name)
{
	if (r->state == ROOT_BROKEN || r->state == ROOT_UNINITIALISED)
		return root_why(r);
	for (size_t i = 0; i < r->rows.slot_n; i++)
		if (root_slot_is(buf_bytes(&r->rows.slots[i]), name))
			return KMS_OK;
	return KMS_E_NOT_FOUND;
}

size_t root_slots(const struct root *r, struct root_slot out[static ROOT_SLOTS_MAX])
{
	for (size_t i = 0; i < r->rows.slot_n; i++)
		out[i] = (struct root_slot){ .row = buf_bytes(&r->rows.slots[i]),
			.last = r->last[i].err,
			.tried = r->last[i].tried };
	return r->rows.slot_n;
}

/* When it is tried: by its place in kms.conf; shares come last. */
static size_t rank(const struct keeper *k, struct bytes row)
{
	struct slot s;
	if (slot_decode(row, &s) != KMS_OK)
		return CONFIG_SLOTS_MAX;
	if (bytes_equal(s.kind, bytes_of_str(slot_shares)))
		return CONFIG_SLOTS_MAX + 1;
	const struct config_slot *c = config_find_slot(k->config, s.name);
	return c != NULL ? (size_t)(c - k->config->slots) : CONFIG_SLOTS_MAX;
}

void root_sort_slots(const struct keeper *k, struct root_rows *rows)
{
	for (size_t i = 1; i < rows->slot_n; i++) {
		struct buf moved = rows->slots[i];
		size_t mine = rank(k, buf_bytes(&moved));
		size_t to = i;
		for (; to > 0 && rank(k, buf_bytes(&rows->slots[to - 1])) > mine; to--)
			rows->slots[to] = rows->slots[to - 1];
		rows->slots[to] = moved;
	}
}

struct call_task root_task_for(
    const struct keeper *k, const struct config_slot *c, enum call_op op, struct bytes blob)
{
	struct call_task t = {
		.op = op, .params = c->params, .blob = blob, .deadline_us = c->deadline_us
	};
	memcpy(t.kind, c->kind, sizeof(t.kind));
	memcpy(t.slot, c->name, sizeof(t.slot));
	memcpy(t.params.instance, k->instance, INSTANCE_ID_LEN);
	return t;
}

kms_err root_slot_task(const struct keeper *k, size_t i, enum call_op op, struct call_task *out)
{
	struct slot s;
	TRY(slot_decode(buf_bytes(&k->root->rows.slots[i]), &s));
	if (bytes_equal(s.kind, bytes_of_str(slot_shares)))
		return KMS_E_SLOT_KIND;
	const struct config_slot *c = config_find_slot(k->config, s.name);
	if (c == NULL || !bytes_equal(s.kind, bytes_of_str(c->kind)))
		return KMS_E_SLOT_CONFIG;
	*out = root_task_for(k, c, op, s.blob);
	return KMS_OK;
}

/* Format 1 of the epoch row did not name the slot: there was one. */
static bool is_unnamed(const struct epoch *e)
{
	static const uint8_t none[16] = { 0 };
	return memcmp(e->counter_slot, none, sizeof(none)) == 0;
}

size_t root_counter_slot(const struct root *r, const struct epoch *e)
{
	if (!e->counted)
		return ROOT_NO_SLOT;
	for (size_t i = 0; i < r->rows.slot_n && is_unnamed(e); i++)
		if (root_slot_is(buf_bytes(&r->rows.slots[i]), bytes_of_str("tpm")))
			return i;
	return root_find_id(r, e->counter_slot);
}

struct bytes root_slot_name(const struct root *r, size_t i)
{
	struct slot s;
	if (i >= r->rows.slot_n)
		return (struct bytes){ 0 };
	return slot_decode(buf_bytes(&r->rows.slots[i]), &s) == KMS_OK ? s.name : bytes_of_str("?");
}

kms_err root_counter_task(
    const struct keeper *k, const struct epoch *e, enum call_op op, struct call_task *out)
{
	if (!e->counted)
		return KMS_E_NOT_FOUND;
	size_t i = root_counter_slot(k->root, e);
	/* Removing a slot ends its counter in the same change. */
	return i == ROOT_NO_SLOT ? KMS_E_STORE_CORRUPT : root_slot_task(k, i, op, out);
}

void root_record(struct keeper *k, enum op op, kms_err e, struct bytes slot)
{
	struct record record = {
		.op = op, .identity = bytes_of_str("kmsd"), .result = e, .detail = slot
	};
	if (k->turn != NULL && turn_record(k, &record) != KMS_OK)
		LOG(LOG_LEVEL_WARNING, "audit", "What became of a slot is not in the log.",
		    log_err(KMS_E_AUDIT_IO));
}
