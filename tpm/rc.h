/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the TSS's codes mean in our words: one table for all of tpm/, and the only place where a
 * code is looked at. Nobody outside this folder includes it.
 */
#pragma once

#include <tss2/tss2_common.h>

#include "kms/seal/sealer.h"

/* What was being done: the same code means different things. */
enum rc_step {
	RC_ANY = 0,
	RC_OWNER, /* asking the owner hierarchy, which must have no password */
	RC_LOAD,  /* loading a key of the blob under the storage key, whose Name was right */
	RC_NV     /* the counter's index */
};

/* Whether trying once more may help. Never for an auth value. */
enum rc_retry {
	RC_GIVE_UP = 0,
	RC_AGAIN, /* with fresh sessions and objects */
	RC_REOPEN /* with a new connection */
};

struct rc_meaning {
	kms_err err;
	enum rc_retry retry;
};

/* Pure. */
struct rc_meaning rc_translate(enum rc_step step, TSS2_RC rc);
/* KMS_OK for success; else the translation, noted in s with the code. */
MUST_USE kms_err rc_check(struct sealer *s, enum rc_step step, TSS2_RC rc);
/* True if the code says only that no such handle exists. */
bool rc_is_no_handle(TSS2_RC rc);
