/* SPDX-License-Identifier: Apache-2.0 */
/* The proof that an encrypted file opens and gives back what went in, before anybody relies on it. */
#pragma once

#include "kms/ctl/ctl.h"

struct proof {
	int fd;                     /* of the encrypted file, for reading */
	int clear_fd;               /* of what was encrypted; compared if it is a regular file */
	const char *from;           /* its name */
	uint64_t size;              /* clear bytes that were encrypted */
	struct kms_bytes plaintext; /* the data key */
	const struct kms_context *context; /* it was issued with */
	bool ask; /* get the data key from kmsd, so that the wrapped one is proven too */
};

/* KMS_E_INTEGRITY: it does not give back what went in. What libkms fails with. */
MUST_USE kms_err prove_envelope(struct ctl *c, const struct proof *p);
