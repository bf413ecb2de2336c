/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From bytes to whole frames, which go to request.c. One large buffer is read into for everybody;
 * only what is left of a frame is kept in its connection.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "kms/base/secret.h"
#include "kms/keeper/request.h"
#include "kms/keeper/server_private.h"
#include "kms/keeper/turn.h"
#include "proto/frame.h"

void reading_set(struct conn *c, bool on)
{
	if (on == c->reading)
		return;
	c->reading = on;
	int r = on ? event_add(&c->read_event, NULL) : event_del(&c->read_event);
	if (r != 0)
		conn_close(c);
}

/* Handles whole frames at the start of `in`; *out_used bytes are done with. */
static void handle_frames(struct conn *c, struct bytes in, size_t *out_used, size_t *out_need)
{
	struct keeper *k = c->server->k;
	size_t done = 0;
	*out_need = 0;
	while (!c->closed && !c->closing && !conn_is_full(c) && c->server->accepting) {
		struct bytes message;
		size_t used = 0;
		kms_err e =
		    frame_find(bytes_of(in.p + done, in.n - done), &message, &used, out_need);
		if (e != KMS_OK) {
			request_refuse_frame(k, c, e);
			break;
		}
		if (used == 0)
			break;
		if (!server_may_ask(c)) {
			server_set_parked(c->server, c, true);
			break;
		}
		if (request_handle(k, c, message) == REQUEST_PARK) {
			server_set_parked(c->server, c, true);
			break;
		}
		done += used;
		turn_push(k);
	}
	/* Each whole frame restarts the clock for the one that is not whole yet. */
	if (done > 0)
		c->in_since_us = 0;
	*out_used = done;
}

/* After frames were handled: read on, or not; and since when a frame has been incomplete. */
void reading_settle(struct conn *c)
{
	server_account(c);
	if (c->closed)
		return;
	if (c->server->held > HELD_MAX && c->held > KEPT_SMALL && !server_is_admin(c)) {
		server_turn_away(c->server, c);
		return;
	}
	bool stop = c->closing || c->is_parked || conn_is_full(c) || !c->server->accepting;
	bool partial = c->in.n > 0 && !stop;
	if (!partial)
		c->in_since_us = 0;
	else if (c->in_since_us == 0)
		c->in_since_us = c->server->k->mono_us;
	if (c->in.n > 0)
		server_set_busy(c->server, c, true);
	reading_set(c, !stop);
}

/* Zero or an error that stays ends the connection. */
static bool has_read(struct conn *c, ssize_t n)
{
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		conn_close(c);
	return n > 0;
}

/*
 * Reads into the common buffer, behind what is left of a frame; only the rest of the last frame
 * is copied to the connection.
 */
static void read_fresh(struct conn *c)
{
	struct server *s = c->server;
	size_t kept = c->in.n;
	if (kept > 0)
		memcpy(s->scratch, c->in.p, kept);
	ssize_t n = recv(c->fd, s->scratch + kept, SCRATCH_LEN - kept, MSG_DONTWAIT);
	if (!has_read(c, n)) {
		wipe(s->scratch, kept);
		return;
	}
	size_t all = kept + (size_t)n, used = 0, need = 0;
	buf_clear(&c->in);
	handle_frames(c, bytes_of(s->scratch, all), &used, &need);
	if (!c->closed && !c->closing && used < all &&
	    buf_put(&c->in, bytes_of(s->scratch + used, all - used)) != KMS_OK)
		conn_close(c);
	wipe(s->scratch, all);
}

static void handle_kept(struct conn *c)
{
	size_t used = 0, need = 0;
	handle_frames(c, buf_bytes(&c->in), &used, &need);
	if (!c->closed)
		buf_drop(&c->in, used);
}

/* Reads on in a large frame, up to its end. */
static void read_more(struct conn *c)
{
	struct bytes message;
	size_t used = 0, need = 0;
	kms_err e = frame_find(buf_bytes(&c->in), &message, &used, &need);
	size_t room = e == KMS_OK && need > c->in.n ? need - c->in.n : 0;
	if (room == 0) {
		handle_kept(c);
		return;
	}
	if (buf_reserve(&c->in, room) != KMS_OK) {
		conn_close(c);
		return;
	}
	ssize_t n = recv(c->fd, c->in.p + c->in.n, room, MSG_DONTWAIT);
	if (!has_read(c, n))
		return;
	c->in.n += (size_t)n;
	handle_kept(c);
}

void server_on_read(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct conn *c = arg;
	keeper_tick(c->server->k);
	c->refs++;
	if (c->in.n <= KEPT_SMALL)
		read_fresh(c);
	else
		read_more(c);
	reading_settle(c);
	conn_unref(c);
}

void reading_go_on(struct conn *c)
{
	c->refs++;
	if (c->in.n > 0)
		handle_kept(c);
	reading_settle(c);
	conn_unref(c);
}
