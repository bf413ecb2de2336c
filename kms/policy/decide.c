/* SPDX-License-Identifier: Apache-2.0 */
/* The roles of a grant are asked in the order of the text; one yes is enough. */
#include "kms/policy/decide.h"

/* What can be granted, and whether it is about one key. What has no row can't be. */
enum reach {
	REACH_NONE = 0,
	REACH_SERVICE,
	REACH_KEY
};

static const enum reach reaches[OP_COUNT] = {
	[OP_METRICS] = REACH_SERVICE,
	[OP_UNSEAL] = REACH_SERVICE,
	[OP_SEAL] = REACH_SERVICE,
	[OP_SLOT_LIST] = REACH_SERVICE,
	[OP_SLOT_CHECK] = REACH_SERVICE,
	[OP_KEY_CREATE] = REACH_KEY,
	[OP_KEY_LIST] = REACH_SERVICE,
	[OP_KEY_SHOW] = REACH_KEY,
	[OP_KEY_ROTATE] = REACH_KEY,
	[OP_KEY_SUSPEND] = REACH_KEY,
	[OP_KEY_RESUME] = REACH_KEY,
	[OP_KEY_DEACTIVATE] = REACH_KEY,
	[OP_KEY_COMPROMISE] = REACH_KEY,
	[OP_KEY_DESTROY] = REACH_KEY,
	[OP_KEY_CANCEL_DESTROY] = REACH_KEY,
	[OP_ISSUE] = REACH_KEY,
	[OP_WRAP] = REACH_KEY,
	[OP_UNWRAP] = REACH_KEY,
	[OP_REWRAP] = REACH_KEY,
	[OP_MAC] = REACH_KEY,
	[OP_RANDOM] = REACH_SERVICE,
	[OP_AUDIT_READ] = REACH_SERVICE,
	[OP_SLOT_ADD] = REACH_SERVICE,
	[OP_SLOT_REMOVE] = REACH_SERVICE,
	[OP_ROOT_ROTATE] = REACH_SERVICE,
	[OP_BACKUP_CREATE] = REACH_SERVICE,
	[OP_BACKUP_LIST] = REACH_SERVICE,
	[OP_BACKUP_VERIFY] = REACH_SERVICE,
};

/* clang-format off */
static const struct {
	const char *word, *text;
} lacks[LACK_COUNT] = {
	[LACK_NOTHING] = { "",        "it is allowed" },
	[LACK_GRANT]   = { "grant",   "nothing is granted to them" },
	[LACK_RIGHT]   = { "right",   "no role of theirs has this operation" },
	[LACK_KEY]     = { "key",     "the role does not cover this key" },
	[LACK_CLASS]   = { "class",   "the role does not cover the key's class (--class names it)" },
	[LACK_HOURS]   = { "hours",   "not at this time, or not on this day" },
	[LACK_SUBJECT] = { "subject", "the person behind it must be named (--subject)" },
	[LACK_PURPOSE] = { "purpose", "the class wants one of its purposes (--purpose)" },
};
/* clang-format on */

const char *lack_word(enum lack lack)
{
	return (unsigned)lack < LACK_COUNT ? lacks[lack].word : "";
}

const char *lack_text(enum lack lack)
{
	return (unsigned)lack < LACK_COUNT ? lacks[lack].text : "";
}

bool rules_grantable(enum op op)
{
	return (unsigned)op < OP_COUNT && reaches[op] != REACH_NONE;
}

bool rules_about_key(enum op op)
{
	return (unsigned)op < OP_COUNT && reaches[op] == REACH_KEY;
}

static bool covers_key(const struct rules_role *role, struct bytes key)
{
	for (size_t i = 0; i < role->keys.n; i++)
		if (rules_glob(role->keys.p[i], key))
			return true;
	return role->keys.n == 0;
}

static bool is_open(const struct rules *r, const struct rules_role *role, uint64_t time_us)
{
	const struct rules_local now = rules_local(r, time_us);
	if (now.holiday && !role->holidays)
		return false;
	for (size_t i = 0; i < role->hours_n; i++) {
		const struct rules_hours *h = &role->hours[i];
		if ((h->days >> now.weekday & 1) != 0 && now.minute >= h->from &&
		    now.minute < h->to)
			return true;
	}
	return role->hours_n == 0;
}

static bool covers_class(
    const struct rules *r, const struct rules_role *role, const struct rules_class *c)
{
	return role->classes == 0 || (c != NULL && (role->classes >> (c - r->classes) & 1) != 0);
}

static enum lack ask_role(
    const struct rules *r, const struct rules_role *role, const struct question *q)
{
	const struct rules_class *c = rules_find_class(r, q->key_class);
	if (!rules_grantable(q->op) || !rules_role_has(role, q->op))
		return LACK_RIGHT;
	if (rules_about_key(q->op) && !covers_key(role, q->key))
		return LACK_KEY;
	if (rules_about_key(q->op) && !covers_class(r, role, c))
		return LACK_CLASS;
	if (!is_open(r, role, q->time_us))
		return LACK_HOURS;
	if (q->op != OP_UNWRAP)
		return LACK_NOTHING;
	if (role->reads_subject != 0 && q->subject.n == 0)
		return LACK_SUBJECT;
	if (c != NULL && c->purposes.n > 0 && !rules_names_has(&c->purposes, q->purpose))
		return LACK_PURPOSE;
	return LACK_NOTHING;
}

struct decision rules_decide(const struct rules *r, const struct question *q)
{
	struct decision d = { .lack = LACK_GRANT, .grant = rules_find_grant(r, q->who) };
	for (uint64_t left = d.grant != NULL ? d.grant->roles : 0; left != 0; left &= left - 1) {
		const struct rules_role *role = &r->roles[__builtin_ctzll(left)];
		enum lack lack = ask_role(r, role, q);
		if (lack != LACK_NOTHING && lack <= d.lack)
			continue;
		d.lack = lack;
		d.role = role;
		if (lack == LACK_NOTHING)
			break;
	}
	return d;
}
