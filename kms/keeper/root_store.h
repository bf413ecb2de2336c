/* SPDX-License-Identifier: Apache-2.0 */
/* What of the store is readable while sealed: the instance, its owner, the slots, the keyring. */
#pragma once

#include "kms/base/base.h"
#include "kms/base/buf.h"
#include "kms/keeper/config.h"
#include "kms/store/store.h"

enum {
	ROOT_SLOTS_MAX = 8
};

struct root_rows {
	uint8_t instance[INSTANCE_ID_LEN];
	bool owner_known;
	uint32_t owner_uid;               /* who initialised */
	struct buf slots[ROOT_SLOTS_MAX]; /* slots.h */
	size_t slot_n;
	struct buf keyring; /* keyring.h; empty: not initialised */
};
void root_rows_done(struct root_rows *r);

/*
 * Opens <folder>/store.db and reads these rows. An empty store gets its instance id. Errors as
 * sqlite_store_open's; KMS_E_STORE_CORRUPT for rows that can't be.
 */
MUST_USE kms_err root_store_open(
    const struct config *c, struct store **out_store, struct root_rows *out);
