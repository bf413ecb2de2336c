/* SPDX-License-Identifier: Apache-2.0 */
/* Children of the storage key: made and loaded the same way, whatever they are. */
#pragma once

#include "tpm/blob.h"
#include "tpm/session.h"

/* Makes one; what is secret of it travels encrypted. */
MUST_USE kms_err object_create(struct sealer *s, const struct handle *srk,
    const TPM2B_SENSITIVE_CREATE *sensitive, const TPM2B_PUBLIC *public, struct blob_object *out);
/* Loads one. KMS_E_INTEGRITY if it was changed. */
MUST_USE kms_err object_load(
    struct sealer *s, const struct handle *srk, const struct blob_object *o, struct handle *out);
void object_sensitive_wipe(TPM2B_SENSITIVE_CREATE *x);
