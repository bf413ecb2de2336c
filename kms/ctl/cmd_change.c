/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The changes of a key's versions: rotate to cancel-destroy. All go the same way: look at the key,
 * say what will happen, ask where it can't be undone, do it, show the key.
 */
#include <stdio.h>
#include <string.h>

#include "kms/base/clock.h"
#include "kms/ctl/ctl.h"
#include "kms/ctl/keyview.h"

struct change {
	const char *verb;
	enum kms_key_op op;
	bool final;        /* can't be undone */
	const char *means; /* what happens to each version: "%s will …" */
};

static const struct change changes[] = {
	{ "rotate", KMS_KEY_ROTATE, false, "gets a new active version; the old one unwraps only" },
	{ "suspend", KMS_KEY_SUSPEND, false, "neither wraps nor unwraps until it is resumed" },
	{ "resume", KMS_KEY_RESUME, false, "is taken into use again" },
	{ "deactivate", KMS_KEY_DEACTIVATE, true, "unwraps only, for ever" },
	{ "compromise", KMS_KEY_COMPROMISE, true,
	    "is marked as compromised, for ever; it unwraps only" },
	{ "destroy", KMS_KEY_DESTROY, true,
	    "is destroyed; what is wrapped under it can never be opened again" },
	{ "cancel-destroy", KMS_KEY_CANCEL_DESTROY, false, "is not destroyed after all" },
};

static const struct change *find_change(const char *verb)
{
	for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
		if (strcmp(changes[i].verb, verb) == 0)
			return &changes[i];
	}
	return NULL;
}

/* What a change touches. */
struct scope {
	size_t versions;
	uint64_t issued, wrapped;
	uint32_t last; /* number of the last of them */
};

/* The whole key for a destruction without a version, else that version or the active one. */
static struct scope scope_of(
    const struct kms_key *key, const struct change *change, uint32_t version)
{
	bool all = change->op == KMS_KEY_DESTROY && version == 0;
	uint32_t one = version != 0 ? version : key->version;
	struct scope s = { .versions = 0 };

	for (size_t i = 0; i < key->version_n; i++) {
		const struct kms_key_version *v = &key->versions[i];

		if (strcmp(v->state, "destroyed") == 0 || (!all && v->version != one))
			continue;
		s.versions++;
		s.issued += v->issued;
		s.wrapped += v->wrapped;
		s.last = v->version;
	}
	return s;
}

static void tell(
    struct ctl *c, const struct kms_key *key, const struct change *change, uint32_t version)
{
	struct scope s = scope_of(key, change, version);

	/* Nothing that it could happen to: kmsd will say why. */
	if (s.versions == 0 && change->op != KMS_KEY_ROTATE)
		return;
	if (change->op == KMS_KEY_ROTATE)
		ctl_talk(c, "%s: the key %s.", key->key, change->means);
	else if (s.versions == 1)
		ctl_talk(c, "%s: version %u %s. Issued under it: %ju data keys; wrapped: %ju.",
		    key->key, (unsigned)s.last, change->means, (uintmax_t)s.issued,
		    (uintmax_t)s.wrapped);
	else
		ctl_talk(c,
		    "%s: each of its %zu versions %s. Issued under them: %ju data keys; wrapped: %ju.",
		    key->key, s.versions, change->means, (uintmax_t)s.issued, (uintmax_t)s.wrapped);
}

/* Told before it is done, where there is something to think about. */
static kms_err prepare(struct ctl *c, const struct change *change, const struct kms_key_ref *ref)
{
	AUTO(kms_result_free) struct kms_result *r = NULL;

	if (!change->final && !ref->dry_run)
		return KMS_OK;
	TRY(ctl_ask(c, kms_key_show(c->kms, ref->key, &r)));
	const struct kms_key *key = kms_result_key(r);
	if (ref->version != 0 && keyview_find(key, ref->version) == NULL)
		return ctl_refuse(
		    c, KMS_E_NOT_FOUND, "%s has no version %u", ref->key, (unsigned)ref->version);
	tell(c, key, change, ref->version);
	return change->final && !ref->dry_run ? ctl_confirm(c, ref->key) : KMS_OK;
}

/* Destroyed here is not destroyed in backups; copies that kmsd doesn't know of are the operator's. */
static void tell_backups(const struct ctl *c, const struct kms_key *key)
{
	char until[CLOCK_TEXT_LEN];

	if (key->backed_up_until_us == 0)
		return;
	clock_format(key->backed_up_until_us, until);
	if (key->backed_up_until_us == UINT64_MAX)
		ctl_talk(c, "Backups that never expire may still hold what there was.");
	else
		ctl_talk(c, "Backups that expire on %s may still hold what there was.", until);
	ctl_talk(c, "Copies of them elsewhere do until you remove them.");
}

kms_err cmd_key_change(struct ctl *c)
{
	AUTO(kms_result_free) struct kms_result *r = NULL;
	AUTO(out_done) struct out o = { .field_n = 0 };
	const struct change *change = find_change(c->command->verb);
	const struct kms_key_ref ref = {
		.key = c->args.operands[0],
		.version = (uint32_t)c->args.number[OPT_VERSION],
		.reason = c->args.text[OPT_REASON],
		.dry_run = ctl_is_dry_run(c),
	};

	CHECK(change != NULL);
	TRY(ctl_connect(c));
	TRY(prepare(c, change, &ref));
	TRY(ctl_ask(c, kms_key_change(c->kms, change->op, &ref, &r)));
	if (ref.dry_run) {
		ctl_talk(c, "Nothing was changed; this is the key as it is.");
		out_bool(&o, "dry_run", NULL, true);
	}
	tell_backups(c, kms_result_key(r));
	keyview_put(&o, kms_result_key(r), 0);
	return ctl_print(c, &o);
}
