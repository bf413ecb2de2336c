/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kmsctl: the operator's tool. Reading order: commands.c (what there is), run.c (from words to a
 * command), then the cmd_*.c files. Clear keys pass through this process, so it leaves no core.
 */
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "kms/ctl/ctl.h"

int main(int argc, char **argv)
{
	const struct rlimit none = { 0, 0 };

	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	(void)setrlimit(RLIMIT_CORE, &none);
	/* A file that grows too large is an error by name, not an end. */
	(void)signal(SIGXFSZ, SIG_IGN);
	return ctl_run(argc, argv);
}
