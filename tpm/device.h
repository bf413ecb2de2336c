/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connection to one TPM, from the TCTI to the ESAPI context. Opened by the first act, opened
 * anew when it was lost. Nobody outside this folder includes it.
 */
#pragma once

#include <tss2/tss2_esys.h>
#include <tss2/tss2_tctildr.h>

#include "kms/seal/sealer.h"
#include "tpm/rc.h"

struct sealer {
	struct sealer_params params;
	TSS2_TCTI_CONTEXT *tcti;
	ESYS_CONTEXT *esys; /* NULL: not open */
	uint32_t code;      /* of the last failure */
	enum rc_retry retry;
};

/* Connects and starts the TPM up unless it has been; does nothing while open. */
MUST_USE kms_err device_open(struct sealer *s);
/* Overwrites what the last command left in the library's buffers, then closes. */
void device_close(struct sealer *s);
