/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text of a policy, in the syntax of libconfuse, as rules. For kmsctl and tests alone: kmsd
 * reads no policy. docs/policy.md is the reference. One thread: libconfuse's scanner
 * has its state in globals.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/policy/rules.h"

enum {
	PARSE_ERROR_MAX = 240
};

/* Lines and columns count from 1. */
struct parse_error {
	uint32_t line, column;
	char text[PARSE_ERROR_MAX];
};

/*
 * Changes TZ of this process for a moment, to ask for the zone. KMS_E_BAD_POLICY with *out_error
 * filled; KMS_E_NO_MEMORY.
 */
MUST_USE kms_err rules_parse(struct bytes text, struct rules **out, struct parse_error *out_error);
/* Where `word` stands in this line, 1 if it does not. */
uint32_t parse_column(struct bytes text, uint32_t line, const char *word);
