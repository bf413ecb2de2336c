/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection: bytes that came and are not a whole frame yet, answers that wait for their audit
 * group, and how far the peer has read. An idle one holds no buffers. Whatever its peer does, it
 * can only lose itself.
 */
#pragma once

#include <event2/event.h>
#include <event2/event_struct.h>
#include <sys/queue.h>

#include "kms/base/base.h"
#include "kms/base/buf.h"
#include "kms/policy/identity.h"
#include "proto/message.h"

enum {
	CONN_MARKS = 5, /* groups that answers of one connection can wait for at once */
	CONN_OUT_MAX = 2 * FRAME_MAX /* unread answers beyond which no more requests are taken */
};

/* Answers up to `end` in conn.out leave when `group` is on disk. */
struct conn_mark {
	uint64_t group;
	size_t end;
	uint32_t answers;
};

struct server;

struct conn {
	TAILQ_ENTRY(conn) all, busy, waiting, parked, ready;
	struct server *server;
	struct event read_event, write_event;
	int fd;
	uint32_t refs; /* the server's one, and one for each request that is answered later */
	struct identity who;
	char who_text[IDENTITY_TEXT_MAX];
	bool closed, closing; /* the socket is gone; it goes when the output has left */
	bool is_busy, is_waiting, is_parked, is_ready, reading;
	struct buf in;  /* frames not handled yet */
	struct buf out; /* whole answers; [0, released) may leave */
	size_t released;
	struct conn_mark marks[CONN_MARKS];
	size_t mark_n;
	uint32_t inflight;     /* requests whose answer has not been released */
	uint32_t pending;      /* requests that are answered later */
	uint64_t in_since_us;  /* a frame has been incomplete since; 0: none */
	uint64_t out_since_us; /* answers wait for the peer since; 0: none do */
	uint64_t out_sent;     /* bytes that it has read since then */
	size_t held;           /* bytes of both buffers, as the server counts them */
	bool turned_away;      /* has no place: closes when it has been told */
};

/* Takes the descriptor. KMS_E_NO_MEMORY, KMS_E_IO. */
MUST_USE kms_err conn_new(struct server *s, int fd, struct conn **out);
/* Drops one reference; the last one frees. */
void conn_unref(struct conn *c);
/* Closes the socket at once, wipes the buffers; references may remain. */
void conn_close(struct conn *c);
/* Closes when all answers have left. */
void conn_close_soon(struct conn *c);
/* Queues an answer behind audit group `group`; 0: it may leave at once. Closed: it is dropped. */
void conn_answer(struct conn *c, const struct answer *ans, uint64_t group);
/* Lets answers of groups up to `group` leave. */
void conn_release(struct conn *c, uint64_t group);
/* Turns every answer that has not been released into a refusal, and lets it leave. */
void conn_refuse_waiting(struct conn *c, kms_err e);
/* Writes what has been released as far as the peer takes it. */
void conn_flush(struct conn *c);
/* True if no further frame may be handled now. */
bool conn_is_full(const struct conn *c);
/* Gives buffers back if nothing is under way; true if the connection has become idle. */
bool conn_rest(struct conn *c);
