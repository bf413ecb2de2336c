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
	STRANGERS_SWEEP = 500, /* requests of all who may not administer, between two sweeps */
	TURNED_AWAY_MAX = 64,  /* connections without a place that wait for their answer */
	HELD_MAX =
	    32 << 20, /* bytes in buffers; beyond, those who may not administer get no more */
	OUT_LEAST = 64 * 1024, /* bytes that a peer must read within a frame's timeout */
	PAUSE_MS = 100         /* the listener rests so long when descriptors have run out */
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
	const struct conn *c;
	if (!TAILQ_EMPTY(&s->waiting))
		return true;
	TAILQ_FOREACH (c, &s->busy, busy) {
		if (c->released > 0)
			return true;
	}
	return false;
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

static void set_ready(struct server *s, struct conn *c, bool on)
{
	if (on == c->is_ready)
		return;
	c->is_ready = on;
	if (on)
		TAILQ_INSERT_TAIL(&s->ready, c, ready);
	else
		TAILQ_REMOVE(&s->ready, c, ready);
}

void server_forget(struct server *s, struct conn *c)
{
	s->held -= c->held;
	c->held = 0;
	s->turned_away -= c->turned_away;
	set_ready(s, c, false);
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

static bool is_admin(const struct conn *c)
{
	return policy_is_admin(&c->server->k->policy, &c->who);
}

/*
 * Who may do nothing still leaves records and takes memory: all of them share a number of requests
 * for each sweep, and the rest waits in their sockets.
 */
static bool may_ask(const struct conn *c)
{
	struct server *s = c->server;
	if (is_admin(c))
		return true;
	if (s->strangers == 0)
		return false;
	s->strangers--;
	return true;
}

static void account(struct conn *c)
{
	size_t now = c->closed ? 0 : c->in.cap + c->out.cap;
	c->server->held = c->server->held - c->held + now;
	c->held = now;
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
		if (!may_ask(c)) {
			set_parked(c->server, c, true);
			break;
		}
		if (request_handle(k, c, message) == REQUEST_PARK) {
			set_parked(c->server, c, true);
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

/* A connection that gets no place or no memory: told why, and closed; in a flood just closed. */
static void turn_away(struct server *s, struct conn *c)
{
	if (s->k->mono_us - s->warned_us > 1000000) {
		s->warned_us = s->k->mono_us;
		LOG(LOG_LEVEL_WARNING, "connections-full",
		    "A connection was refused: all places or buffers are taken.",
		    log_u64("connections", s->count), log_u64("buffers", s->held));
	}
	if (s->turned_away >= TURNED_AWAY_MAX || !may_ask(c)) {
		conn_close(c);
		return;
	}
	c->turned_away = true;
	s->turned_away++;
	request_refuse_connection(s->k, c, KMS_E_TOO_MANY);
}

/* After frames were handled: read on, or not; and since when a frame has been incomplete. */
static void settle(struct conn *c)
{
	account(c);
	if (c->closed)
		return;
	if (c->server->held > HELD_MAX && c->held > KEPT_SMALL && !is_admin(c)) {
		turn_away(c->server, c);
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
	if (!c->reading && !c->closed && !c->is_parked && !c->closing)
		set_ready(s, c, true);
}

void server_resume_parked(struct server *s)
{
	s->resume = true;
}

bool server_is_ready(const struct server *s)
{
	return s->resume || !TAILQ_EMPTY(&s->ready);
}

static void go_on(struct conn *c)
{
	c->refs++;
	if (c->in.n > 0)
		handle_kept(c);
	settle(c);
	conn_unref(c);
}

/* One that parks again comes behind the others: those of now have their turn once. */
static void wake_parked(struct server *s)
{
	struct conn *c;
	s->resume = false;
	while ((c = TAILQ_FIRST(&s->parked)) != NULL) {
		set_parked(s, c, false);
		set_ready(s, c, true);
	}
}

void server_turn(struct server *s)
{
	if (s->resume)
		wake_parked(s);
	/* What becomes ready meanwhile is for the next turn; what is closed leaves the list. */
	const struct conn *last = TAILQ_LAST(&s->ready, conn_list);
	for (struct conn *c; (c = TAILQ_FIRST(&s->ready)) != NULL;) {
		bool is_last = c == last;
		set_ready(s, c, false);
		go_on(c);
		if (is_last)
			break;
	}
}

void server_release(struct server *s, uint64_t group)
{
	struct conn *c, *next;
	for (c = TAILQ_FIRST(&s->waiting); c != NULL; c = next) {
		next = TAILQ_NEXT(c, waiting);
		c->refs++;
		conn_release(c, group);
		conn_unref(c);
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
	if (s->count - s->turned_away > most)
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

/* A peer that reads slowly but steadily begins another span; one that drips does not. */
static bool reads_on(const struct server *s, struct conn *c)
{
	bool enough = c->out_sent >= OUT_LEAST;
	c->out_sent = 0;
	c->out_since_us = s->k->mono_us;
	return enough;
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
		if (is_late(s, c->in_since_us) || (is_late(s, c->out_since_us) && !reads_on(s, c)))
			conn_close(c);
		else if (conn_rest(c)) {
			account(c);
			server_set_busy(s, c, false);
		}
	}
	if (s->strangers == 0)
		server_resume_parked(s);
	s->strangers = STRANGERS_SWEEP;
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
	s->strangers = STRANGERS_SWEEP;
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
	TAILQ_INIT(&s->ready);
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
