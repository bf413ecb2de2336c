/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealing a root with one piece of hardware: kms-seal seals it, then a process that has seen
 * nothing of it opens it again. What comes out is the slot's row, proved.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/keeper/keeper.h"
#include "kms/seal/call.h"

/* What comes out; borrowed for the call. */
struct sealed {
	struct bytes row;
	uint64_t counter; /* of the slot's hardware; 0: it has none */
};

/* Called once, from the loop, unless the work at hand has ended meanwhile. With an error s is NULL. */
typedef void sealing_done(struct keeper *k, kms_err e, const struct sealed *s);

/*
 * Starts it for the work at hand (work.h). root: copied. before: the row that the slot has now, whose
 * id, date, counter and signing key it keeps; empty: a new slot of the section's name.
 * KMS_E_NO_MEMORY, KMS_E_TOO_MANY, slot_decode's errors; then done is not called.
 */
MUST_USE kms_err sealing_start(struct keeper *k, const struct config_slot *section,
    const struct secret *root, struct bytes before, sealing_done *done);
