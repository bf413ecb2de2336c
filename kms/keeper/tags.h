/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the log says of a context: HMACs under the audit key, so that an auditor with the key can
 * confirm a guess and a thief can't. The digest covers the whole context; the tag covers the
 * pair that names the record alone, so that all accesses to one record carry the same tag.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/keeper/keeper.h"
#include "kms/keeper/request.h"

/* Fills digest and tag of a record; zeros for an empty context. canon: the canonical bytes. */
MUST_USE kms_err tags_fill(
    struct keeper *k, struct pairs pairs, struct bytes canon, struct record *r);
/* The tag alone, for one item of a batch. */
MUST_USE kms_err tags_item(
    struct keeper *k, struct pairs pairs, struct bytes canon, uint8_t out[static RECORD_TAG_LEN]);
