/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a process that broke an invariant of its own. It prints where, never what was
 * there, and allocates nothing: memory may be what is broken.
 */
#include "kms/base/base.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

_Noreturn void check_failed(const char *what, const char *file, int line)
{
	char text[256];
	int n = snprintf(text, sizeof(text), "check failed: %s (%s:%d)\n", what, file, line);

	if (n > 0) {
		size_t len = (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1;
		ssize_t ignored = write(STDERR_FILENO, text, len);

		(void)ignored;
	}
	abort();
}
