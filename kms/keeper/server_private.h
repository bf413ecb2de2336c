/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by server.c and reading.c, and by nobody else. */
#pragma once

#include "kms/keeper/server.h"

enum {
	SCRATCH_LEN = 256 * 1024,     /* bytes read at once */
	KEPT_SMALL = SCRATCH_LEN / 4, /* the rest of a frame that is copied before what follows */
	HELD_MAX = 32 << 20           /* bytes in buffers; beyond, only administrators get more */
};

TAILQ_HEAD(conn_list, conn);

struct server {
	struct keeper *k;
	struct event *listen_event, *sweep_event, *pause_event;
	struct conn_list all, busy, waiting, parked, ready;
	uint32_t count;
	uint32_t turned_away; /* of all, those without a place; not counted */
	bool accepting, resume;
	size_t held;        /* bytes in buffers of all connections */
	uint32_t strangers; /* requests of others than administrators that may still come now */
	uint64_t warned_us; /* when the last refusal of a connection was logged */
	uint8_t *scratch;
};

/* A connection that rests until server_resume_parked. */
void server_set_parked(struct server *s, struct conn *c, bool on);
bool server_is_admin(const struct conn *c);
/*
 * Who may do nothing still leaves records and takes memory: all of them share a number of requests
 * for each sweep, and the rest waits in their sockets.
 */
bool server_may_ask(const struct conn *c);
/* Counts what the connection's buffers hold. */
void server_account(struct conn *c);
/* A connection that gets no place or no memory: told why, and closed; in a flood just closed. */
void server_turn_away(struct server *s, struct conn *c);

void reading_set(struct conn *c, bool on);
/* After frames were handled: read on, or not; and since when a frame has been incomplete. */
void reading_settle(struct conn *c);
/* Handles what was left. */
void reading_go_on(struct conn *c);
