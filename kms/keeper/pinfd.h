/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors that kmsd was started with and that hold PINs: a slot names one by pin_file = "fd:N".
 * The parent keeps them for kms-seal alone; the keeper closes them first of all.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/keeper/config.h"

/*
 * KMS_E_BAD_CONFIG, and *out_fd is the number, if one is not there or is no file (a memfd is one).
 * Call it before anything else is opened, which might take a number that is not in use.
 */
MUST_USE kms_err pinfd_check(const struct config *c, int *out_fd);
/* Closes all of them. */
void pinfd_close(const struct config *c);
/* Closes every descriptor from `first` on but these. False if the kernel refuses. */
bool pinfd_close_others(const struct config *c, unsigned first);
