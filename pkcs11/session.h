/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logging in, and the one session of our own, in which everything is done. The PIN is shown once;
 * what the token thinks of it is never asked again.
 */
#pragma once

#include "pkcs11/module.h"

/*
 * Logs in and opens a session; `rw` for making keys that stay. KMS_E_PIN_FILE, KMS_E_PIN_WRONG,
 * _LOCKED, _EXPIRED, none of which may be tried again by itself.
 */
MUST_USE kms_err session_open(struct sealer *s, bool rw);
/* Another session in place of the one whose operation was broken off; no PIN. Needs session_open. */
MUST_USE kms_err session_renew(struct sealer *s, bool rw);
/* KMS_OK while the session is there and logged in. */
MUST_USE kms_err session_check(struct sealer *s);
/* What a key that was not found means: KMS_E_TOKEN_FOREIGN, unless the token itself has gone. */
MUST_USE kms_err session_judge_missing(struct sealer *s);
