/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Translates our errors, and those that kmsd answers, into the public struct. What a peer wrote
 * may end on a terminal, so control characters are taken out here.
 */
#include "kms/client/error.h"

#include <string.h>

#include "kms/base/secret.h"

#ifndef KMS_VERSION
#define KMS_VERSION "0.1.0"
#endif

/* The public codes are the protocol's, number for number. */
static_assert((int)KMS_CODE_OK == (int)WIRE_OK, "codes differ");
static_assert((int)KMS_CODE_BAD_REQUEST == (int)WIRE_BAD_REQUEST, "codes differ");
static_assert((int)KMS_CODE_SEALED == (int)WIRE_SEALED, "codes differ");
static_assert((int)KMS_CODE_INTEGRITY == (int)WIRE_INTEGRITY, "codes differ");
static_assert((int)KMS_CODE_STORE_FAILED == (int)WIRE_STORE_FAILED, "codes differ");
static_assert((int)KMS_CODE_UNAVAILABLE == (int)WIRE_UNAVAILABLE, "codes differ");
static_assert((int)KMS_CODE_INTERNAL == (int)WIRE_INTERNAL, "codes differ");
static_assert((int)KMS_CODE_INTERNAL + 1 == (int)ERR_WIRE_COUNT, "a code is missing in kms.h");

/* docs/protocol.md has the same table. 2 is the tools' own: wrong usage. */
static const uint8_t exit_statuses[ERR_WIRE_COUNT] = {
	[WIRE_OK] = 0,
	[WIRE_DENIED] = 1,
	[WIRE_NEEDS_LOGIN] = 1,
	[WIRE_NOT_FOUND] = 3,
	[WIRE_SEALED] = 4,
	[WIRE_INTEGRITY] = 5,
	[WIRE_BAD_REQUEST] = 5,
	[WIRE_TOO_BIG] = 5,
	[WIRE_WRONG_STATE] = 6,
	[WIRE_EXISTS] = 6,
	[WIRE_CONFLICT] = 6,
	[WIRE_NEEDS_APPROVAL] = 6,
	[WIRE_STORE_FAILED] = 7,
	[WIRE_AUDIT_FAILED] = 7,
	[WIRE_HARDWARE] = 7,
	[WIRE_ROLLBACK] = 7,
	[WIRE_INTERNAL] = 7,
	[WIRE_UNAVAILABLE] = 8,
	[WIRE_LIMIT] = 8,
};

const char *kms_code_name(enum kms_code code)
{
	return err_wire_name((enum err_wire)code);
}

int kms_exit_status(enum kms_code code)
{
	size_t i = (size_t)code;

	return exit_statuses[i < ERR_WIRE_COUNT ? i : WIRE_INTERNAL];
}

const char *kms_version(void)
{
	return KMS_VERSION;
}

void kms_wipe(void *p, size_t n)
{
	wipe(p, n);
}

/* Bytes at i that a terminal obeys: ASCII's, and U+0080 to U+009F (c2 80 to c2 9f in UTF-8). */
static size_t control_at(struct bytes text, size_t i)
{
	uint8_t c = text.p[i];

	if (c < 0x20 || c == 0x7f)
		return 1;
	bool wide = c == 0xc2 && i + 1 < text.n && text.p[i + 1] >= 0x80 && text.p[i + 1] < 0xa0;
	return wide ? 2 : 0;
}

static void put_text(char *out, size_t size, struct bytes text)
{
	size_t n = text.n < size ? text.n : size - 1;

	/* A character of UTF-8 is not cut in two. */
	while (n > 0 && n < text.n && (text.p[n] & 0xc0) == 0x80)
		n--;
	if (n > 0)
		memcpy(out, text.p, n);
	for (size_t i = 0; i < n; i++)
		memset(out + i, '?', control_at(bytes_of(text.p, n), i));
	out[n] = '\0';
}

enum kms_code error_from_answer(struct kms_error *out, const struct answer_error *e)
{
	put_text(out->code, sizeof(out->code), e->code);
	put_text(out->name, sizeof(out->name), e->name);
	put_text(out->text, sizeof(out->text), e->text);
	put_text(out->hint, sizeof(out->hint), e->hint);
	put_text(out->detail, sizeof(out->detail), e->detail);
	out->number = (enum kms_code)e->wire;
	return out->number;
}

enum kms_code error_set(struct kms_error *out, kms_err e, const char *detail)
{
	struct answer_error full = {
		.wire = err_wire(e),
		.code = bytes_of_str(err_wire_name(err_wire(e))),
		.name = bytes_of_str(err_name(e)),
		.text = bytes_of_str(err_text(e)),
		.hint = bytes_of_str(err_hint(e)),
		.detail = bytes_of_str(detail != NULL ? detail : ""),
	};

	if (out != NULL)
		(void)error_from_answer(out, &full);
	return (enum kms_code)full.wire;
}
