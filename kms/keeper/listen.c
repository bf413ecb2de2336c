/* SPDX-License-Identifier: Apache-2.0 */
/* Opening the listening socket; parent only, before the keeper exists. */
#include "kms/keeper/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

enum {
	BACKLOG = 4096, /* connections that wait while the keeper starts again */
	/* The keeper of a parent that was killed stops in order, and has the socket until then. */
	LOCK_WAIT_MS = 15000,
	LOCK_STEP_MS = 20
};

static void report(const char *what, const char *path)
{
	LOG(LOG_LEVEL_ERROR, "socket-failed", "The socket could not be made.",
	    log_str("step", what), log_str("path", path),
	    log_str("reason", strerrorname_np(errno)));
}

/* Held until the process ends: only one kmsd serves a socket. */
static kms_err take_lock(const struct config *c)
{
	char path[CONFIG_SOCKET_MAX + 8];
	(void)snprintf(path, sizeof(path), "%s.lock", c->socket);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		report("lock", path);
		return KMS_E_IO;
	}
	for (int waited = 0; waited < LOCK_WAIT_MS; waited += LOCK_STEP_MS) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return KMS_OK;
		if (waited == 0)
			LOG(LOG_LEVEL_NOTICE, "socket-busy",
			    "Another kmsd has the socket; it may be about to end.",
			    log_str("path", path));
		(void)poll(NULL, 0, LOCK_STEP_MS);
	}
	report("lock", path);
	(void)close(fd);
	return KMS_E_STORE_LOCKED;
}

static kms_err bind_own(const struct config *c, int fd)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	memcpy(a.sun_path, c->socket, strlen(c->socket) + 1);
	/* The mode given to the descriptor before bind is the file's from its first moment. */
	if (fchmod(fd, c->socket_mode) != 0) {
		report("chmod", c->socket);
		return KMS_E_IO;
	}
	mode_t old = umask(0);
	(void)unlink(c->socket);
	int r = bind(fd, (const struct sockaddr *)&a, sizeof(a));
	(void)umask(old);
	if (r != 0) {
		report("bind", c->socket);
		return KMS_E_IO;
	}
	if (c->socket_gid_known && chown(c->socket, (uid_t)-1, c->socket_gid) != 0)
		LOG(LOG_LEVEL_WARNING, "socket-group", "The socket keeps the service's own group.",
		    log_str("reason", strerrorname_np(errno)));
	return KMS_OK;
}

static kms_err open_own(const struct config *c, int *out_fd)
{
	TRY(take_lock(c));
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return KMS_E_IO;
	kms_err e = bind_own(c, fd);
	if (e == KMS_OK && listen(fd, BACKLOG) != 0)
		e = KMS_E_IO;
	if (e != KMS_OK) {
		(void)close(fd);
		return e;
	}
	*out_fd = fd;
	return KMS_OK;
}

kms_err listen_open(const struct config *c, int *out_fd)
{
	int n = sd_listen_fds(1);
	if (n <= 0)
		return open_own(c, out_fd);
	int fd = SD_LISTEN_FDS_START;
	if (n > 1 || sd_is_socket_unix(fd, SOCK_STREAM, 1, NULL, 0) <= 0)
		return KMS_E_BAD_CONFIG;
	int flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
		return KMS_E_IO;
	*out_fd = fd;
	return KMS_OK;
}
