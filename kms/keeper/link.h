/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The socket pair between the parent and the keeper, one small message each way at a time. The
 * keeper asks for a helper, or for its end, and tells how it is; the parent answers with a
 * socket to the helper.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/base/log.h"

enum {
	LINK_TEXT_MAX = 127,
	EXIT_KEEPER_CONFIG = 78 /* sysexits' EX_CONFIG: starting again would not help */
};

/* What is said on the link. Same build on both sides: renumber freely. */
enum link_word {
	LINK_HELPER_START = 1, /* keeper: start a helper; the answer carries its socket */
	LINK_HELPER_KILL,      /* keeper: kill the one that runs */
	LINK_STATE,            /* keeper: text is its state for people; serving from the first on */
	LINK_HELPER_STARTED,   /* parent: a socket is attached */
	LINK_HELPER_FAILED,    /* parent: could not start it */
	LINK_CONFIG /* parent: the configuration was read again; `live` is what may change */
};

/* What of the configuration may change while the keeper runs. */
struct link_live {
	enum log_level log_level;
	uint32_t max_connections;
	uint64_t frame_timeout_us;
};

struct link_message {
	uint8_t word;
	uint64_t number; /* of the helper asked for, and in its answer */
	struct link_live live;
	char text[LINK_TEXT_MAX + 1];
};

/* Sends a message, with a descriptor attached if attach >= 0. KMS_E_IO. */
MUST_USE kms_err link_send(int fd, const struct link_message *m, int attach);
/* Takes one message; *out_attached is the caller's, or -1. KMS_E_UNAVAILABLE if there is none,
 * KMS_E_CONNECTION_LOST at the end, KMS_E_IO. */
MUST_USE kms_err link_receive(int fd, struct link_message *out, int *out_attached);
