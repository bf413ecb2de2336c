/* SPDX-License-Identifier: Apache-2.0 */
/* How a master key looks, in a list and alone. */
#pragma once

#include "kms/ctl/out.h"

/* A row of `key list`. */
void keyview_put_row(struct out *row, const struct kms_key *key);
/* All of it; version 0: with every version, else with this one alone. */
void keyview_put(struct out *o, const struct kms_key *key, uint32_t version);
/* NULL if there is none. */
const struct kms_key_version *keyview_find(const struct kms_key *key, uint32_t version);
