/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Destructions that a crash cut off between the store and the log: the log has their first record
 * and the store says that they were done, but the last record is missing, by which a restore would
 * know of them.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/keeper/keeper.h"

/*
 * With the keys in memory, before anybody is served: writes what is missing. from: records that the
 * store knew. KMS_E_AUDIT_CORRUPT, KMS_E_AUDIT_IO, KMS_E_NO_MEMORY.
 */
MUST_USE kms_err unfinished_record(struct keeper *k, uint64_t from);
