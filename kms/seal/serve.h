/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The helper's loop: takes a task, opens the hardware of its kind, does it, answers, closes the
 * hardware and wipes, waits for the next. Returns when the keeper closes its end or nothing
 * came for a while.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/seal/sealer.h"

/*
 * kinds: n of them. idle_ms: how long to wait for the next task. KMS_OK when the keeper hung up or
 * nothing came; KMS_E_BAD_FRAME for nonsense, KMS_E_HARDWARE_HELPER if an answer can't be sent.
 */
MUST_USE kms_err serve_tasks(int fd, const struct sealer_kind *const *kinds, size_t n, int idle_ms);
