/* SPDX-License-Identifier: Apache-2.0 */
/* See describe.h. */
#include "kms/keeper/describe.h"

#include "kms/keeper/root.h"
#include "kms/seal/slots.h"

enum {
	VERSIONS_SHOWN_MAX = 4096 /* the newest ones; an answer is at most 1 MiB */
};

static struct version_info describe_version(const struct key *key, const struct key_version *v)
{
	return (struct version_info){ .version = v->number,
		.state = bytes_of_str(state_name(v->state)),
		.reason = bytes_of_str(v->reason),
		.created_us = v->created_us,
		.since_us = v->since_us,
		.issued = v->used.issued,
		.wrapped = v->used.wrapped,
		.unwrapped = v->used.unwrapped,
		.above_floor = v->number >= key->floor };
}

kms_err describe_key(
    struct keeper *k, const struct key *key, bool with_versions, struct key_info *out)
{
	const struct key_version *active = key_active(key);
	const struct key_version *shown = active != NULL ? active : &key->versions[key->n - 1];
	struct version_info *versions = NULL;
	size_t n = 0;
	if (with_versions) {
		n = key->n > VERSIONS_SHOWN_MAX ? VERSIONS_SHOWN_MAX : key->n;
		TRY(arena_alloc(&k->arena, n * sizeof(*versions), &versions));
		for (size_t i = 0; i < n; i++)
			versions[i] = describe_version(key, &key->versions[key->n - n + i]);
	}
	*out = (struct key_info){ .key = bytes_of_str(key->name),
		.id = bytes_of(key->id.b, KEY_ID_LEN),
		.key_class = bytes_of_str(key->key_class),
		.algorithm = bytes_of_str(algorithm_name(key->algorithm)),
		.state = bytes_of_str(state_name(shown->state)),
		.version = active != NULL ? active->number : 0,
		.floor = key->floor,
		.version_count = (uint32_t)key->n,
		.created_us = key->created_us,
		.rotate_every_s = key->rotate_every_s,
		.versions = versions,
		.version_n = n };
	return KMS_OK;
}

void describe_slot_row(struct bytes row, struct slot_info *out)
{
	struct slot s;
	kms_err e = slot_decode(row, &s);
	if (e != KMS_OK)
		*out = (struct slot_info){ .last = bytes_of_str(err_name(e)) };
	else
		*out = (struct slot_info){
			.kind = s.kind, .name = s.name, .created_us = s.created_us
		};
}

static kms_err describe_slot(struct keeper *k, const struct root_slot *from, struct slot_info *out)
{
	struct slot s;
	/* One that can't be read shows nothing but its error. */
	kms_err e = slot_decode(from->row, &s);
	if (e != KMS_OK) {
		*out = (struct slot_info){ .last = bytes_of_str(err_name(e)) };
		return KMS_OK;
	}
	const char *last = from->last == KMS_OK ? "ok" : err_name(from->last);
	*out = (struct slot_info){ .kind = s.kind,
		.name = s.name,
		.created_us = s.created_us,
		.last = bytes_of_str(from->tried ? last : "untried") };
	return arena_copy(&k->arena, bytes_of(s.id, sizeof(s.id)), &out->id);
}

kms_err describe_slots(struct keeper *k, const struct slot_info **out, size_t *out_n)
{
	struct root_slot slots[ROOT_SLOTS_MAX];
	size_t n = root_slots(k->root, slots);
	struct slot_info *list = NULL;
	TRY(arena_alloc(&k->arena, (n + 1) * sizeof(*list), &list));
	for (size_t i = 0; i < n; i++)
		TRY(describe_slot(k, &slots[i], &list[i]));
	*out = list;
	*out_n = n;
	return KMS_OK;
}
