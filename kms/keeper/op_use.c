/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operations that services use all day: issue, wrap, unwrap, rewrap, mac, random. Nothing
 * here allocates but from the request's arena, waits, or logs. In a batch each item has its own
 * result and its own line in the record.
 */
#include <string.h>

#include "kms/base/secret.h"
#include "kms/crypto/hash.h"
#include "kms/keeper/counts.h"
#include "kms/keeper/ops.h"
#include "kms/keeper/tags.h"
#include "kms/keys/context.h"
#include "kms/keys/lifecycle.h"

/* A key and one of its versions. */
struct use {
	struct key *key;
	struct key_version *version;
};

/* What every item of a batch is worked on with. */
struct work {
	struct keeper *k;
	struct use use; /* of a named key: its active version */
	struct record_item *lines;
	struct item_result *results;
	size_t n;
};

static void fill_record(struct task *t, const struct use *u, size_t batch)
{
	t->record.key = u->key->id;
	t->record.key_class = bytes_of_str(u->key->key_class);
	t->record.version = u->version->number;
	t->record.batch = (uint32_t)batch;
}

/* The key that a request names, with its active version and room in its counters. */
static kms_err find_active(struct keeper *k, struct task *t, struct bytes name, struct use *out)
{
	struct use u = { .key = ring_find(k->ring, name) };
	if (u.key == NULL)
		return KMS_E_NOT_FOUND;
	t->record.key = u.key->id;
	u.version = key_active(u.key);
	if (u.version == NULL)
		return KMS_E_NO_ACTIVE_VERSION;
	if (!counts_ready(k, u.key, u.version))
		t->fate = TASK_PARK;
	*out = u;
	return KMS_OK;
}

static kms_err canon_of(struct keeper *k, struct pairs pairs, struct bytes *out)
{
	/* One pair more than allowed, so that context_encode is the one that refuses. */
	struct context_pair list[CONTEXT_MAX_PAIRS + 1];
	size_t n = pairs.n > CONTEXT_MAX_PAIRS ? CONTEXT_MAX_PAIRS + 1 : pairs.n;
	for (size_t i = 0; i < n; i++)
		list[i] = (struct context_pair){ pairs.p[i].name, pairs.p[i].value };
	/* Zeroing 5 KB for each answer would cost as much as deciding it. */
	__attribute__((uninitialized)) uint8_t canon[CONTEXT_CANON_MAX];
	size_t len = 0;
	TRY(context_encode(list, n, canon, &len));
	return arena_copy(&k->arena, bytes_of(canon, len), out);
}

static kms_err take_bytes(struct keeper *k, size_t n, uint8_t **out)
{
	return arena_alloc(&k->arena, n, out);
}

/* Wraps `plain` under the active version; the blob lives in the arena. */
static kms_err wrap_one(struct keeper *k, const struct use *u, struct bytes canon,
    struct bytes plain, struct bytes *out)
{
	uint8_t *blob = NULL;
	size_t n = wrapped_len(u->key->algorithm, plain.n);
	TRY(take_bytes(k, n, &blob));
	const struct wrap_input in = { .canon = canon, .plain = plain, .rand = k->rand };
	TRY(ring_wrap(k->ring, u->key, u->version, &in, blob));
	*out = bytes_of(blob, n);
	return KMS_OK;
}

static void name_key(struct item_result *out, const struct use *u)
{
	out->key = bytes_of_str(u->key->name);
	out->version = u->version->number;
}

static kms_err issue_one(
    const struct work *w, struct bytes canon, bool wrapped_only, struct item_result *out)
{
	uint8_t *key = NULL;
	TRY(take_bytes(w->k, KEY_BITS_LEN, &key));
	TRY(rand_draw(w->k->rand, key, KEY_BITS_LEN));
	const struct bytes plain = bytes_of(key, KEY_BITS_LEN);
	TRY(wrap_one(w->k, &w->use, canon, plain, &out->wrapped));
	if (!wrapped_only)
		out->plaintext = plain;
	name_key(out, &w->use);
	return KMS_OK;
}

/* Room for n results and n lines of the record. */
static kms_err begin(struct keeper *k, size_t n, struct work *out)
{
	if (n > BATCH_MAX)
		return KMS_E_BATCH_TOO_BIG;
	if (n == 0)
		return KMS_E_BAD_REQUEST;
	struct work w = { .k = k, .n = n };
	TRY(arena_alloc(&k->arena, n * sizeof(*w.lines), &w.lines));
	TRY(arena_alloc(&k->arena, n * sizeof(*w.results), &w.results));
	*out = w;
	return KMS_OK;
}

static void answer_items(const struct work *w, struct task *t, struct answer *out)
{
	/* A batch of one says everything in the record itself. */
	if (w->n > 1) {
		t->record.items = w->lines;
		t->record.item_n = w->n;
	}
	out->kind = ANSWER_ITEMS;
	out->u.items.p = w->results;
	out->u.items.n = w->n;
}

kms_err op_issue(struct keeper *k, struct task *t, const struct request *r, struct answer *out)
{
	struct work w;
	size_t n = r->count == 0 ? 1 : r->count;
	TRY(begin(k, n, &w));
	TRY(find_active(k, t, r->key, &w.use));
	if (t->fate == TASK_PARK)
		return KMS_OK;
	fill_record(t, &w.use, n);
	struct bytes canon;
	TRY(canon_of(k, r->context, &canon));
	TRY(tags_fill(k, r->context, canon, &t->record));
	TRY(counts_take(w.use.key, w.use.version, COUNT_ISSUED, (uint32_t)n));
	for (size_t i = 0; i < n; i++) {
		TRY(issue_one(&w, canon, r->wrapped_only, &w.results[i]));
		memcpy(w.lines[i].tag, t->record.tag, RECORD_TAG_LEN);
		w.lines[i].version = w.use.version->number;
	}
	answer_items(&w, t, out);
	return KMS_OK;
}

/* One item's context: its canonical bytes, and its tag into the item's line of the record. */
static kms_err take_context(
    const struct work *w, size_t i, struct pairs pairs, struct task *t, struct bytes *out_canon)
{
	TRY(canon_of(w->k, pairs, out_canon));
	if (w->n == 1)
		return tags_fill(w->k, pairs, *out_canon, &t->record);
	return tags_item(w->k, pairs, *out_canon, w->lines[i].tag);
}

static kms_err wrap_item(const struct work *w, size_t i, const struct request *r, struct task *t)
{
	const struct item *item = &r->items[i];
	struct bytes canon;
	TRY(take_context(w, i, item->context, t, &canon));
	if (item->data.n > PLAINTEXT_MAX)
		return KMS_E_PLAINTEXT_TOO_BIG;
	if (item->data.n == 0)
		return KMS_E_BAD_REQUEST;
	TRY(counts_take(w->use.key, w->use.version, COUNT_WRAPPED, 1));
	TRY(wrap_one(w->k, &w->use, canon, item->data, &w->results[i].wrapped));
	name_key(&w->results[i], &w->use);
	return KMS_OK;
}

static kms_err mac_item(const struct work *w, size_t i, const struct request *r, struct task *t)
{
	const struct item *item = &r->items[i];
	struct bytes canon;
	uint8_t *mac = NULL;
	TRY(take_context(w, i, item->context, t, &canon));
	if (item->data.n > PLAINTEXT_MAX)
		return KMS_E_PLAINTEXT_TOO_BIG;
	TRY(take_bytes(w->k, SHA256_LEN, &mac));
	TRY(ring_mac(w->k->ring, w->use.key, w->use.version, item->data, canon, mac));
	w->results[i].plaintext = bytes_of(mac, SHA256_LEN);
	name_key(&w->results[i], &w->use);
	return KMS_OK;
}

/* The version that a blob names. Whether there is such a key is not told apart from damage. */
static kms_err find_wrapped(
    struct keeper *k, const struct request *r, const struct wrapped *w, struct use *out)
{
	struct use u = { .key = ring_find_id(k->ring, w->key) };
	if (u.key == NULL || u.key->algorithm != w->algorithm)
		return KMS_E_INTEGRITY;
	if (r->key.n > 0 && !bytes_equal(r->key, bytes_of_str(u.key->name)))
		return KMS_E_INTEGRITY;
	u.version = key_find_version(u.key, w->version);
	if (u.version == NULL)
		return KMS_E_INTEGRITY;
	*out = u;
	return KMS_OK;
}

static kms_err check_unwraps(const struct use *u)
{
	if (u->version->state == STATE_DESTROYED)
		return KMS_E_DESTROYED;
	if (u->version->number < u->key->floor)
		return KMS_E_BELOW_FLOOR;
	return lifecycle_unwraps(u->version->state) ? KMS_OK : KMS_E_WRONG_STATE;
}

/* Looks at every blob before anything is done, so that a request parks before its first effect. */
static bool all_ready(struct keeper *k, const struct request *r)
{
	bool ready = true;
	for (size_t i = 0; i < r->item_count; i++) {
		struct wrapped w;
		struct use u;
		if (wrapped_decode(r->items[i].data, &w) != KMS_OK ||
		    find_wrapped(k, r, &w, &u) != KMS_OK || check_unwraps(&u) != KMS_OK)
			continue;
		ready = counts_ready(k, u.key, u.version) && ready;
		struct key_version *active = key_active(u.key);
		if (r->op == OP_REWRAP && active != NULL)
			ready = counts_ready(k, u.key, active) && ready;
	}
	return ready;
}

/* Opens one blob; the plaintext lives in the arena. */
static kms_err open_item(const struct work *w, size_t i, const struct request *r, struct task *t,
    struct use *out_use, struct bytes *out_plain)
{
	const struct item *item = &r->items[i];
	struct wrapped blob;
	struct bytes canon;
	struct use u;
	uint8_t *plain = NULL;
	size_t n = 0;
	TRY(take_context(w, i, item->context, t, &canon));
	TRY(wrapped_decode(item->data, &blob));
	TRY(find_wrapped(w->k, r, &blob, &u));
	w->lines[i].version = u.version->number;
	fill_record(t, &u, w->n);
	TRY(check_unwraps(&u));
	TRY(take_bytes(w->k, blob.sealed.n, &plain));
	const struct unwrap_input in = { .canon = canon, .w = &blob };
	TRY(ring_unwrap(w->k->ring, u.key, u.version, &in, plain, &n));
	TRY(counts_take(u.key, u.version, COUNT_UNWRAPPED, 1));
	*out_use = u;
	*out_plain = bytes_of(plain, n);
	return KMS_OK;
}

static kms_err unwrap_item(const struct work *w, size_t i, const struct request *r, struct task *t)
{
	struct use u;
	struct item_result *out = &w->results[i];
	TRY(open_item(w, i, r, t, &u, &out->plaintext));
	const struct key_version *active = key_active(u.key);
	out->compromised = u.version->state == STATE_COMPROMISED;
	out->rewrap_advised =
	    out->compromised || (active != NULL && active->number > u.version->number);
	name_key(out, &u);
	return KMS_OK;
}

static kms_err rewrap_item(const struct work *w, size_t i, const struct request *r, struct task *t)
{
	struct use u;
	struct bytes plain, canon;
	const struct item *item = &r->items[i];
	TRY(open_item(w, i, r, t, &u, &plain));
	TRY(canon_of(w->k, item->change_context ? item->new_context : item->context, &canon));
	u.version = key_active(u.key);
	if (u.version == NULL)
		return KMS_E_NO_ACTIVE_VERSION;
	TRY(counts_take(u.key, u.version, COUNT_WRAPPED, 1));
	TRY(wrap_one(w->k, &u, canon, plain, &w->results[i].wrapped));
	name_key(&w->results[i], &u);
	return KMS_OK;
}

/* One item failed: its result and its line say so; a batch of one fails as a whole in the record. */
static void fail_item(const struct work *w, size_t i, kms_err e, struct task *t)
{
	w->results[i] = (struct item_result){ .error = { .err = e } };
	w->lines[i].result = e;
	if (w->n == 1)
		t->record.result = e;
}

typedef kms_err item_run(const struct work *w, size_t i, const struct request *r, struct task *t);

static void run_items(const struct work *w, struct task *t, const struct request *r, item_run *one,
    struct answer *out)
{
	for (size_t i = 0; i < w->n; i++) {
		kms_err e = one(w, i, r, t);
		if (e != KMS_OK)
			fail_item(w, i, e, t);
	}
	answer_items(w, t, out);
}

/* wrap, mac: every item under the active version of the named key. */
static kms_err run_named(
    struct keeper *k, struct task *t, const struct request *r, item_run *one, struct answer *out)
{
	struct work w;
	TRY(begin(k, r->item_count, &w));
	TRY(find_active(k, t, r->key, &w.use));
	if (t->fate == TASK_PARK)
		return KMS_OK;
	fill_record(t, &w.use, w.n);
	for (size_t i = 0; i < w.n; i++)
		w.lines[i].version = w.use.version->number;
	run_items(&w, t, r, one, out);
	return KMS_OK;
}

kms_err op_wrap(struct keeper *k, struct task *t, const struct request *r, struct answer *out)
{
	return run_named(k, t, r, wrap_item, out);
}

kms_err op_mac(struct keeper *k, struct task *t, const struct request *r, struct answer *out)
{
	return run_named(k, t, r, mac_item, out);
}

/* unwrap, rewrap: each blob names its own key version. */
static kms_err run_blobs(
    struct keeper *k, struct task *t, const struct request *r, item_run *one, struct answer *out)
{
	struct work w;
	TRY(begin(k, r->item_count, &w));
	if (!all_ready(k, r)) {
		t->fate = TASK_PARK;
		return KMS_OK;
	}
	t->record.batch = (uint32_t)w.n;
	run_items(&w, t, r, one, out);
	return KMS_OK;
}

kms_err op_unwrap(struct keeper *k, struct task *t, const struct request *r, struct answer *out)
{
	return run_blobs(k, t, r, unwrap_item, out);
}

kms_err op_rewrap(struct keeper *k, struct task *t, const struct request *r, struct answer *out)
{
	return run_blobs(k, t, r, rewrap_item, out);
}

kms_err op_random(struct keeper *k, struct task *t, const struct request *r, struct answer *out)
{
	uint8_t *p = NULL;
	(void)t;
	if (r->count == 0 || r->count > RANDOM_MAX)
		return KMS_E_BAD_REQUEST;
	TRY(take_bytes(k, r->count, &p));
	TRY(rand_bytes(p, r->count));
	out->kind = ANSWER_RANDOM;
	out->u.text = bytes_of(p, r->count);
	return KMS_OK;
}
