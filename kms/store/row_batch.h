/* SPDX-License-Identifier: Apache-2.0 */
/* How rows.c fills a struct row_batch (rows.h), whose writes point into its own bytes. */
#pragma once

#include "kms/base/base.h"
#include "kms/store/rows.h"

/*
 * Adds a write of value_len bytes; the caller fills *out_value at once. KMS_E_NO_MEMORY, and
 * KMS_E_INTERNAL past the store's limits; then the batch is as before.
 */
MUST_USE kms_err row_batch_add(struct row_batch *b, enum store_table t, struct bytes key,
    size_t value_len, uint8_t **out_value);
/* Adds a deletion. Fails as row_batch_add. */
MUST_USE kms_err row_batch_add_delete(struct row_batch *b, enum store_table t, struct bytes key);
/* Takes back what was added last. */
void row_batch_drop_last(struct row_batch *b);
