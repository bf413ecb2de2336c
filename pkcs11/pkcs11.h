/* SPDX-License-Identifier: Apache-2.0 */
/* The sealer for a PKCS#11 token, through libp11 and the module's own list. The folder's one symbol. */
#pragma once

#include "kms/seal/sealer.h"

extern const struct sealer_kind pkcs11_sealer;
