/* SPDX-License-Identifier: Apache-2.0 */
/*
 * No sandbox: for builds whose run-time (sanitizers, coverage) opens files and makes calls of its
 * own. `status` says so, and such a build is never installed.
 */
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "kms/keeper/sandbox.h"

void sandbox_no_traces(void)
{
	const struct rlimit none = { 0, 0 };
	(void)setrlimit(RLIMIT_CORE, &none);
}

bool sandbox_lock_memory(const struct config *c)
{
	(void)c;
	struct rlimit l;
	if (getrlimit(RLIMIT_NOFILE, &l) == 0) {
		l.rlim_cur = l.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &l);
	}
	return true;
}

kms_err sandbox_restrict_files(struct keeper *k)
{
	(void)snprintf(
	    k->sandbox[k->sandbox_n++], SANDBOX_NOTE_LEN, "none: this build is for tests");
	return KMS_OK;
}

kms_err sandbox_restrict_calls(struct keeper *k)
{
	(void)k;
	return KMS_OK;
}
