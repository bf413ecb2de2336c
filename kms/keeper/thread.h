/* SPDX-License-Identifier: Apache-2.0 */
/* The threads beside the loop, journal and chores: all memory is locked, so their stacks are small. */
#pragma once

#include <pthread.h>

#include "kms/base/base.h"

/* To be joined by the caller. KMS_E_NO_MEMORY, whatever it is that lacks. */
MUST_USE kms_err thread_start(void *(*run)(void *arg), void *arg, pthread_t *out);
