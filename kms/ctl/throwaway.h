/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A kmsd that lives for one rehearsal, in a folder of its own that goes with it. It ends with
 * kmsctl, whatever kmsctl ends by.
 */
#pragma once

#include <sys/types.h>

#include "kms/base/base.h"
#include "kms/ctl/ctl.h"

enum {
	THROWAWAY_DIR_MAX = 100 /* a socket's path must fit */
};

struct throwaway {
	char dir[THROWAWAY_DIR_MAX + 1]; /* "" if there is none */
	pid_t pid;                       /* 0: not started */
	struct kms *kms;                 /* NULL: does not answer yet */
};

/* Makes the folder, mode 0700, under $TMPDIR, /run or /tmp. KMS_E_IO. */
MUST_USE kms_err throwaway_make(struct ctl *c, struct throwaway *out);
/* The kmsd that belongs to this kmsctl: --kmsd, beside it, in ../sbin or PATH. Usage if none. */
MUST_USE kms_err throwaway_program(struct ctl *c, char *out, size_t size);
/*
 * Starts the program with the folder's kms.conf and waits until it answers. KMS_E_UNAVAILABLE with
 * the last line that it wrote.
 */
MUST_USE kms_err throwaway_start(struct ctl *c, struct throwaway *t, const char *program);
/* For calls on t->kms, as ctl_ask. */
MUST_USE kms_err throwaway_ask(struct ctl *c, const struct throwaway *t, enum kms_code code);
/* KMS_E_CANCELLED once somebody wants to end kmsctl: from throwaway_make on, that waits for us. */
MUST_USE kms_err throwaway_go_on(struct ctl *c);
/* Stops it, overwrites and removes the folder. Takes an empty one. */
void throwaway_done(struct throwaway *t);
