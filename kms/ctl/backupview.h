/* SPDX-License-Identifier: Apache-2.0 */
/* How a backup looks, and which of several is meant. */
#pragma once

#include "kms/ctl/out.h"

/* Whether all of it was read and is as it was written; also one of a root before. */
bool backupview_is_good(const struct kms_backup *b);
/* A row of a table. */
void backupview_put_row(struct out *row, const struct kms_backup *b);
/* A table "backups". */
void backupview_put(struct out *o, const struct kms_backup *list, size_t n);
/* The one of this name; name NULL: the newest that is "ok". NULL if there is none. */
const struct kms_backup *backupview_find(const struct kms_backup *list, size_t n, const char *name);
