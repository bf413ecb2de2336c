/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policy of the sealed object: the PCRs of the mask as they are now (if the mask has any), and
 * the auth value. Its digest is computed here from the PCRs' values and compared with the
 * TPM's: a library that left PCRs out without a word has been seen (CVE-2020-24455).
 */
#pragma once

#include "tpm/session.h"

/* Reads the PCRs and computes the digest in software. KMS_E_TPM_UNSUITABLE without a SHA-256 bank. */
MUST_USE kms_err pcr_policy_digest(struct sealer *s, uint32_t mask, TPM2B_DIGEST *out);
/* Says the policy's commands in a policy or trial session; *out_digest is what the TPM makes of them. */
MUST_USE kms_err pcr_policy_run(
    struct sealer *s, const struct handle *session, uint32_t mask, TPM2B_DIGEST *out_digest);
/* The digest in software, and the TPM agrees. KMS_E_TPM_PCR if it doesn't. */
MUST_USE kms_err pcr_policy_agreed(struct sealer *s, uint32_t mask, TPM2B_DIGEST *out);
bool pcr_same_digest(const TPM2B_DIGEST *a, const TPM2B_DIGEST *b);
