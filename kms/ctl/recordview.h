/* SPDX-License-Identifier: Apache-2.0 */
/* How an audit record looks: all its fields, or one line. */
#pragma once

#include "kms/audit/record.h"
#include "kms/ctl/out.h"

/* "ok", or the name of the error. */
const char *recordview_result(kms_err e);
/* Every field that is set. key: the name of its key; NULL if that is not known. */
void recordview_put(struct out *o, const struct record *r, const char *key);
/* Makes one line what the text of `o` is; key as above. KMS_E_NO_MEMORY. */
MUST_USE kms_err recordview_line(struct out *o, const struct record *r, const char *key);
