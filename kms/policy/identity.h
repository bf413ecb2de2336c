/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who asks. An identity comes only from the kernel's word about a Unix socket's peer, as numbers:
 * no names are looked up here, and nothing that a peer writes can make one.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/base/types.h"

enum {
	IDENTITY_TEXT_MAX = 24,    /* "unix:4294967295" and its end */
	IDENTITY_GROUPS_MAX = 1024 /* supplementary groups of one peer */
};

/* On the wire of no protocol: renumber freely. */
enum identity_kind {
	IDENTITY_NONE = 0,
	IDENTITY_UNIX
};

struct identity {
	enum identity_kind kind;
	uint32_t uid, gid;
	uint32_t *gids; /* supplementary groups; owned */
	size_t gid_n;
};

/*
 * The peer of a connected Unix socket as it was at connect(): SO_PEERCRED and SO_PEERGROUPS.
 * KMS_E_IO for any other kind of socket (which would answer with made-up numbers),
 * KMS_E_TOO_MANY groups, KMS_E_NO_MEMORY.
 */
MUST_USE kms_err identity_of_peer(int fd, struct identity *out);
/* Frees the groups and leaves IDENTITY_NONE. Takes an empty one. */
void identity_done(struct identity *who);
/* True if gid is the primary or a supplementary group. */
bool identity_in_group(const struct identity *who, uint32_t gid);
/* "unix:1000", terminated; "none" for IDENTITY_NONE. */
void identity_text(const struct identity *who, char out[static IDENTITY_TEXT_MAX]);
