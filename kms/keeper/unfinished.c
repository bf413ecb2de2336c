/* SPDX-License-Identifier: Apache-2.0 */
/* See unfinished.h. A crash cuts off one group at most, so the list is short. */
#include "kms/keeper/unfinished.h"

#include <string.h>

#include "kms/audit/trail.h"
#include "kms/keeper/turn.h"

enum {
	BEGUN_MAX = 256 /* changes of one group */
};

struct begun {
	struct key_id key;
	uint32_t version; /* 0: the whole key */
};

struct unfinished {
	struct begun list[BEGUN_MAX];
	size_t n;
};

static void forget(struct unfinished *u, const struct record *r)
{
	for (size_t i = 0; i < u->n; i++) {
		bool same = memcmp(&u->list[i].key, &r->key, sizeof(r->key)) == 0;
		if (same && u->list[i].version == r->version) {
			u->list[i] = u->list[--u->n];
			return;
		}
	}
}

/* A second first record for the same means that the one before came to nothing. */
static kms_err visit(void *arg, const struct record *r)
{
	struct unfinished *u = arg;
	if (r->op != OP_KEY_DESTROY)
		return KMS_OK;
	forget(u, r);
	bool begun = bytes_equal(r->detail, bytes_of_str(RECORD_BEGUN));
	if (begun && u->n < BEGUN_MAX)
		u->list[u->n++] = (struct begun){ .key = r->key, .version = r->version };
	return KMS_OK;
}

static bool was_done(const struct keeper *k, const struct begun *b)
{
	const struct key *key = ring_find_id(k->ring, b->key);
	if (key == NULL)
		return false;
	for (size_t i = 0; i < key->n; i++) {
		const struct key_version *v = &key->versions[i];
		if ((b->version == 0 || v->number == b->version) && v->state != STATE_DESTROYED)
			return false;
	}
	return true;
}

kms_err unfinished_record(struct keeper *k, uint64_t from)
{
	struct unfinished u = { .n = 0 };
	TRY(trail_read_since(k->audit_dir, from, visit, &u));
	for (size_t i = 0; i < u.n; i++) {
		struct record r = { .op = OP_KEY_DESTROY,
			.identity = bytes_of_str("kmsd"),
			.key = u.list[i].key,
			.version = u.list[i].version,
			.new_state = STATE_DESTROYED,
			.detail = bytes_of_str("found done") };
		if (was_done(k, &u.list[i]))
			TRY(turn_record(k, &r));
	}
	return KMS_OK;
}
