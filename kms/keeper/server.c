/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server: from the listening socket to whole frames, which go to request.c. One large buffer
 * is read into for everybody; only what is left of a frame is kept in its connection.
 */
#include "kms/keeper/server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kms/base/secret.h"
#include "kms/keeper/request.h"
#include "kms/keeper/tails.h"
#include "kms/keeper/turn.h"
#include "proto/frame.h"

enum {
	SCRATCH_LEN = 256 * 1024,     /* bytes read at once */
	KEPT_SMALL = SCRATCH_LEN / 4, /* the rest of a frame that is copied before what follows */
	OPERATOR_PLACES = 8,          /* connections above the cap for those who may administer */
	ACCEPT_AT_ONCE = 64,          /* connections taken in one turn */
	SWEEP_MS = 250,               /* how often deadlines are looked at */
	PAUSE_MS = 100                /* the listener rests so long when descriptors have run out */
};

TAILQ_HEAD(conn_list, conn);

struct server {
	struct keeper *k;
	struct event *listen_event, *sweep_event, *pause_event;
	struct conn_list all, busy, waiting, parked;
	uint32_t count;
	bool accepting, resume;
	uint64_t warned_us; /* when the last refusal of a connection was logged */
	uint8_t *scratch;
};

struct keeper *server_keeper(struct server *s)
{
	return s->k;
}

uint32_t server_count(const struct server *s)
{
	return s->count;
}

bool server_has_work(const struct server *s)
{
	return !TAILQ_EMPTY(&s->waiting);
}

void server_set_busy(struct server *s, struct conn *c, bool on)
{
	if (on == c->is_busy)
		return;
	c->is_busy = on;
	if (on)
		TAILQ_INSERT_TAIL(&s->busy, c, busy);
	else
		TAILQ_REMOVE(&s->busy, c, busy);
}

void server_set_waiting(struct server *s, struct conn *c, bool on)
{
	if (on == c->is_waiting)
		return;
	c->is_waiting = on;
	if (on)
		TAILQ_INSERT_TAIL(&s->waiting, c, waiting);
	else
		TAILQ_REMOVE(&s->waiting, c, waiting);
}

static void set_parked(struct server *s, struct conn *c, bool on)
{
	if (on == c->is_parked)
		return;
	c->is_parked = on;
	if (on)
		TAILQ_INSERT_TAIL(&s->parked, c, parked);
	else
		TAILQ_REMOVE(&s->parked, c, parked);
}

void server_forget(struct server *s, struct conn *c)
{
	server_set_busy(s, c, false);
	server_set_waiting(s, c, false);
	set_parked(s, c, false);
	TAILQ_REMOVE(&s->all, c, all);
	s->count--;
}

static void set_reading(struct conn *c, bool on)
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
	c->is_handling = true;
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
		if (request_handle(k, c, message) == REQUEST_PARK) {
			set_parked(c->server, c, true);
			break;
		}
		done += used;
		turn_push(k);
	}
	c->is_handling = false;
	/* Each whole frame restarts the clock for the one that is not whole yet. */
	if (done > 0)
		c->in_since_us = 0;
	*out_used = done;
}

/* After frames were handled: read on, or not; and since when a frame has been incomplete. */
static void settle(struct conn *c)
{
	if (c->closed)
		return;
	bool stop = c->closing || c->is_parked || conn_is_full(c) || !c->server->accepting;
	bool partial = c->in.n > 0 && !stop;
	if (!partial)
		c->in_since_us = 0;
	else if (c->in_since_us == 0)
		c->in_since_us = c->server->k->mono_us;
	if (c->in.n > 0)
		server_set_busy(c->server, c, true);
	set_reading(c, !stop);
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
	settle(c);
	conn_unref(c);
}

void server_on_write(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct conn *c = arg;
	keeper_tick(c->server->k);
	c->refs++;
	conn_flush(c);
	conn_unref(c);
}

void server_go_on(struct server *s, struct conn *c)
{
	(void)s;
	/* An answer that leaves at once comes here from the midst of its own connection's frames. */
	if (c->reading || c->closed || c->is_parked || c->closing || c->is_handling)
		return;
	c->refs++;
	if (c->in.n > 0)
		handle_kept(c);
	settle(c);
	conn_unref(c);
}

void server_resume_parked(struct server *s)
{
	s->resume = true;
}

void server_turn(struct server *s)
{
	if (!s->resume)
		return;
	s->resume = false;
	/* One that parks again goes to the tail of the list: take only those of now. */
	struct conn_list list = TAILQ_HEAD_INITIALIZER(list);
	TAILQ_CONCAT(&list, &s->parked, parked);
	struct conn *c;
	while ((c = TAILQ_FIRST(&list)) != NULL) {
		TAILQ_REMOVE(&list, c, parked);
		TAILQ_INSERT_TAIL(&s->parked, c, parked);
		set_parked(s, c, false);
		server_go_on(s, c);
	}
}

void server_release(struct server *s, uint64_t group)
{
	struct conn *c, *next;
	for (c = TAILQ_FIRST(&s->waiting); c != NULL; c = next) {
		next = TAILQ_NEXT(c, waiting);
		c->refs++;
		if (next != NULL)
			next->refs++;
		conn_release(c, group);
		conn_unref(c);
		/* What c's next frames did may have answered or closed any other connection. */
		bool gone = next != NULL && !next->is_waiting;
		if (next != NULL)
			conn_unref(next);
		if (gone)
			next = TAILQ_FIRST(&s->waiting);
	}
}

void server_refuse_waiting(struct server *s, kms_err e)
{
	/* Each call takes the connection off the list, or closes it. */
	struct conn *c;
	while ((c = TAILQ_FIRST(&s->waiting)) != NULL) {
		c->refs++;
		conn_refuse_waiting(c, e);
		conn_unref(c);
	}
}

/* A connection that has no place: told why, and closed. */
static void turn_away(struct server *s, struct conn *c)
{
	if (s->k->mono_us - s->warned_us > 1000000) {
		s->warned_us = s->k->mono_us;
		LOG(LOG_LEVEL_WARNING, "connections-full",
		    "A connection was refused: all places are taken.",
		    log_u64("connections", s->count));
	}
	request_refuse_connection(s->k, c, KMS_E_TOO_MANY);
}

static void admit(struct server *s, int fd)
{
	struct conn *c = NULL;
	if (conn_new(s, fd, &c) != KMS_OK) {
		(void)close(fd);
		return;
	}
	TAILQ_INSERT_TAIL(&s->all, c, all);
	s->count++;
	if (identity_of_peer(fd, &c->who) != KMS_OK) {
		conn_close(c);
		return;
	}
	identity_text(&c->who, c->who_text);
	uint32_t most = s->k->live.max_connections;
	if (policy_is_admin(&s->k->policy, &c->who))
		most += OPERATOR_PLACES;
	if (s->count > most)
		turn_away(s, c);
}

/* Out of descriptors: a listener that stays ready would spin. It rests a moment. */
static void rest_listener(struct server *s)
{
	const struct timeval pause = { .tv_usec = (suseconds_t)PAUSE_MS * 1000 };
	(void)event_del(s->listen_event);
	(void)event_add(s->pause_event, &pause);
}

static void on_listen(evutil_socket_t fd, short what, void *arg)
{
	(void)what;
	struct server *s = arg;
	keeper_tick(s->k);
	for (int i = 0; i < ACCEPT_AT_ONCE; i++) {
		int peer = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (peer >= 0) {
			admit(s, peer);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			rest_listener(s);
		return;
	}
}

static void on_pause_over(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct server *s = arg;
	if (s->accepting)
		(void)event_add(s->listen_event, NULL);
}

static bool is_late(const struct server *s, uint64_t since_us)
{
	return since_us != 0 && s->k->mono_us - since_us > s->k->live.frame_timeout_us;
}

static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct server *s = arg;
	struct conn *c, *next;
	keeper_tick(s->k);
	for (c = TAILQ_FIRST(&s->busy); c != NULL; c = next) {
		next = TAILQ_NEXT(c, busy);
		if (is_late(s, c->in_since_us) || is_late(s, c->out_since_us))
			conn_close(c);
		else if (conn_rest(c))
			server_set_busy(s, c, false);
	}
	turn_watch(s->k);
	tails_push(s->k);
}

void server_drain(struct server *s)
{
	s->accepting = false;
	(void)event_del(s->listen_event);
	struct conn *c, *next;
	for (c = TAILQ_FIRST(&s->all); c != NULL; c = next) {
		next = TAILQ_NEXT(c, all);
		set_reading(c, false);
	}
}

static kms_err start_events(struct server *s, int listen_fd)
{
	const struct timeval sweep = { .tv_usec = (suseconds_t)SWEEP_MS * 1000 };
	struct event_base *base = s->k->base;
	s->listen_event = event_new(base, listen_fd, EV_READ | EV_PERSIST, on_listen, s);
	s->sweep_event = event_new(base, -1, EV_PERSIST, on_sweep, s);
	s->pause_event = event_new(base, -1, 0, on_pause_over, s);
	if (s->listen_event == NULL || s->sweep_event == NULL || s->pause_event == NULL ||
	    event_add(s->listen_event, NULL) != 0 || event_add(s->sweep_event, &sweep) != 0)
		return KMS_E_NO_MEMORY;
	s->accepting = true;
	return KMS_OK;
}

kms_err server_new(struct keeper *k, int listen_fd, struct server **out)
{
	AUTO(server_free) struct server *s = calloc(1, sizeof(*s));
	if (s == NULL)
		return KMS_E_NO_MEMORY;
	s->k = k;
	TAILQ_INIT(&s->all);
	TAILQ_INIT(&s->busy);
	TAILQ_INIT(&s->waiting);
	TAILQ_INIT(&s->parked);
	s->scratch = malloc(SCRATCH_LEN);
	if (s->scratch == NULL)
		return KMS_E_NO_MEMORY;
	TRY(start_events(s, listen_fd));
	*out = MOVE(s);
	return KMS_OK;
}

static void event_done(struct event **e)
{
	if (*e != NULL)
		event_free(*e);
	*e = NULL;
}

void server_free(struct server **s)
{
	if (*s == NULL)
		return;
	for (struct conn *c; (c = TAILQ_FIRST(&(*s)->all)) != NULL;)
		conn_close(c);
	event_done(&(*s)->listen_event);
	event_done(&(*s)->sweep_event);
	event_done(&(*s)->pause_event);
	free((*s)->scratch);
	free(*s);
	*s = NULL;
}
