/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decision. What an operation needs is a row of the table; an operation without a row needs
 * what nobody has. Grants by key, class, purpose and time will be read here, from the same ask.
 */
#include "kms/policy/policy.h"

enum need {
	NEED_IMPOSSIBLE = 0, /* the keeper's own acts, and what has no row */
	NEED_NOTHING,
	NEED_ADMIN /* before there is one: whoever may make one, who then learns that there is no root */
};

static const enum need needs[OP_COUNT] = {
	[OP_STATUS] = NEED_NOTHING,
	[OP_WHOAMI] = NEED_NOTHING,
	[OP_METRICS] = NEED_ADMIN,
	[OP_INIT] = NEED_ADMIN,
	[OP_UNSEAL] = NEED_ADMIN,
	[OP_SEAL] = NEED_ADMIN,
	[OP_SLOT_LIST] = NEED_ADMIN,
	[OP_SLOT_CHECK] = NEED_ADMIN,
	[OP_KEY_CREATE] = NEED_ADMIN,
	[OP_KEY_LIST] = NEED_ADMIN,
	[OP_KEY_SHOW] = NEED_ADMIN,
	[OP_KEY_ROTATE] = NEED_ADMIN,
	[OP_KEY_SUSPEND] = NEED_ADMIN,
	[OP_KEY_RESUME] = NEED_ADMIN,
	[OP_KEY_DEACTIVATE] = NEED_ADMIN,
	[OP_KEY_COMPROMISE] = NEED_ADMIN,
	[OP_KEY_DESTROY] = NEED_ADMIN,
	[OP_KEY_CANCEL_DESTROY] = NEED_ADMIN,
	[OP_ISSUE] = NEED_ADMIN,
	[OP_WRAP] = NEED_ADMIN,
	[OP_UNWRAP] = NEED_ADMIN,
	[OP_REWRAP] = NEED_ADMIN,
	[OP_MAC] = NEED_ADMIN,
	[OP_RANDOM] = NEED_ADMIN,
	[OP_AUDIT_READ] = NEED_ADMIN,
	[OP_SLOT_ADD] = NEED_ADMIN,
	[OP_SLOT_REMOVE] = NEED_ADMIN,
	[OP_ROOT_ROTATE] = NEED_ADMIN,
	[OP_BACKUP_CREATE] = NEED_ADMIN,
	[OP_BACKUP_LIST] = NEED_ADMIN,
	[OP_BACKUP_VERIFY] = NEED_ADMIN,
	[OP_BACKUP_RESTORE] = NEED_ADMIN,
	[OP_BACKUP_REHEARSED] = NEED_ADMIN,
	[OP_KEY_PROVE] = NEED_ADMIN,
};

static const struct verdict allowed = { .allowed = true, .missing = "" };

static struct verdict denied(const char *missing)
{
	return (struct verdict){ .allowed = false, .missing = missing };
}

bool policy_is_admin(const struct policy *p, const struct identity *who)
{
	if (who->kind != IDENTITY_UNIX)
		return false;
	if (p->owner_known && who->uid == p->owner_uid)
		return true;
	return p->admin_known && identity_in_group(who, p->admin_gid);
}

/* An administrator, or before `init` root and the service's own user. */
static bool may_administer(const struct policy *p, const struct identity *who)
{
	if (policy_is_admin(p, who))
		return true;
	if (p->initialised || who->kind != IDENTITY_UNIX)
		return false;
	return who->uid == 0 || who->uid == p->self_uid;
}

struct verdict policy_decide(const struct policy *p, const struct ask *ask)
{
	enum need need = (unsigned)ask->op < OP_COUNT ? needs[ask->op] : NEED_IMPOSSIBLE;

	if (ask->identity->kind == IDENTITY_NONE)
		return denied("identity");
	/* There is no gate yet, so nobody may speak for somebody else. */
	if (ask->asserted.n > 0)
		return denied("assert");

	switch (need) {
	case NEED_NOTHING: return allowed;
	case NEED_ADMIN: return may_administer(p, ask->identity) ? allowed : denied("admin");
	case NEED_IMPOSSIBLE: break;
	}
	return denied("operation");
}
