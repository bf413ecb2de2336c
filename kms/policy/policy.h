/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may do what: one pure function of what is asked and of the rules at hand. It reads no
 * clock, no file and no name service; the spine asks it once for each request and records the
 * verdict. Default is deny.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/base/types.h"
#include "kms/policy/identity.h"

/* Today's rule: the user who initialised and the members of the group of administrators. */
struct policy {
	uint32_t owner_uid; /* who initialised */
	uint32_t admin_gid; /* group kms-admin, looked up before the sandbox closed */
	uint32_t self_uid;  /* the service's own */
	bool owner_known;
	bool admin_known;
	bool initialised; /* there is a root key */
};

/* Borrows everything. Empty bytes: not given. */
struct ask {
	const struct identity *identity;
	enum op op;
	struct bytes key;       /* name of the key, where the operation has one */
	struct bytes key_class; /* of that key, where it is known */
	struct bytes asserted;  /* whom a gate speaks for */
	struct bytes subject;   /* the person behind the service */
	struct bytes purpose;
	uint64_t time_us; /* wall clock */
};

struct verdict {
	bool allowed;
	const char *missing; /* what it would have needed: a static word; "" if allowed */
};

/*
 * missing is "identity": nobody we know; "assert": speaks for somebody else; "admin": not an
 * administrator; "operation": nobody's to ask.
 */
struct verdict policy_decide(const struct policy *p, const struct ask *ask);
/* True for whoever may administer: for them places are kept when connections run out. */
bool policy_is_admin(const struct policy *p, const struct identity *who);
