/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vendor's module and the one token in it that we use. libp11 owns loading, slots and login;
 * the module's function list, from the same instance of the library, does what libp11 can't.
 * Nobody outside this folder includes it.
 */
#pragma once

#include <libp11.h>
#include <p11-kit/pkcs11.h>

#include "kms/seal/sealer.h"
#include "pkcs11/rv.h"

struct sealer {
	struct sealer_params params;
	PKCS11_CTX *ctx; /* NULL: not open */
	bool loaded;
	PKCS11_SLOT
	*slots; /* one list, made once: a second one would close the first one's sessions */
	unsigned slot_n;
	PKCS11_SLOT *slot; /* the token's, one of the list */
	void *library;
	CK_FUNCTION_LIST *f;
	CK_SESSION_HANDLE session; /* of our own; CK_INVALID_HANDLE: none */
	CK_RV code;                /* of the last failure */
	bool retry;                /* opening everything anew may help */
};

/*
 * Loads the module and finds the token. KMS_E_TOKEN_MODULE, _MISSING, _AMBIGUOUS. The PIN isn't
 * needed yet.
 */
MUST_USE kms_err module_open(struct sealer *s);
/* Closes the session, forgets the PIN, unloads. Takes one that is not, or half, open. */
void module_close(struct sealer *s);
/* Label and serial number of the token. Borrowed until module_close. */
struct bytes module_label(const struct sealer *s);
struct bytes module_serial(const struct sealer *s);
