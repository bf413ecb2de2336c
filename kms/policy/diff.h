/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What another policy would change in rights: who could do what more, or less. Errs on the side of
 * "more": what can't be shown to be covered counts as gained and as lost.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/policy/rules.h"

struct policy_change {
	bool gains;              /* a right more, or a rule less; else the other way round */
	char who[RULES_WHO_MAX]; /* "unix:recorder"; "class recording" */
	const char *role;        /* NULL for a class: borrowed from the rules that have it */
	uint64_t ops[2];         /* bits of operations, of a role */
	const char *rule;        /* of a class: "purposes", "batch"…; else NULL */
};

struct policy_diff {
	struct policy_change *p;
	size_t n, cap;
};

/* Zeroed, or done before. */
void policy_diff_done(struct policy_diff *d);
/* Both are borrowed by what comes out. KMS_E_NO_MEMORY. */
MUST_USE kms_err policy_diff(
    const struct rules *old, const struct rules *fresh, struct policy_diff *out);
/* Whether everything that role a of `ra` lets through, role b of `rb` does too; operations aside. */
bool policy_covers(const struct rules *rb, const struct rules_role *b, const struct rules *ra,
    const struct rules_role *a);
