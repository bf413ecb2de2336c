/* SPDX-License-Identifier: Apache-2.0 */
/* Our errors as the public header shows them. Inside libkms, functions return kms_err. */
#pragma once

#include "kms/base/base.h"
#include "kms/client/kms.h"
#include "proto/message.h"

/* Fills *out with an error of our own side; detail may be NULL. Returns its code. out may be NULL. */
enum kms_code error_set(struct kms_error *out, kms_err e, const char *detail);
/* Fills *out with what the keeper answered; control characters become '?'. Returns its code. */
enum kms_code error_from_answer(struct kms_error *out, const struct answer_error *e);
