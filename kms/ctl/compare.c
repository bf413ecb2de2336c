/* SPDX-License-Identifier: Apache-2.0 */
/* The comparison, key by key in the order of their names. */
#include "kms/ctl/compare.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "kms/base/secret.h"

enum {
	CHALLENGE_LEN = 32
};

/* A key whose active version both have. */
struct sample {
	char key[NAME_MAX_LEN + 1];
	uint32_t version;
	bool bare; /* its algorithm binds no context */
};

struct run {
	struct ctl *ctl;
	const struct throwaway *copy;
	uint64_t made_us;
	struct out *out;
	struct comparison sum;
	struct sample samples[COMPARE_SAMPLES];
	uint64_t seen; /* keys that could be one */
};

static void put_difference(
    struct run *r, const char *result, const char *key, uint32_t version, const char *finding)
{
	struct out *row = out_row(r->out);

	out_str(row, "result", "RESULT", result);
	out_paint(row, strcmp(result, "newer") == 0 ? OUT_YELLOW : OUT_RED);
	out_str(row, "key", "KEY", key);
	out_u64(row, "version", "VERSION", version);
	out_str(row, "finding", "FINDING", finding);
	out_name(row, key);
}

static void fail(struct run *r, const char *key, uint32_t version, const char *finding)
{
	r->sum.failed++;
	put_difference(r, "failed", key, version, finding);
}

static kms_err draw(void *p, size_t n)
{
	return getrandom(p, n, 0) == (ssize_t)n ? KMS_OK : KMS_E_INTERNAL;
}

/* What ends the comparison, unlike an answer about one key. */
static bool is_about_key(enum kms_code code)
{
	return code == KMS_CODE_NOT_FOUND || code == KMS_CODE_WRONG_STATE ||
	       code == KMS_CODE_INTEGRITY;
}

static void judge_missing(struct run *r, const char *key, const struct kms_key_version *v)
{
	if (v->created_us <= r->made_us) {
		fail(r, key, v->version, kms_last_error(r->copy->kms)->text);
		return;
	}
	r->sum.newer++;
	put_difference(r, "newer", key, v->version, "newer than the backup");
}

/* *out_same: both have it, and it is the same. */
static kms_err compare_version(
    struct run *r, const char *key, const struct kms_key_version *v, bool *out_same)
{
	AUTO(kms_result_free) struct kms_result *ours = NULL, *theirs = NULL;
	uint8_t challenge[CHALLENGE_LEN];
	const struct kms_bytes ask = kms_bytes_of(challenge, sizeof(challenge));

	TRY(throwaway_go_on(r->ctl));
	TRY(draw(challenge, sizeof(challenge)));
	enum kms_code code = kms_key_prove(r->ctl->kms, key, v->version, ask, &ours);
	/* Destroyed since it was listed. */
	if (is_about_key(code))
		return KMS_OK;
	TRY(ctl_ask(r->ctl, code));
	code = kms_key_prove(r->copy->kms, key, v->version, ask, &theirs);
	if (code == KMS_CODE_NOT_FOUND && v->created_us > r->made_us) {
		judge_missing(r, key, v);
		return KMS_OK;
	}
	r->sum.checked++;
	if (is_about_key(code)) {
		judge_missing(r, key, v);
		return KMS_OK;
	}
	TRY(throwaway_ask(r->ctl, r->copy, code));
	struct kms_bytes a = kms_result_bytes(ours), b = kms_result_bytes(theirs);
	*out_same = a.n > 0 && a.n == b.n && equal_ct(a.p, b.p, a.n);
	if (!*out_same)
		fail(r, key, v->version, "another key is in the backup");
	return KMS_OK;
}

/* Each of all keys is in the sample with the same chance: Vitter's algorithm R. */
static kms_err offer_sample(struct run *r, const struct kms_key *key)
{
	uint64_t place = r->seen++;

	if (place >= COMPARE_SAMPLES) {
		uint64_t roll;

		TRY(draw(&roll, sizeof(roll)));
		place = roll % r->seen;
	}
	if (place >= COMPARE_SAMPLES || strlen(key->key) > NAME_MAX_LEN)
		return KMS_OK;
	struct sample *s = &r->samples[place];
	memcpy(s->key, key->key, strlen(key->key) + 1);
	s->version = key->version;
	s->bare = strcmp(key->algorithm, algorithm_name(ALG_AES_256_KWP)) == 0;
	return KMS_OK;
}

static kms_err compare_key(struct run *r, const char *name)
{
	AUTO(kms_result_free) struct kms_result *shown = NULL;

	enum kms_code code = kms_key_show(r->ctl->kms, name, &shown);
	TRY(ctl_ask(r->ctl, code));
	const struct kms_key *key = kms_result_key(shown);
	for (size_t i = 0; i < key->version_n; i++) {
		const struct kms_key_version *v = &key->versions[i];
		bool same = false;

		if (strcmp(v->state, state_name(STATE_DESTROYED)) == 0) {
			r->sum.destroyed++;
			continue;
		}
		TRY(compare_version(r, key->key, v, &same));
		if (same && v->version == key->version)
			TRY(offer_sample(r, key));
	}
	return KMS_OK;
}

/* One page; *after becomes its last name, or NULL at the end. */
static kms_err compare_page(struct run *r, char **after)
{
	AUTO(kms_result_free) struct kms_result *page = NULL;
	size_t n;
	bool more;

	TRY(ctl_ask(r->ctl, kms_key_list(r->ctl->kms, *after, 0, &page)));
	const struct kms_key *keys = kms_result_keys(page, &n, &more);
	for (size_t i = 0; i < n; i++)
		TRY(compare_key(r, keys[i].key));
	free(*after);
	*after = more && n > 0 ? strdup(keys[n - 1].key) : NULL;
	return more && n > 0 && *after == NULL ? KMS_E_NO_MEMORY : KMS_OK;
}

static kms_err compare_keys(struct run *r)
{
	char *after = NULL;
	kms_err e;

	do
		e = compare_page(r, &after);
	while (e == KMS_OK && after != NULL);
	free(after);
	return e;
}

/* The way that data really goes: issued by the one, opened by the other. */
static kms_err try_sample(struct run *r, const struct sample *s)
{
	static const struct kms_pair pair = { "rehearsal", { (const uint8_t *)"1", 1 } };
	const struct kms_context context = { &pair, s->bare ? 0 : 1 };
	AUTO(kms_result_free) struct kms_result *issued = NULL, *opened = NULL;
	size_t n;

	TRY(throwaway_go_on(r->ctl));
	enum kms_code code = kms_issue(r->ctl->kms, s->key, &context, 1, true, &issued);
	/* Suspended meanwhile, or at its limit: nothing that the backup is to blame for. */
	if (is_about_key(code) || code == KMS_CODE_LIMIT)
		return KMS_OK;
	TRY(ctl_ask(r->ctl, code));
	const struct kms_item *item = kms_result_items(issued, &n);
	if (n != 1 || item->code != KMS_CODE_OK || item->version != s->version)
		return KMS_OK;
	r->sum.samples++;
	code = kms_unwrap(r->copy->kms, s->key, item->wrapped, &context, &opened);
	if (is_about_key(code)) {
		fail(r, s->key, s->version, "what it wraps now does not open");
		return KMS_OK;
	}
	return throwaway_ask(r->ctl, r->copy, code);
}

kms_err compare_all(struct ctl *c, const struct throwaway *t, uint64_t made_us, struct out *o,
    struct comparison *out)
{
	struct run r = { .ctl = c, .copy = t, .made_us = made_us, .out = o };

	kms_err e = compare_keys(&r);
	for (size_t i = 0; i < COMPARE_SAMPLES && i < r.seen && e == KMS_OK; i++)
		e = try_sample(&r, &r.samples[i]);
	*out = r.sum;
	return e;
}
