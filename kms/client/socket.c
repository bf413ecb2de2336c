/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opens the socket of kmsd. Most failures here are an operator's first meeting with the service,
 * so each says what is wrong: no such path, nobody listening, or which group may.
 */
#include "kms/client/socket.h"

#include <errno.h>
#include <grp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "kms/base/clock.h"

static const char usual_path[] = "/run/kms/kms.sock";

enum {
	GROUP_BUF = 4096, /* for one entry of the group database */
	US_PER_MS = 1000,
	US_PER_S = 1000000
};

const char *socket_choose(const char *option)
{
	if (option != NULL && option[0] != '\0')
		return option;
	const char *env = secure_getenv("KMS_SOCKET");
	return env != NULL && env[0] != '\0' ? env : usual_path;
}

/* The group that is in the way: the socket's, or its folder's where even that is closed. */
static bool find_group(const char *path, gid_t *out)
{
	char folder[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	struct stat st;

	if (stat(path, &st) == 0) {
		*out = st.st_gid;
		return true;
	}
	(void)snprintf(folder, sizeof(folder), "%s", path);
	char *slash = strrchr(folder, '/');
	if (slash == NULL || slash == folder)
		return false;
	*slash = '\0';
	if (stat(folder, &st) != 0)
		return false;
	*out = st.st_gid;
	return true;
}

static void tell_group(const char *path, char detail[static SOCKET_DETAIL_MAX])
{
	char room[GROUP_BUF];
	struct group entry;
	struct group *found = NULL;
	struct stat st;
	gid_t gid;

	if (stat(path, &st) == 0 && ((st.st_mode & S_IWGRP) == 0 || st.st_gid == 0)) {
		(void)snprintf(detail, SOCKET_DETAIL_MAX, "%s is open to its owner alone", path);
		return;
	}
	if (!find_group(path, &gid)) {
		(void)snprintf(detail, SOCKET_DETAIL_MAX, "%s may not be opened", path);
		return;
	}
	if (getgrgid_r(gid, &entry, room, sizeof(room), &found) == 0 && found != NULL)
		(void)snprintf(
		    detail, SOCKET_DETAIL_MAX, "%s belongs to the group %s", path, found->gr_name);
	else
		(void)snprintf(
		    detail, SOCKET_DETAIL_MAX, "%s belongs to the group %u", path, (unsigned)gid);
}

static kms_err explain(int error, const char *path, char detail[static SOCKET_DETAIL_MAX])
{
	if (error == EACCES || error == EPERM) {
		tell_group(path, detail);
		return KMS_E_SOCKET_DENIED;
	}
	(void)snprintf(detail, SOCKET_DETAIL_MAX, "%s: %s", path, strerrordesc_np(error));
	return error == EAGAIN ? KMS_E_TIMED_OUT : KMS_E_UNAVAILABLE;
}

/* The limit of the next connect(); 0 would mean none. False once the deadline has passed. */
static bool limit_connect(int fd, uint64_t until)
{
	uint64_t now = clock_mono_us();

	if (now >= until) {
		errno = EAGAIN;
		return false;
	}
	struct timeval limit = { .tv_sec = (time_t)((until - now) / US_PER_S),
		.tv_usec = (suseconds_t)((until - now) % US_PER_S) };
	return setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) == 0;
}

/* A full backlog would make connect() wait for ever; it keeps to the limit for sending. */
static bool connect_within(int fd, const struct sockaddr_un *to, uint32_t deadline_ms)
{
	uint64_t until = clock_mono_us() + (uint64_t)deadline_ms * US_PER_MS;

	/* On a Unix socket an interrupted connect() has done nothing and is begun again. */
	while (limit_connect(fd, until)) {
		if (connect(fd, (const struct sockaddr *)to, sizeof(*to)) == 0)
			return true;
		if (errno != EINTR)
			return false;
	}
	return false;
}

kms_err socket_open(
    const char *path, uint32_t deadline_ms, char detail[static SOCKET_DETAIL_MAX], int *out_fd)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(to.sun_path))
		return explain(ENAMETOOLONG, path, detail);
	memcpy(to.sun_path, path, strlen(path) + 1);

	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return explain(errno, path, detail);
	if (!connect_within(fd, &to, deadline_ms)) {
		kms_err e = explain(errno, path, detail);
		(void)close(fd);
		return e;
	}
	*out_fd = fd;
	return KMS_OK;
}
