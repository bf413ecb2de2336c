/* SPDX-License-Identifier: Apache-2.0 */
/* From the store's rows to the keys in memory, at unseal. */
#pragma once

#include "kms/base/base.h"
#include "kms/keeper/keeper.h"

/*
 * Fills k->ring and k->replies from every row that k->rows opens, and gives the epoch.
 * KMS_E_STORE_CORRUPT, KMS_E_STORE_NEWER, KMS_E_ROW_ROLLBACK, KMS_E_KEYS_FULL, KMS_E_NO_MEMORY;
 * then ring and replies hold a part and must be thrown away.
 */
MUST_USE kms_err load_keys(struct keeper *k, struct store *s, struct epoch *out);
