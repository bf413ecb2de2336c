/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration of a rehearsal's kmsd: the live one, file by file as it stands, and one more
 * file behind them that sets the paths anew. What opens the root (helper, tpm, pkcs11) stays the
 * live one's, in whatever way it is written.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/ctl/ctl.h"

enum {
	CONF_PATH_MAX = 512
};

/* --config, $KMS_CONFIG, or /etc/kms/kms.conf. */
const char *conf_choose(const struct ctl *c);
/*
 * The last value of an option outside of all sections, borrowed from text, without its quotes;
 * empty if there is none. Reads what libconfuse reads: comments, quotes, sections.
 */
struct bytes conf_find(struct bytes text, const char *option);
/* The folder of the live kmsd's backups. KMS_E_IO, KMS_E_BAD_CONFIG; usage without the file. */
MUST_USE kms_err conf_backup_folder(
    struct ctl *c, const char *live, char out[static CONF_PATH_MAX]);
/*
 * Writes kms.conf and kms.conf.d into `folder`, for a kmsd that lives in it alone: socket kms.sock,
 * and the folders store, audit and backup, which are made too. As above.
 */
MUST_USE kms_err conf_write(struct ctl *c, const char *live, const char *folder);
