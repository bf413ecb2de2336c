/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A keyed hash of a set of rows that follows each change of a row without reading the others:
 * MSet-Add-Hash, the sum mod 2^256 of one HMAC-SHA-256 for each row. For rows.c alone.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/base/secret.h"
#include "kms/store/rows.h"

struct set_hash;

/* The hash of no rows, keyed from the store key. KMS_E_NO_MEMORY, KMS_E_CRYPTO. */
MUST_USE kms_err set_hash_new(const struct secret *store_key, struct set_hash **out);
/* Wipes and frees. Takes NULL. */
void set_hash_free(struct set_hash **s);
/* No rows again; keeps the keys. */
void set_hash_clear(struct set_hash *s);
/* Counts a row in, in place of the one of the same key. On a failure the set is as before. */
MUST_USE kms_err set_hash_put(
    struct set_hash *s, enum store_table t, struct bytes key, struct bytes value);
/* Counts a row out; one that is not there is fine. On a failure the set is as before. */
MUST_USE kms_err set_hash_delete(struct set_hash *s, enum store_table t, struct bytes key);
/* How many rows are counted. */
size_t set_hash_rows(const struct set_hash *s);
/* The keyed sum: not for anybody's eyes. Borrowed until the next change. */
const uint8_t *set_hash_sum(const struct set_hash *s);
/* What others may see: SHA-256 of the sum. */
MUST_USE kms_err set_hash_digest(const struct set_hash *s, uint8_t out[static SET_HASH_LEN]);
