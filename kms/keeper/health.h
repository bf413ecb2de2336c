/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether the hardware of each slot would still answer, asked now and then while the root is open:
 * who learns only at the next start that the spare token died has no spare.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/keeper/keeper.h"

struct health;

MUST_USE kms_err health_new(struct keeper *k, struct health **out);
void health_free(struct health **h);
