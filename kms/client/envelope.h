/* SPDX-License-Identifier: Apache-2.0 */
/* What the file that asks kmsd needs to see of an open envelope. */
#pragma once

#include "kms/client/header.h"

/* Borrowed from e. */
struct header *envelope_header(struct kms_envelope *e);
