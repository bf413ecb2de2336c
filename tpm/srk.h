/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The storage key: ECC P-256 under the owner hierarchy, the same from the same seed every time.
 * Its Name stands in the blob and is compared before a session is salted to it: an
 * interposer on the bus that offers a key of its own would read everything else.
 */
#pragma once

#include "tpm/session.h"

enum {
	SRK_TEMPLATE_P256 = 1, /* in the blob; a P-384 would be 2 */
	SRK_NAME_LEN = 34      /* algorithm and SHA-256 */
};

/* Makes the key, and tells its Name for a new blob. */
MUST_USE kms_err srk_create(struct sealer *s, struct handle *out, TPM2B_NAME *out_name);
/* The key of this Name: the persistent one if it is that, else made anew. KMS_E_TPM_FOREIGN. */
MUST_USE kms_err srk_open(struct sealer *s, const TPM2B_NAME *pinned, struct handle *out);
