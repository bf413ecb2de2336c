/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands that look at kmsd share. */
#pragma once

#include "kms/ctl/out.h"

/* The error of this name; KMS_OK for "". */
kms_err look_why(const char *name);
bool look_is_unsealed(const struct kms_status *s);
/* Fills a table of slots. */
void look_put_slot(struct out *row, const struct kms_slot *slot);
void look_put_slots(struct out *o, const struct kms_slot *slots, size_t n);
