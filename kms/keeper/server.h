/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All connections: accepting within caps, reading frames, deadlines for peers that begin and
 * don't end, and the release of answers when their audit group is on disk.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/keeper/conn.h"
#include "kms/keeper/keeper.h"

struct server;

/* listen_fd: listening and non-blocking, borrowed. KMS_E_NO_MEMORY. */
MUST_USE kms_err server_new(struct keeper *k, int listen_fd, struct server **out);
/* Closes every connection. */
void server_free(struct server **s);
/* Accepts and reads nothing more; what is under way is answered. */
void server_drain(struct server *s);
/* Once in each turn of the loop: lets connections go on that waited for it. */
void server_turn(struct server *s);
/* True if server_turn has something to do: the loop must not wait for an event. */
bool server_is_ready(const struct server *s);
/* Connections that are open. */
uint32_t server_count(const struct server *s);
/* True while answers wait for a group or for their peer. */
bool server_has_work(const struct server *s);
/* The audit group is on disk. */
void server_release(struct server *s, uint64_t group);
/* The audit log can't be written. */
void server_refuse_waiting(struct server *s, kms_err e);
/* What parked connections waited for may have come: they go on in server_turn. */
void server_resume_parked(struct server *s);

/* For conn.c: */
struct keeper *server_keeper(struct server *s);
void server_forget(struct server *s, struct conn *c);
void server_set_busy(struct server *s, struct conn *c, bool on);
void server_set_waiting(struct server *s, struct conn *c, bool on);
void server_on_read(evutil_socket_t fd, short what, void *arg);
void server_on_write(evutil_socket_t fd, short what, void *arg);
/*
 * The peer has read: in the next server_turn frames that wait in c->in may be handled, and reading
 * goes on. Never at once: who calls this may be in the midst of another request.
 */
void server_go_on(struct server *s, struct conn *c);
