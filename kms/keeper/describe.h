/* SPDX-License-Identifier: Apache-2.0 */
/* Keys as the protocol shows them. Metadata only; everything lives in the request's arena. */
#pragma once

#include "kms/base/base.h"
#include "kms/keeper/keeper.h"
#include "proto/message.h"

/* with_versions: list them too. KMS_E_NO_MEMORY. Strings borrow the key. */
MUST_USE kms_err describe_key(
    struct keeper *k, const struct key *key, bool with_versions, struct key_info *out);
/* Kind, name and date of a slot's row, which it borrows; the error of one that can't be read. */
void describe_slot_row(struct bytes row, struct slot_info *out);
/* Every slot as it stands in the store, and how its last try ended. KMS_E_NO_MEMORY. */
MUST_USE kms_err describe_slots(struct keeper *k, const struct slot_info **out, size_t *out_n);
