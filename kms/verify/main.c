/* SPDX-License-Identifier: Apache-2.0 */
/* kms-verify: the auditor's tool. verify.c does the work. */
#include "kms/verify/verify.h"

int main(int argc, char **argv)
{
	struct verify_args a;

	enum verify_status s = verify_args(argc, argv, stdout, &a);
	if (s == VERIFY_USAGE)
		(void)fputs("usage: kms-verify [--key FILE] FOLDER|PROOF\n", stderr);
	if (s == VERIFY_RIGHT)
		s = verify_run(&a, stdout, stderr);
	/* Who can't be told that it is right is not told so by the status either. */
	if (fflush(stdout) != 0)
		return VERIFY_NO_READ;
	return s == VERIFY_HELP ? VERIFY_RIGHT : (int)s;
}
