/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The states of a key version and the table of allowed moves (SP 800-57 Part 1 Rev. 5, section 7).
 * Pure. Rotation is two moves: the active version is deactivated, a new one activated.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/base/types.h"

/* True if a version may go from one state to the other. No state leads to itself. */
bool lifecycle_may(enum key_state from, enum key_state to);
/* True if a version in this state may wrap (issue, wrap, mac). Only the active one. */
bool lifecycle_wraps(enum key_state s);
/* True if it may unwrap: active, deactivated, compromised (flagged). A suspended one may not. */
bool lifecycle_unwraps(enum key_state s);
