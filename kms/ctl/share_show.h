/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handing out new recovery shares, so that each person sees only their own: one at a time on a
 * terminal, a file each, or all in one JSON object for a program that hands them on; with a QR code
 * each, under the text or beside the file, where that was asked for. kmsd gives them once, so whether they can be shown is asked before they are made.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/ctl/ctl.h"

/* Whether an option says how they are handed out: that makes no sense where none are made. */
bool share_show_is_said(const struct ctl *c);
/* Before they are made. A usage error where there is nowhere to show them; KMS_E_IO. */
MUST_USE kms_err share_show_check(struct ctl *c);
/* Shows them, in JSON as fields of o. KMS_E_IO, KMS_E_BAD_ANSWER: then some were not shown. */
MUST_USE kms_err share_show(struct ctl *c, struct out *o, const char *const *shares, size_t n);
/* Prints the slots that came as the answer, after its new shares. r may be NULL: no slots. */
MUST_USE kms_err share_give(struct ctl *c, const struct kms_result *r);
/*
 * The same for work that waits until its shares have reached people (kms_result_confirm): then asks
 * again. One object in JSON, written before anything depends on its shares.
 */
typedef enum kms_code share_confirm(struct ctl *c, struct kms_bytes nonce, struct kms_result **out);
MUST_USE kms_err share_give_and_confirm(
    struct ctl *c, const struct kms_result *r, share_confirm *confirm);
