/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What PKCS#11's and libp11's codes mean in our words: one table for all of pkcs11/, and the only
 * place where a code is looked at. Nobody outside this folder includes it.
 */
#pragma once

#include <p11-kit/pkcs11.h>

#include "kms/seal/sealer.h"

/* What was being done: the same code means different things. */
enum rv_step {
	RV_ANY = 0,
	RV_LOAD,   /* loading and starting the module */
	RV_LOGIN,  /* showing the PIN: never done again after a failure */
	RV_MAKE,   /* making a key */
	RV_DECRYPT /* opening what may have been changed */
};

struct rv_meaning {
	kms_err err;
	bool retry; /* opening everything anew may help */
};

/* Pure. */
struct rv_meaning rv_translate(enum rv_step step, CK_RV rv);
/* KMS_OK for CKR_OK; else the translation, noted in s with the code. */
MUST_USE kms_err rv_check(struct sealer *s, enum rv_step step, CK_RV rv);
/* Likewise for what libp11 returned: its code is taken out of OpenSSL's queue, which is emptied. */
MUST_USE kms_err rv_check_libp11(struct sealer *s, enum rv_step step, int rc);
/* True if a template was refused that might do without its last attribute. */
bool rv_is_template(CK_RV rv);
