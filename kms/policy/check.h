/* SPDX-License-Identifier: Apache-2.0 */
/* What a policy says that can't be meant, beyond its grammar. */
#pragma once

#include "kms/base/base.h"
#include "kms/policy/rules.h"

enum {
	FINDING_MAX = 320, /* bytes of one sentence and its end */
	FINDINGS_MAX = 256 /* more are not told */
};

struct finding {
	bool error;               /* else a warning */
	uint32_t line;            /* of the text */
	char name[RULES_WHO_MAX]; /* what stands in that line, to find the column */
	char text[FINDING_MAX];
};

struct findings {
	struct finding *p;
	size_t n, errors;
};

/* Zeroed, or done before. */
void findings_done(struct findings *f);
/* Appends; over FINDINGS_MAX only counts. KMS_E_NO_MEMORY. */
MUST_USE kms_err findings_add(struct findings *f, const struct finding *what);
/* Appends what it finds. KMS_E_NO_MEMORY. */
MUST_USE kms_err policy_check(const struct rules *r, struct findings *out);
