/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The blob of a TPM slot: what must be known to open it again, and nothing secret. Pure.
 *   version 1 | nine times: tag 1, value var; in the order of the fields below
 */
#pragma once

#include <tss2/tss2_tpm2_types.h>

#include "kms/base/base.h"
#include "kms/base/buf.h"
#include "kms/seal/sealer.h"

enum {
	BLOB_VERSION = 1,
	PCR_COUNT = 24,                   /* of a PC's TPM */
	COUNTER_INDEX_FIRST = 0x01500010, /* in the owner's range of NV indices */
	COUNTER_INDEX_LAST = 0x0150001f
};

/* The public and the private half of what only its own chip can load. */
struct blob_object {
	TPM2B_PUBLIC public;
	TPM2B_PRIVATE private;
};

struct blob {
	uint8_t srk_template;
	TPM2B_NAME srk_name;
	uint32_t pcr_mask;   /* bit i = PCR i; 0: no PCRs */
	TPM2B_DIGEST policy; /* of the sealed object */
	struct blob_object sealed;
	struct blob_object signing;
	uint32_t counter_index;
};

/* Appends. KMS_E_INTERNAL if it would be over SEALER_BLOB_MAX. */
MUST_USE kms_err blob_encode(const struct blob *b, struct buf *out);
/* Strict. KMS_E_INTEGRITY; KMS_E_NEWER_FORMAT for a version or a template that we don't know. */
MUST_USE kms_err blob_decode(struct bytes in, struct blob *out);
