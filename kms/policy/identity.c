/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asks the kernel who is at the other end. The pid is left alone on purpose: it may be another
 * process's by the time anybody looks.
 */
#include "kms/policy/identity.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

/* What the kernel gives for a socket without a peer. The pid of one is 0, but so is that of a peer
 * in another container. */
static const uid_t no_uid = (uid_t)-1;

static kms_err check_domain(int fd)
{
	int domain = 0;
	socklen_t n = sizeof(domain);

	/* A TCP socket gives pid 0 and uid -1 without an error. */
	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &n) != 0 || domain != AF_UNIX)
		return KMS_E_IO;
	return KMS_OK;
}

/* The kernel says how much room it needs by ERANGE, then fills it. */
static kms_err read_groups(int fd, struct identity *who)
{
	static_assert(sizeof(gid_t) == sizeof(uint32_t), "gids are read in place");
	socklen_t n = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &n) == 0)
		return KMS_OK;
	if (errno != ERANGE || n == 0)
		return KMS_E_IO;
	if (n > IDENTITY_GROUPS_MAX * sizeof(uint32_t))
		return KMS_E_TOO_MANY;

	who->gids = malloc(n);
	if (who->gids == NULL)
		return KMS_E_NO_MEMORY;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, who->gids, &n) != 0)
		return KMS_E_IO;
	who->gid_n = n / sizeof(uint32_t);
	return KMS_OK;
}

kms_err identity_of_peer(int fd, struct identity *out)
{
	AUTO(identity_done) struct identity who = { .kind = IDENTITY_UNIX };
	struct ucred cred;
	socklen_t n = sizeof(cred);

	TRY(check_domain(fd));
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) != 0 || cred.uid == no_uid)
		return KMS_E_IO;
	who.uid = cred.uid;
	who.gid = cred.gid;
	TRY(read_groups(fd, &who));

	*out = who;
	who.gids = NULL; /* handed over */
	return KMS_OK;
}

void identity_done(struct identity *who)
{
	free(who->gids);
	*who = (struct identity){ .kind = IDENTITY_NONE };
}

bool identity_in_group(const struct identity *who, uint32_t gid)
{
	if (who->kind != IDENTITY_UNIX)
		return false;
	if (who->gid == gid)
		return true;
	for (size_t i = 0; i < who->gid_n; i++) {
		if (who->gids[i] == gid)
			return true;
	}
	return false;
}

void identity_text(const struct identity *who, char out[static IDENTITY_TEXT_MAX])
{
	if (who->kind == IDENTITY_UNIX)
		(void)snprintf(out, IDENTITY_TEXT_MAX, "unix:%u", who->uid);
	else
		(void)snprintf(out, IDENTITY_TEXT_MAX, "none");
}
