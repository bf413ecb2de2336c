/* SPDX-License-Identifier: Apache-2.0 */
/*
 * People open the root with their shares, each at a terminal of their own: the first share begins
 * a ceremony, which has a nonce and a time limit, and the last one that is needed ends it. Shares
 * are held in locked memory until then and are wiped in any case.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/keeper/keeper.h"
#include "kms/keeper/request.h"

struct ceremony;

/* Wipes. Takes NULL. */
void ceremony_free(struct ceremony **c);
/*
 * One share. Fills *out with how it stands, or, with the share that was missing, detaches t and
 * opens the root. KMS_E_NO_SHARES, KMS_E_NO_CEREMONY for a nonce of another one, KMS_E_SHARE_HERE,
 * KMS_E_SHARE_FORM, _TYPO, _FOREIGN, _WRONG; t->detail then says which character, where that is known.
 */
MUST_USE kms_err ceremony_share(
    struct keeper *k, struct task *t, const struct request *r, struct answer *out);
/* Ends it. KMS_E_NO_CEREMONY. */
MUST_USE kms_err ceremony_cancel(struct keeper *k, struct bytes nonce);
/* How it stands; all zeros without one. Borrows. */
struct ceremony_info ceremony_describe(const struct keeper *k);
