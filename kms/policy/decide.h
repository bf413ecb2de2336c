/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a policy says to one question: one pure function of the rules and of what is asked. It
 * reads no clock, no file and no name service. Default is deny. kmsctl asks it off-line; kmsd does
 * not yet: there policy.h decides.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/base/types.h"
#include "kms/policy/rules.h"

/* Borrows everything. Empty bytes: not given, or it has none. */
struct question {
	struct bytes who; /* "unix:recorder" */
	enum op op;
	struct bytes key;       /* its name */
	struct bytes key_class; /* of that key */
	struct bytes subject;   /* the person behind the service */
	struct bytes purpose;
	uint64_t time_us; /* wall clock */
};

/* In the order in which they are told: the later, the nearer to a yes. */
enum lack {
	LACK_NOTHING = 0, /* it is allowed */
	LACK_GRANT,       /* the policy knows nothing of this identity */
	LACK_RIGHT,
	LACK_KEY,
	LACK_CLASS,
	LACK_HOURS,
	LACK_SUBJECT,
	LACK_PURPOSE,
	LACK_COUNT
};

struct decision {
	enum lack lack;
	const struct rules_grant *grant; /* of the identity; NULL: it has none */
	const struct rules_role *role; /* the first that allows, or came nearest; NULL: no grant */
};

struct decision rules_decide(const struct rules *r, const struct question *q);
/* "hours"…; "" for LACK_NOTHING. Static. */
const char *lack_word(enum lack lack);
/* The same as a sentence without its end: "no role of theirs has this operation". Static. */
const char *lack_text(enum lack lack);
/* What a role may name: what is asked for, neither the keeper's own acts nor what anybody may. */
bool rules_grantable(enum op op);
/* True for what is done with one key, which a role's keys and classes then limit. */
bool rules_about_key(enum op op);
