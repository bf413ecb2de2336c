/* SPDX-License-Identifier: Apache-2.0 */
/* How an object looks to people: a title, aligned fields, a table. Private to out.c. */
#pragma once

#include "kms/base/base.h"
#include "kms/base/buf.h"
#include "kms/ctl/out.h"

struct out_field {
	const char *label;
	struct buf value; /* escaped */
	enum out_color color;
};

/* Appends the text. KMS_E_NO_MEMORY. */
MUST_USE kms_err layout_text(const struct out *o, const struct style *style, struct buf *to);
/* Appends the object's name, or those of its rows, one a line. KMS_E_NO_MEMORY. */
MUST_USE kms_err layout_names(const struct out *o, struct buf *to);
