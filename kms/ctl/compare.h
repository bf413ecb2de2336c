/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a restored kmsd has what the live one has: every key version proves itself to both with
 * the same challenge, and some keys that the live one issues now are unwrapped by the other. No
 * key leaves either of them.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/ctl/ctl.h"
#include "kms/ctl/throwaway.h"

enum {
	COMPARE_SAMPLES = 100
};

struct comparison {
	uint32_t checked;   /* versions that both were asked for */
	uint32_t failed;    /* of these, and of the samples */
	uint32_t newer;     /* versions made after the backup */
	uint32_t destroyed; /* versions that are gone in the live one */
	uint32_t samples;   /* issued here, unwrapped there */
};

/*
 * Each difference becomes a row of o's table. made_us: when the backup was made. What either
 * kmsd fails with; a difference is no failure. KMS_E_CANCELLED.
 */
MUST_USE kms_err compare_all(struct ctl *c, const struct throwaway *t, uint64_t made_us,
    struct out *o, struct comparison *out);
