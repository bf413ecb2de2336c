/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of codes. A TPM's code of format one (bit 7) carries the number of a handle, a session
 * or a parameter, which is masked off: TPM 2.0 Part 2, 6.6. The first row that fits counts.
 */
#include "tpm/rc.h"

#include <tss2/tss2_tpm2_types.h>

#include "tpm/device.h"

enum {
	FORMAT_ONE_MASK = 0xbf, /* the bit of the format and the error, no numbers, no P bit */
	FORMAT_ZERO_MASK = 0xfff,
	REFERENCE_FIRST = TPM2_RC_REFERENCE_H0,
	REFERENCE_LAST = TPM2_RC_REFERENCE_S6
};

struct row {
	enum rc_step step; /* RC_ANY: whatever was done */
	uint32_t code;     /* masked */
	struct rc_meaning meaning;
};

/* clang-format off */
static const struct row rows[] = {
	/* Auth values. */
	{ RC_OWNER, TPM2_RC_BAD_AUTH,         { KMS_E_TPM_OWNER, RC_GIVE_UP } },
	{ RC_OWNER, TPM2_RC_AUTH_FAIL,        { KMS_E_TPM_OWNER, RC_GIVE_UP } },
	{ RC_OWNER, TPM2_RC_HIERARCHY,        { KMS_E_TPM_UNSUITABLE, RC_GIVE_UP } },
	{ RC_ANY,   TPM2_RC_BAD_AUTH,         { KMS_E_TPM_AUTH, RC_GIVE_UP } },
	{ RC_ANY,   TPM2_RC_AUTH_FAIL,        { KMS_E_TPM_AUTH, RC_GIVE_UP } },
	{ RC_ANY,   TPM2_RC_LOCKOUT,          { KMS_E_TPM_LOCKOUT, RC_GIVE_UP } },
	/* PCRs. */
	{ RC_ANY,   TPM2_RC_POLICY_FAIL,      { KMS_E_TPM_PCR, RC_GIVE_UP } },
	{ RC_ANY,   TPM2_RC_PCR_CHANGED,      { KMS_E_TPM_PCR, RC_AGAIN } },
	/* A blob that was changed: its parent is the right one, or we would not have come so far. */
	{ RC_LOAD,  TPM2_RC_INTEGRITY,        { KMS_E_INTEGRITY, RC_GIVE_UP } },
	{ RC_LOAD,  TPM2_RC_SIZE,             { KMS_E_INTEGRITY, RC_GIVE_UP } },
	{ RC_LOAD,  TPM2_RC_VALUE,            { KMS_E_INTEGRITY, RC_GIVE_UP } },
	{ RC_LOAD,  TPM2_RC_TYPE,             { KMS_E_INTEGRITY, RC_GIVE_UP } },
	{ RC_LOAD,  TPM2_RC_ATTRIBUTES,       { KMS_E_INTEGRITY, RC_GIVE_UP } },
	{ RC_LOAD,  TPM2_RC_RESERVED_BITS,    { KMS_E_INTEGRITY, RC_GIVE_UP } },
	{ RC_LOAD,  TPM2_RC_HASH,             { KMS_E_INTEGRITY, RC_GIVE_UP } },
	{ RC_LOAD,  TPM2_RC_KDF,              { KMS_E_INTEGRITY, RC_GIVE_UP } },
	{ RC_LOAD,  TPM2_RC_SCHEME,           { KMS_E_INTEGRITY, RC_GIVE_UP } },
	{ RC_LOAD,  TPM2_RC_SYMMETRIC,        { KMS_E_INTEGRITY, RC_GIVE_UP } },
	{ RC_LOAD,  TPM2_RC_ASYMMETRIC,       { KMS_E_INTEGRITY, RC_GIVE_UP } },
	{ RC_LOAD,  TPM2_RC_CURVE,            { KMS_E_INTEGRITY, RC_GIVE_UP } },
	{ RC_LOAD,  TPM2_RC_ECC_POINT,        { KMS_E_INTEGRITY, RC_GIVE_UP } },
	{ RC_LOAD,  TPM2_RC_KEY,              { KMS_E_INTEGRITY, RC_GIVE_UP } },
	{ RC_LOAD,  TPM2_RC_BINDING,          { KMS_E_INTEGRITY, RC_GIVE_UP } },
	{ RC_LOAD,  TPM2_RC_INSUFFICIENT,     { KMS_E_INTEGRITY, RC_GIVE_UP } },
	{ RC_LOAD,  TPM2_RC_SENSITIVE,        { KMS_E_INTEGRITY, RC_GIVE_UP } },
	{ RC_ANY,   TPM2_RC_INTEGRITY,        { KMS_E_TPM_FOREIGN, RC_GIVE_UP } },
	/* The counter. Its index was made, written and recorded by us: anything else is tampering. */
	{ RC_NV,    TPM2_RC_HANDLE,           { KMS_E_COUNTER_GONE, RC_GIVE_UP } },
	{ RC_NV,    TPM2_RC_NV_UNINITIALIZED, { KMS_E_COUNTER_GONE, RC_GIVE_UP } },
	{ RC_NV,    TPM2_RC_NV_AUTHORIZATION, { KMS_E_COUNTER_GONE, RC_GIVE_UP } },
	{ RC_NV,    TPM2_RC_NV_LOCKED,        { KMS_E_COUNTER_GONE, RC_GIVE_UP } },
	{ RC_NV,    TPM2_RC_NV_RANGE,         { KMS_E_COUNTER_GONE, RC_GIVE_UP } },
	{ RC_NV,    TPM2_RC_ATTRIBUTES,       { KMS_E_COUNTER_GONE, RC_GIVE_UP } },
	{ RC_ANY,   TPM2_RC_NV_DEFINED,       { KMS_E_EXISTS, RC_GIVE_UP } },
	{ RC_ANY,   TPM2_RC_NV_SPACE,         { KMS_E_TPM_UNSUITABLE, RC_GIVE_UP } },
	{ RC_ANY,   TPM2_RC_NV_SIZE,          { KMS_E_TPM_UNSUITABLE, RC_GIVE_UP } },
	/* No room, or later. ESAPI has sent RETRY, TESTING and YIELDED again five times already. */
	{ RC_ANY,   TPM2_RC_OBJECT_MEMORY,    { KMS_E_TPM_BUSY, RC_GIVE_UP } },
	{ RC_ANY,   TPM2_RC_SESSION_MEMORY,   { KMS_E_TPM_BUSY, RC_GIVE_UP } },
	{ RC_ANY,   TPM2_RC_MEMORY,           { KMS_E_TPM_BUSY, RC_GIVE_UP } },
	{ RC_ANY,   TPM2_RC_OBJECT_HANDLES,   { KMS_E_TPM_BUSY, RC_GIVE_UP } },
	{ RC_ANY,   TPM2_RC_SESSION_HANDLES,  { KMS_E_TPM_BUSY, RC_GIVE_UP } },
	{ RC_ANY,   TPM2_RC_CONTEXT_GAP,      { KMS_E_TPM_BUSY, RC_GIVE_UP } },
	{ RC_ANY,   TPM2_RC_RETRY,            { KMS_E_TPM_BUSY, RC_GIVE_UP } },
	{ RC_ANY,   TPM2_RC_TESTING,          { KMS_E_TPM_BUSY, RC_GIVE_UP } },
	{ RC_ANY,   TPM2_RC_YIELDED,          { KMS_E_TPM_BUSY, RC_GIVE_UP } },
	{ RC_ANY,   TPM2_RC_CANCELED,         { KMS_E_TPM_BUSY, RC_GIVE_UP } },
	{ RC_ANY,   TPM2_RC_NV_RATE,          { KMS_E_TPM_BUSY, RC_GIVE_UP } },
	{ RC_ANY,   TPM2_RC_NV_UNAVAILABLE,   { KMS_E_TPM_BUSY, RC_GIVE_UP } },
	/* What the chip can't do. */
	{ RC_ANY,   TPM2_RC_COMMAND_CODE,     { KMS_E_TPM_UNSUITABLE, RC_GIVE_UP } },
	{ RC_ANY,   TPM2_RC_DISABLED,         { KMS_E_TPM_UNSUITABLE, RC_GIVE_UP } },
	{ RC_ANY,   TPM2_RC_CURVE,            { KMS_E_TPM_UNSUITABLE, RC_GIVE_UP } },
	{ RC_ANY,   TPM2_RC_SYMMETRIC,        { KMS_E_TPM_UNSUITABLE, RC_GIVE_UP } },
	{ RC_ANY,   TPM2_RC_ASYMMETRIC,       { KMS_E_TPM_UNSUITABLE, RC_GIVE_UP } },
	{ RC_ANY,   TPM2_RC_KEY_SIZE,         { KMS_E_TPM_UNSUITABLE, RC_GIVE_UP } },
	{ RC_ANY,   TPM2_RC_SCHEME,           { KMS_E_TPM_UNSUITABLE, RC_GIVE_UP } },
	{ RC_ANY,   TPM2_RC_KDF,              { KMS_E_TPM_UNSUITABLE, RC_GIVE_UP } },
	{ RC_ANY,   TPM2_RC_MODE,             { KMS_E_TPM_UNSUITABLE, RC_GIVE_UP } },
	{ RC_ANY,   TPM2_RC_HASH,             { KMS_E_TPM_UNSUITABLE, RC_GIVE_UP } },
	/* It was restarted behind our back: a new connection says Startup. */
	{ RC_ANY,   TPM2_RC_INITIALIZE,       { KMS_E_TPM_FAILED, RC_REOPEN } },
};
/* clang-format on */

/* An object or a session that the chip no longer has: it was restarted, or somebody flushed it. */
static bool is_reference(uint32_t code)
{
	return code >= REFERENCE_FIRST && code <= REFERENCE_LAST;
}

static uint32_t masked(TSS2_RC rc)
{
	return rc & ((rc & TPM2_RC_FMT1) != 0 ? FORMAT_ONE_MASK : FORMAT_ZERO_MASK);
}

static struct rc_meaning of_the_chip(enum rc_step step, uint32_t code)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct row *r = &rows[i];
		if (r->code == code && (r->step == RC_ANY || r->step == step))
			return r->meaning;
	}
	return (struct rc_meaning){ KMS_E_TPM_FAILED, is_reference(code) ? RC_AGAIN : RC_GIVE_UP };
}

static struct rc_meaning of_esapi(TSS2_RC rc)
{
	/* After a lost connection every call says that it comes at the wrong time. */
	if (rc == TSS2_ESYS_RC_BAD_SEQUENCE)
		return (struct rc_meaning){ KMS_E_TPM_UNREACHABLE, RC_REOPEN };
	if (rc == TSS2_ESYS_RC_MEMORY)
		return (struct rc_meaning){ KMS_E_NO_MEMORY, RC_GIVE_UP };
	return (struct rc_meaning){ KMS_E_TPM_FAILED, RC_GIVE_UP };
}

struct rc_meaning rc_translate(enum rc_step step, TSS2_RC rc)
{
	switch (rc & TSS2_RC_LAYER_MASK) {
	case TSS2_TPM_RC_LAYER:
	case TSS2_RESMGR_TPM_RC_LAYER: return of_the_chip(step, masked(rc));
	case TSS2_ESAPI_RC_LAYER: return of_esapi(rc);
	case TSS2_TCTI_RC_LAYER:
		return (struct rc_meaning){ KMS_E_TPM_UNREACHABLE,
			rc == TSS2_TCTI_RC_IO_ERROR ? RC_REOPEN : RC_GIVE_UP };
	default: return (struct rc_meaning){ KMS_E_TPM_FAILED, RC_GIVE_UP };
	}
}

kms_err rc_check(struct sealer *s, enum rc_step step, TSS2_RC rc)
{
	if (rc == TSS2_RC_SUCCESS)
		return KMS_OK;
	struct rc_meaning m = rc_translate(step, rc);
	s->code = rc;
	s->retry = m.retry;
	return m.err;
}

bool rc_is_no_handle(TSS2_RC rc)
{
	return (rc & TSS2_RC_LAYER_MASK & ~TSS2_RESMGR_TPM_RC_LAYER) == 0 &&
	       masked(rc & ~TSS2_RC_LAYER_MASK) == TPM2_RC_HANDLE;
}
