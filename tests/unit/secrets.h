/* SPDX-License-Identifier: Apache-2.0 */
/* For tests that need a few secrets and don't care how many: a group's set-up and tear-down. */
#pragma once

#include "kms/base/secret.h"

enum {
	SECRETS_FEW = 8
};

static inline int secrets_begin(void **state)
{
	(void)state;
	return secret_init(SECRETS_FEW, true) == KMS_OK ? 0 : -1;
}

static inline int secrets_end(void **state)
{
	(void)state;
	secret_done();
	return 0;
}
