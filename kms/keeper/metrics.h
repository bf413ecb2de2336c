/* SPDX-License-Identifier: Apache-2.0 */
/* Counters of what was asked and how it went, and their text for Prometheus. */
#pragma once

#include "kms/base/base.h"
#include "kms/base/buf.h"
#include "kms/keeper/keeper.h"

struct metrics;

MUST_USE kms_err metrics_new(struct metrics **out);
void metrics_free(struct metrics **m);
/* One request or act ended. latency_us: from its arrival to its record. */
void metrics_count(struct metrics *m, enum op op, kms_err result, uint32_t latency_us);
/* Appends the text exposition format, version 0.0.4. KMS_E_NO_MEMORY. */
MUST_USE kms_err metrics_text(struct keeper *k, struct buf *out);
