/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of moves. It is data, so that a reader can lay it beside the standard: SP 800-57
 * Part 1 Rev. 5, sections 7.1 (pre-activation) to 7.6 (destroyed).
 */
#include "kms/keys/lifecycle.h"

/*
 * Nothing leaves a compromise but destruction (7.5), nothing leaves destruction (7.6), nothing
 * becomes active again but what was suspended (7.3). An active version may be destroyed at once:
 * 7.2 has that move for symmetric master keys that are replaced or at the end of their use.
 */
/* clang-format off */
static const bool moves[STATE_COUNT][STATE_COUNT] = {
	[STATE_PRE_ACTIVE] = {
		[STATE_ACTIVE] = true, [STATE_COMPROMISED] = true, [STATE_DESTROYED] = true,
	},
	[STATE_ACTIVE] = {
		[STATE_SUSPENDED] = true, [STATE_DEACTIVATED] = true,
		[STATE_COMPROMISED] = true, [STATE_DESTROYED] = true,
	},
	[STATE_SUSPENDED] = {
		[STATE_ACTIVE] = true, [STATE_DEACTIVATED] = true,
		[STATE_COMPROMISED] = true, [STATE_DESTROYED] = true,
	},
	[STATE_DEACTIVATED] = {
		[STATE_COMPROMISED] = true, [STATE_DESTROYED] = true,
	},
	[STATE_COMPROMISED] = {
		[STATE_DESTROYED] = true,
	},
};

/* What may be done in a state. */
static const struct {
	bool wraps, unwraps;
} uses[STATE_COUNT] = {
	[STATE_ACTIVE]      = { .wraps = true, .unwraps = true },
	[STATE_DEACTIVATED] = { .unwraps = true }, /* "process only" (7.4) */
	[STATE_COMPROMISED] = { .unwraps = true }, /* under controlled circumstances (7.5) */
};
/* clang-format on */

static bool known(enum key_state s)
{
	return (unsigned)s < STATE_COUNT;
}

bool lifecycle_may(enum key_state from, enum key_state to)
{
	return known(from) && known(to) && moves[from][to];
}

bool lifecycle_wraps(enum key_state s)
{
	return known(s) && uses[s].wraps;
}

bool lifecycle_unwraps(enum key_state s)
{
	return known(s) && uses[s].unwraps;
}
