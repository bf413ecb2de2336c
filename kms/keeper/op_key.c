/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operations on master keys. Reading answers at once; every change goes to changes.c, which
 * answers when it is durable.
 */
#include "kms/keeper/changes.h"
#include "kms/keeper/describe.h"
#include "kms/keeper/ops.h"

enum {
	LIST_MAX = 1000,        /* keys of one page */
	ROTATE_EVERY_MIN_S = 60 /* a shorter period is a mistake in its unit */
};

static kms_err check_reason(struct bytes reason)
{
	if (reason.n > REASON_MAX)
		return KMS_E_BAD_REQUEST;
	for (size_t i = 0; i < reason.n; i++)
		if (reason.p[i] < 0x20 || reason.p[i] > 0x7e)
			return KMS_E_BAD_REQUEST;
	return KMS_OK;
}

kms_err op_key_create(struct keeper *k, struct task *t, const struct request *r, struct answer *out)
{
	(void)out;
	struct change_want want = { .op = r->op,
		.key = r->key,
		.key_class = r->key_class,
		.algorithm = ALG_XAES_256_GCM,
		.rotate_every_s = r->rotate_every_s };
	if (!name_valid(r->key) || (r->key_class.n > 0 && !name_valid(r->key_class)))
		return KMS_E_BAD_NAME;
	if (r->algorithm.n > 0)
		want.algorithm = algorithm_from_name(r->algorithm);
	if (want.algorithm == ALG_NONE)
		return KMS_E_BAD_ALGORITHM;
	if (r->rotate_every_s != 0 && r->rotate_every_s < ROTATE_EVERY_MIN_S)
		return KMS_E_BAD_REQUEST;
	return changes_submit(k, t, &want);
}

/* A change of a key that exists. It is looked at again when its group starts. */
static kms_err submit(struct keeper *k, struct task *t, const struct request *r)
{
	const struct change_want want = {
		.op = r->op, .key = r->key, .reason = r->reason, .version = r->version
	};
	if (!name_valid(r->key))
		return KMS_E_BAD_NAME;
	TRY(check_reason(r->reason));
	const struct key *key = ring_find(k->ring, r->key);
	if (key != NULL)
		t->record.key = key->id;
	return changes_submit(k, t, &want);
}

kms_err op_key_rotate(struct keeper *k, struct task *t, const struct request *r, struct answer *out)
{
	(void)out;
	return r->version != 0 ? KMS_E_BAD_REQUEST : submit(k, t, r);
}

kms_err op_key_move(struct keeper *k, struct task *t, const struct request *r, struct answer *out)
{
	(void)out;
	return submit(k, t, r);
}

kms_err op_key_destroy(
    struct keeper *k, struct task *t, const struct request *r, struct answer *out)
{
	(void)out;
	return submit(k, t, r);
}

/* The key that is named, for the record too. */
static kms_err find_key(
    struct keeper *k, struct task *t, const struct request *r, const struct key **out)
{
	if (!name_valid(r->key))
		return KMS_E_BAD_NAME;
	const struct key *key = ring_find(k->ring, r->key);
	if (key == NULL)
		return KMS_E_NOT_FOUND;
	t->record.key = key->id;
	*out = key;
	return KMS_OK;
}

/* Destruction is immediate, so there is never one to take back. */
kms_err op_key_cancel_destroy(
    struct keeper *k, struct task *t, const struct request *r, struct answer *out)
{
	const struct key *key;
	(void)out;
	TRY(find_key(k, t, r, &key));
	return KMS_E_WRONG_STATE;
}

kms_err op_key_show(struct keeper *k, struct task *t, const struct request *r, struct answer *out)
{
	const struct key *key;
	TRY(find_key(k, t, r, &key));
	t->record.key_class = bytes_of_str(key->key_class);
	if (r->version != 0 && key_find_version(key, r->version) == NULL)
		return KMS_E_NOT_FOUND;
	out->kind = ANSWER_KEY;
	return describe_key(k, key, true, &out->u.key);
}

kms_err op_key_list(struct keeper *k, struct task *t, const struct request *r, struct answer *out)
{
	(void)t;
	uint32_t limit = r->count == 0 || r->count > LIST_MAX ? LIST_MAX : r->count;
	struct key_info *list = NULL;
	struct bytes after = r->key;
	size_t n = 0;
	TRY(arena_alloc(&k->arena, limit * sizeof(*list), &list));
	const struct key *key = ring_next(k->ring, after);
	for (; key != NULL && n < limit; key = ring_next(k->ring, after)) {
		TRY(describe_key(k, key, false, &list[n++]));
		after = bytes_of_str(key->name);
	}
	out->kind = ANSWER_KEYS;
	out->u.keys.p = list;
	out->u.keys.n = n;
	out->u.keys.more = key != NULL;
	return KMS_OK;
}
