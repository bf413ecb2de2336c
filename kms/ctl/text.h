/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text that others wrote, made harmless: a subject or a context may hold anything, and a terminal
 * obeys what it is shown. Pure functions.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/base/buf.h"

/*
 * Appends `in` for people: letters of any script stay; controls, invisible and direction-changing
 * characters become \u{202e}, bytes that are not UTF-8 become \xff, a backslash is doubled.
 * KMS_E_NO_MEMORY.
 */
MUST_USE kms_err text_escape(struct bytes in, struct buf *out);
/* Appends `in` as UTF-8: what is not becomes U+FFFD. KMS_E_NO_MEMORY. */
MUST_USE kms_err text_to_utf8(struct bytes in, struct buf *out);
/* Places that n bytes of escaped text take on a line: its characters. */
size_t text_width(struct bytes in);
/* Lower-case hex, terminated; out has 2 * in.n + 1 places. */
void text_hex(struct bytes in, char *out);
/* How many edits make one word the other: for "did you mean". Words over 31 bytes: far away. */
size_t text_distance(const char *a, const char *b);
