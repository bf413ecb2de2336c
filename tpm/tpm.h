/* SPDX-License-Identifier: Apache-2.0 */
/* The sealer for a TPM 2.0, through tpm2-tss' ESAPI. The folder's one symbol. */
#pragma once

#include "kms/seal/sealer.h"

extern const struct sealer_kind tpm_sealer;
