/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands that look at kmsd share. */
#pragma once

#include "kms/ctl/ctl.h"
#include "kms/ctl/out.h"

/* The error of this name; KMS_OK for "". */
kms_err look_why(const char *name);
bool look_is_unsealed(const struct kms_status *s);
/* Connects if need be and asks. */
MUST_USE kms_err look_status(struct ctl *c, struct kms_result **out);
/* Fills a table of slots. */
void look_put_slot(struct out *row, const struct kms_slot *slot);
void look_put_slots(struct out *o, const struct kms_slot *slots, size_t n);
/* Prints the slots that came as the answer. */
MUST_USE kms_err look_print_slots(struct ctl *c, const struct kms_result *r);
/* In JSON only: an object "ceremony". */
void look_put_ceremony(struct out *o, const struct kms_ceremony *ceremony);
/* In JSON only: "state" and "sealed". */
void look_put_state(struct out *o, const char *state);
MUST_USE kms_err look_print_state(struct ctl *c, const char *state);
