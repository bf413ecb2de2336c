/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a checkpoint says (C2SP tlog-checkpoint): whose log, how many records, the tree's root. Three
 * lines, which a signed note carries. Pure.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/base/buf.h"
#include "kms/base/types.h"
#include "kms/crypto/hash.h"

enum {
	CHECKPOINT_ORIGIN_LEN = 8 + 2 * INSTANCE_ID_LEN /* "kms/log/" and the instance's id */
};

struct checkpoint {
	char origin[CHECKPOINT_ORIGIN_LEN + 1]; /* also the name of the keys that sign it */
	uint64_t size;
	uint8_t root[SHA256_LEN];
};

/* The origin of an instance's log. */
void checkpoint_origin(
    const uint8_t instance[static INSTANCE_ID_LEN], char out[static CHECKPOINT_ORIGIN_LEN + 1]);
/* Appends the text. KMS_E_NO_MEMORY. */
MUST_USE kms_err checkpoint_encode(const struct checkpoint *c, struct buf *out);
/* The one text of a checkpoint; anything else is KMS_E_BAD_REQUEST. KMS_E_NO_MEMORY. */
MUST_USE kms_err checkpoint_decode(struct bytes text, struct checkpoint *out);
