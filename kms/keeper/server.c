/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server: accepting within caps, lists of connections and whose turn it is, deadlines, bounds.
 * From bytes to frames is reading.c's.
 */
#include "kms/keeper/server.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kms/keeper/request.h"
#include "kms/keeper/server_private.h"
#include "kms/keeper/tails.h"
#include "kms/keeper/turn.h"

enum {
	OPERATOR_PLACES = 8,   /* connections above the cap for those who may administer */
	ACCEPT_AT_ONCE = 64,   /* connections taken in one turn */
	SWEEP_MS = 250,        /* how often deadlines are looked at */
	STRANGERS_SWEEP = 500, /* requests of all who may not administer, between two sweeps */
	TURNED_AWAY_MAX = 64,  /* connections without a place that wait for their answer */
	OUT_LEAST = 64 * 1024, /* bytes that a peer must read within a frame's timeout */
	PAUSE_MS = 100         /* the listener rests so long when descriptors have run out */
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

void server_set_parked(struct server *s, struct conn *c, bool on)
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
	server_set_parked(s, c, false);
	TAILQ_REMOVE(&s->all, c, all);
	s->count--;
}

bool server_is_admin(const struct conn *c)
{
	return policy_is_admin(&c->server->k->policy, &c->who);
}

/*
 * Who may do nothing still leaves records and takes memory: all of them share a number of requests
 * for each sweep, and the rest waits in their sockets.
 */
bool server_may_ask(const struct conn *c)
{
	struct server *s = c->server;
	if (server_is_admin(c))
		return true;
	if (s->strangers == 0)
		return false;
	s->strangers--;
	return true;
}

void server_account(struct conn *c)
{
	size_t now = c->closed ? 0 : c->in.cap + c->out.cap;
	c->server->held = c->server->held - c->held + now;
	c->held = now;
}

/* A connection that gets no place or no memory: told why, and closed; in a flood just closed. */
void server_turn_away(struct server *s, struct conn *c)
{
	if (s->k->mono_us - s->warned_us > 1000000) {
		s->warned_us = s->k->mono_us;
		LOG(LOG_LEVEL_WARNING, "connections-full",
		    "A connection was refused: all places or buffers are taken.",
		    log_u64("connections", s->count), log_u64("buffers", s->held));
	}
	if (s->turned_away >= TURNED_AWAY_MAX || !server_may_ask(c)) {
		conn_close(c);
		return;
	}
	c->turned_away = true;
	s->turned_away++;
	request_refuse_connection(s->k, c, KMS_E_TOO_MANY);
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

/* One that parks again comes behind the others: those of now have their turn once. */
static void wake_parked(struct server *s)
{
	struct conn *c;
	s->resume = false;
	while ((c = TAILQ_FIRST(&s->parked)) != NULL) {
		server_set_parked(s, c, false);
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
		reading_go_on(c);
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
		server_turn_away(s, c);
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
			server_account(c);
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
		reading_set(c, false);
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
