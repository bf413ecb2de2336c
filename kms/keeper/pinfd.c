/* SPDX-License-Identifier: Apache-2.0 */
/* See pinfd.h. */
#include "kms/keeper/pinfd.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The number that a slot names; -1 for none. The configuration has looked at its digits. */
static int fd_of(const struct config_slot *s)
{
	const char *text = s->params.token.pin_file;
	if (strncmp(text, "fd:", 3) != 0)
		return -1;
	return (int)strtol(text + 3, NULL, 10);
}

/* The least of them that is not below `from`; -1 for none. */
static int next_fd(const struct config *c, int from)
{
	int least = -1;
	for (size_t i = 0; i < c->slot_n; i++) {
		int fd = fd_of(&c->slots[i]);
		if (fd >= from && (least < 0 || fd < least))
			least = fd;
	}
	return least;
}

kms_err pinfd_check(const struct config *c, int *out_fd)
{
	for (int fd = next_fd(c, 0); fd >= 0; fd = next_fd(c, fd + 1)) {
		struct stat st;
		if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
			continue;
		*out_fd = fd;
		return KMS_E_BAD_CONFIG;
	}
	return KMS_OK;
}

void pinfd_close(const struct config *c)
{
	for (int fd = next_fd(c, 0); fd >= 0; fd = next_fd(c, fd + 1))
		(void)close(fd);
}

bool pinfd_close_others(const struct config *c, unsigned first)
{
	for (int fd = next_fd(c, (int)first); fd >= 0; fd = next_fd(c, fd + 1)) {
		if ((unsigned)fd > first && close_range(first, (unsigned)fd - 1, 0) != 0)
			return false;
		/* systemd's library marks what systemd has handed over. */
		(void)fcntl(fd, F_SETFD, 0);
		first = (unsigned)fd + 1;
	}
	return close_range(first, ~0U, 0) == 0;
}
