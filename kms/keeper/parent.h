/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parent process of kmsd: no keys, no input from outside. It makes the socket, starts the
 * keeper and starts it again when it dies (within a budget), starts and reaps kms-seal because
 * the keeper may not exec, and talks to systemd.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/keeper/config.h"

/* Runs until the service stops. Returns the exit status of the program. */
int parent_run(const struct config *config);
