/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A share as people keep it: one line of Bech32m in capitals, short enough for its checksum to
 * find any 4 wrong characters and for a small QR code. The line is as secret as the share.
 *   "KMS1" | version 1, set id 4, k 1, n 1, x 1, value 32: 64 characters | checksum: 6 characters
 */
#pragma once

#include "kms/base/base.h"
#include "kms/base/types.h"
#include "kms/seal/shares.h"

enum {
	SHARE_TEXT_VERSION = 1,
	SHARE_TEXT_LEN = 74,   /* characters */
	SHARE_TYPED_MAX = 1024 /* bytes that somebody may type for one */
};

/* Terminated. */
struct share_text {
	char s[SHARE_TEXT_LEN + 1];
};
void share_text_wipe(struct share_text *t);

/* What can be said of a share that does not read; characters are counted without separators. */
struct share_slip {
	size_t at;    /* the number of the wrong character, from 1; 0 if none can be named */
	size_t typed; /* how many there are; SHARE_TEXT_LEN is right */
};

/* KMS_E_INTERNAL for a share that can't be. Its time tells nothing of the value. */
MUST_USE kms_err share_text_encode(const struct share *s, struct share_text *out);
/*
 * Reads what was typed, in capitals or in small letters, with spaces, line ends and hyphens
 * wherever they are. *out is the caller's to end with share_done. Whose set it is, only
 * shares_check can say.
 * KMS_E_SHARE_FORM: not a share at all. KMS_E_SHARE_TYPO: meant to be one. KMS_E_NEWER_FORMAT.
 * *out_slip is written whatever comes; nothing is ever corrected.
 */
MUST_USE kms_err share_text_decode(
    struct bytes typed, struct share *out, struct share_slip *out_slip);
