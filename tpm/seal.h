/* SPDX-License-Identifier: Apache-2.0 */
/* The sealed object: 32 bytes of root and the instance they belong to, in a TPM's KEYEDHASH. */
#pragma once

#include "kms/base/secret.h"
#include "tpm/blob.h"
#include "tpm/session.h"

/* Makes it under the storage key, with a policy of this digest. */
MUST_USE kms_err seal_object(struct sealer *s, const struct handle *srk, const struct secret *root,
    const TPM2B_DIGEST *policy, struct blob_object *out);
/*
 * Opens it. KMS_E_TPM_FOREIGN, _PCR, _AUTH; KMS_E_INTEGRITY for a blob that was changed or belongs
 * to another instance. The auth value leaves us only if the PCRs are right.
 */
MUST_USE kms_err seal_open(struct sealer *s, const struct blob *b, struct secret **out_root);
