/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handles that are given back on every path, and sessions. Every session that carries anything is
 * salted to the storage key and encrypts parameters both ways, so that a bus is told nothing.
 */
#pragma once

#include "tpm/device.h"

struct handle {
	ESYS_CONTEXT *esys;
	ESYS_TR tr;
	bool stays; /* an index or a persistent key: forgotten here, not flushed there */
};

#define HANDLE_NONE                                                                                \
	{                                                                                          \
		.tr = ESYS_TR_NONE                                                                 \
	}

/* Flushes it from the chip, or forgets it. Takes HANDLE_NONE. */
void handle_done(struct handle *h);
/* Moves it out and leaves HANDLE_NONE. */
struct handle handle_take(struct handle *h);

/* A salted session with encryption; type is TPM2_SE_HMAC or TPM2_SE_POLICY. */
MUST_USE kms_err session_start(
    struct sealer *s, const struct handle *srk, TPM2_SE type, struct handle *out);
/* A session that only computes a policy's digest. */
MUST_USE kms_err session_trial(struct sealer *s, struct handle *out);

/* The slot's auth value, as the TPM takes it. On the stack: `AUTO(auth_wipe) TPM2B_AUTH a`. */
MUST_USE kms_err auth_load(const struct sealer *s, TPM2B_AUTH *out);
void auth_wipe(TPM2B_AUTH *a);
