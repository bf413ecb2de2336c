/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one vocabulary of errors, from the TPM to the client. err.def lists every error with its
 * stable wire code, a sentence and what to do next; the enum, the protocol's code, the manual
 * and kmsctl's messages all come from there.
 */
#pragma once

#include <stddef.h>

typedef enum kms_err {
	KMS_OK = 0,
#define X(name, wire, text, hint) KMS_E_##name,
#include "kms/base/err.def"
#undef X
	KMS_ERR_COUNT
} kms_err;

/* The stable codes of the protocol. Their order is their number on the wire; only append. */
enum err_wire {
	WIRE_OK = 0,
	WIRE_BAD_REQUEST,
	WIRE_TOO_BIG,
	WIRE_NOT_FOUND,
	WIRE_EXISTS,
	WIRE_DENIED,
	WIRE_LIMIT,
	WIRE_SEALED,
	WIRE_WRONG_STATE,
	WIRE_INTEGRITY,
	WIRE_NEEDS_APPROVAL,
	WIRE_NEEDS_LOGIN,
	WIRE_CONFLICT,
	WIRE_STORE_FAILED,
	WIRE_AUDIT_FAILED,
	WIRE_HARDWARE,
	WIRE_ROLLBACK,
	WIRE_UNAVAILABLE,
	WIRE_INTERNAL,
	ERR_WIRE_COUNT
};

/* "tpm_lockout": the error's own name in lower case, for logs and tests. Never NULL. */
const char *err_name(kms_err e);
/* One sentence for people. Never NULL; static. */
const char *err_text(kms_err e);
/* What to do next, one or two sentences; "" for KMS_OK. Never NULL; static. */
const char *err_hint(kms_err e);
/* The wire code that stands for this error. */
enum err_wire err_wire(kms_err e);
/* "bad_request", "integrity"…; "internal" for a number we don't know. Never NULL; static. */
const char *err_wire_name(enum err_wire w);
/* Finds a wire code by its name; WIRE_INTERNAL if there is none. */
enum err_wire err_wire_from_name(const char *name);
/* The error whose err_name() is `name` (`n` bytes, not terminated); KMS_E_INTERNAL if none. */
kms_err err_from_name(const char *name, size_t n);
