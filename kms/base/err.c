/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables behind err.h, made from err.def: names, sentences and wire codes. Holds no state
 * but the names in lower case, which are made once before main.
 */
#include "kms/base/err.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

enum {
	ERR_NAME_SIZE = 32 /* the longest name of err.def and its end */
};

struct err_entry {
	const char *name; /* as err.def writes it, in upper case */
	enum err_wire wire;
	const char *text, *hint;
};

static const struct err_entry entries[KMS_ERR_COUNT] = {
	[KMS_OK] = { "OK", WIRE_OK, "Done.", "" },
#define X(id, wire, text, hint) [KMS_E_##id] = { #id, WIRE_##wire, text, hint },
#include "kms/base/err.def"
#undef X
};

#define X(id, wire, text, hint)                                                                    \
	static_assert(sizeof(#id) <= ERR_NAME_SIZE, "the name of an error is too long");
#include "kms/base/err.def"
#undef X

static const char *const wire_names[ERR_WIRE_COUNT] = {
	[WIRE_OK] = "ok",
	[WIRE_BAD_REQUEST] = "bad_request",
	[WIRE_TOO_BIG] = "too_big",
	[WIRE_NOT_FOUND] = "not_found",
	[WIRE_EXISTS] = "exists",
	[WIRE_DENIED] = "denied",
	[WIRE_LIMIT] = "limit",
	[WIRE_SEALED] = "sealed",
	[WIRE_WRONG_STATE] = "wrong_state",
	[WIRE_INTEGRITY] = "integrity",
	[WIRE_NEEDS_APPROVAL] = "needs_approval",
	[WIRE_NEEDS_LOGIN] = "needs_login",
	[WIRE_CONFLICT] = "conflict",
	[WIRE_STORE_FAILED] = "store_failed",
	[WIRE_AUDIT_FAILED] = "audit_failed",
	[WIRE_HARDWARE] = "hardware",
	[WIRE_ROLLBACK] = "rollback",
	[WIRE_UNAVAILABLE] = "unavailable",
	[WIRE_INTERNAL] = "internal",
};

static char names[KMS_ERR_COUNT][ERR_NAME_SIZE];

/* The preprocessor cannot lower a name's case, and a lazy table would be a race. */
__attribute__((constructor)) static void make_names(void)
{
	for (size_t i = 0; i < KMS_ERR_COUNT; i++) {
		const char *from = entries[i].name;

		for (size_t k = 0; from[k] != '\0'; k++) {
			bool upper = from[k] >= 'A' && from[k] <= 'Z';
			names[i][k] = (char)(upper ? from[k] - 'A' + 'a' : from[k]);
		}
	}
}

static size_t index_of(kms_err e)
{
	return (size_t)e < KMS_ERR_COUNT ? (size_t)e : KMS_E_INTERNAL;
}

const char *err_name(kms_err e)
{
	return names[index_of(e)];
}

const char *err_text(kms_err e)
{
	return entries[index_of(e)].text;
}

const char *err_hint(kms_err e)
{
	return entries[index_of(e)].hint;
}

enum err_wire err_wire(kms_err e)
{
	return entries[index_of(e)].wire;
}

const char *err_wire_name(enum err_wire w)
{
	return wire_names[(size_t)w < ERR_WIRE_COUNT ? w : WIRE_INTERNAL];
}

enum err_wire err_wire_from_name(const char *name)
{
	for (size_t i = 0; i < ERR_WIRE_COUNT; i++) {
		if (strcmp(wire_names[i], name) == 0)
			return (enum err_wire)i;
	}
	return WIRE_INTERNAL;
}

kms_err err_from_name(const char *name, size_t n)
{
	for (size_t i = 0; i < KMS_ERR_COUNT; i++) {
		if (strlen(names[i]) == n && memcmp(names[i], name, n) == 0)
			return (kms_err)i;
	}
	return KMS_E_INTERNAL;
}
