/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The counter that tells an old copy of the store from the newest: an NV index that only goes up,
 * guarded by the slot's auth value. One index for each slot, the first free one of a range.
 */
#pragma once

#include "tpm/blob.h"
#include "tpm/session.h"

/* Defines an index and moves it once, so that it has a value. Nothing remains on failure. */
MUST_USE kms_err counter_make(
    struct sealer *s, const struct handle *srk, uint32_t *out_index, uint64_t *out_value);
/* Takes an index back whose slot did not come to be; best effort. */
void counter_unmake(struct sealer *s, const struct blob *b);
/*
 * Reads it; with `move`, moves it first as sealer.h says. KMS_E_COUNTER_GONE if the index is not
 * there or not as we made it. move->target is filled in, so that a second try knows where to stop.
 */
MUST_USE kms_err counter_use(
    struct sealer *s, const struct blob *b, struct sealer_move *move, uint64_t *out_value);
