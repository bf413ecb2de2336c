/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moves bytes between the caller's requests and the socket. One thread, no callbacks: whatever
 * waits also reads and writes, so that neither side can block the other for good.
 */
#include "kms/client/conn.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kms/base/clock.h"
#include "proto/frame.h"

enum {
	READ_ROOM = 32768,     /* bytes asked for at once */
	SENT_ROOM = 262144,    /* sent bytes that may lie before unsent ones */
	SCRATCH_MAX = 4 << 20, /* a batch of 1,024 with 32 pairs each, and more */
	US_PER_MS = 1000
};

kms_err conn_open(const char *path, int fd, struct kms **out)
{
	AUTO(kms_close) struct kms *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return KMS_E_NO_MEMORY;
	c->fd = fd;
	c->deadline_ms = DEADLINE_MS;
	c->wake_us = UINT64_MAX;
	arena_init(&c->scratch, SCRATCH_MAX);
	flights_init(&c->flights);
	c->path = strdup(path);
	if (c->path == NULL)
		return KMS_E_NO_MEMORY;
	*out = MOVE(c);
	return KMS_OK;
}

/* The connection is of no more use; nobody waits for ever for what was asked on it. */
static kms_err drop(struct kms *c, kms_err why)
{
	if (c->fd >= 0)
		(void)close(c->fd);
	c->fd = -1;
	c->sent = 0;
	c->wake_us = UINT64_MAX;
	buf_clear(&c->in);
	buf_clear(&c->out);
	flights_lose(&c->flights, why);
	return why;
}

void kms_close(struct kms **c)
{
	struct kms *x = MOVE(*c);

	if (x == NULL)
		return;
	(void)drop(x, KMS_E_CONNECTION_LOST);
	flights_done(&x->flights);
	arena_done(&x->scratch);
	buf_done(&x->in);
	buf_done(&x->out);
	free(x->path);
	free(x);
}

static kms_err lost(struct kms *c, int error)
{
	const char *why = error == 0 ? "closed by kmsd" : strerrordesc_np(error);

	(void)snprintf(c->detail, sizeof(c->detail), "%s", why);
	return KMS_E_CONNECTION_LOST;
}

/* ---- Receiving ---------------------------------------------------------------------------- */

static bool is_wanted(const struct flight *f, const struct answer *a)
{
	if (a->kind == ANSWER_ERROR)
		return true;
	if (a->kind == f->also)
		return true;
	return a->kind == f->kind && (a->kind != ANSWER_ITEMS || a->u.items.n == f->items);
}

/* Whatever the peer did wrong, the caller's request was not bad: its outcome is unknown. */
static kms_err misunderstood(struct kms *c, const char *why)
{
	(void)snprintf(c->detail, sizeof(c->detail), "%s", why);
	return KMS_E_BAD_ANSWER;
}

/* An error with id 0 is about the connection as a whole: kmsd says it and closes. */
static kms_err refused(struct kms *c, const struct answer_error *e)
{
	size_t n = e->detail.n < sizeof(c->detail) ? e->detail.n : sizeof(c->detail) - 1;

	if (n > 0)
		memcpy(c->detail, e->detail.p, n);
	c->detail[n] = '\0';
	return e->err;
}

static kms_err take_message(struct kms *c, struct bytes message)
{
	AUTO(kms_result_free) struct kms_result *r = NULL;

	kms_err e = result_new(message, &r);
	if (e == KMS_E_BAD_FRAME)
		return misunderstood(c, "an answer is not well formed");
	TRY(e);
	if (r->answer.id == 0 && r->answer.kind == ANSWER_ERROR)
		return refused(c, &r->answer.error);
	struct flight *f = flight_find(&c->flights, r->answer.id);
	if (f == NULL)
		return misunderstood(c, "an answer to no request of ours");
	if (!is_wanted(f, &r->answer))
		return misunderstood(c, "an answer to another question");
	flight_land(&c->flights, f, MOVE(r));
	return KMS_OK;
}

static kms_err take_frames(struct kms *c)
{
	size_t at = 0;
	size_t used;
	size_t need;

	do {
		struct bytes message;
		struct bytes rest = bytes_of(c->in.p + at, c->in.n - at);
		if (frame_find(rest, &message, &used, &need) != KMS_OK)
			return misunderstood(c, "no frame can have this length");
		if (used > 0)
			TRY(take_message(c, message));
		at += used;
	} while (used > 0);

	buf_drop(&c->in, at);
	return buf_reserve(&c->in, need - c->in.n);
}

static kms_err receive(struct kms *c, bool *out_any)
{
	TRY(buf_reserve(&c->in, READ_ROOM));

	size_t room = c->in.cap - c->in.n;
	ssize_t n = recv(c->fd, c->in.p + c->in.n, room, MSG_DONTWAIT);
	if (n == 0)
		return lost(c, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		*out_any = false;
		return KMS_OK;
	}
	if (n < 0)
		return lost(c, errno);

	c->in.n += (size_t)n;
	TRY(take_frames(c));
	*out_any = true;
	return KMS_OK;
}

/* ---- Sending and waiting ------------------------------------------------------------------ */

/* Where requests are submitted as fast as answers come, `out` may never be empty. */
static void forget_sent(struct kms *c)
{
	bool worth = c->sent >= SENT_ROOM && c->sent >= c->out.n / 2;

	if (c->sent < c->out.n && !worth)
		return;
	buf_drop(&c->out, c->sent);
	c->sent = 0;
}

static kms_err send_some(struct kms *c)
{
	while (c->sent < c->out.n) {
		ssize_t n = send(
		    c->fd, c->out.p + c->sent, c->out.n - c->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0)
			return lost(c, errno);
		c->sent += (size_t)n;
	}
	forget_sent(c);
	return KMS_OK;
}

/* Finds out whether a deadline has passed, and when the next one does. */
static kms_err check_deadlines(struct kms *c, uint64_t now)
{
	uint64_t next = UINT64_MAX;

	if (now < c->wake_us)
		return KMS_OK;
	for (size_t i = 0; i < INFLIGHT_MAX; i++) {
		const struct flight *f = &c->flights.all[i];
		if (f->state == FLIGHT_UNDER_WAY && f->deadline_us < next)
			next = f->deadline_us;
	}
	c->wake_us = next;
	return next <= now ? KMS_E_TIMED_OUT : KMS_OK;
}

static kms_err poll_until(struct kms *c, uint64_t now, uint64_t until)
{
	bool unsent = c->sent < c->out.n;
	struct pollfd p = { .fd = c->fd, .events = (short)(POLLIN | (unsent ? POLLOUT : 0)) };
	uint64_t ms = (until - now) / US_PER_MS + 1;
	int timeout = ms > INT32_MAX ? INT32_MAX : (int)ms;

	if (poll(&p, 1, timeout) < 0 && errno != EINTR)
		return lost(c, errno);
	return KMS_OK;
}

/* Whoever closed may have said why before, and answered some: that is read first. */
static kms_err drain(struct kms *c, kms_err broken)
{
	bool any = true;

	while (any)
		TRY(receive(c, &any));
	return broken;
}

static kms_err step_inside(struct kms *c, uint64_t until)
{
	bool any;

	kms_err sent = send_some(c);
	if (sent != KMS_OK)
		return drain(c, sent);
	TRY(receive(c, &any));

	/* Also after bytes came: a peer that drips them must not hold us for ever. */
	uint64_t now = clock_mono_us();
	TRY(check_deadlines(c, now));
	if (any)
		return KMS_OK;
	uint64_t end = until < c->wake_us ? until : c->wake_us;
	return end > now ? poll_until(c, now, end) : KMS_OK;
}

/* Sends and receives what can be now, else waits until something can or `until` has come. */
static kms_err step(struct kms *c, uint64_t until)
{
	kms_err e = c->fd < 0 ? KMS_E_CONNECTION_LOST : step_inside(c, until);

	return e == KMS_OK ? KMS_OK : drop(c, e);
}

/* ---- What the calls use ------------------------------------------------------------------- */

/* While nothing is under way a restart of kmsd costs no request: it is noticed here. */
static bool is_stale(const struct kms *c)
{
	uint8_t byte;

	if (c->flights.under_way > 0)
		return false;
	return recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || errno != EAGAIN;
}

static kms_err connect_if_needed(struct kms *c)
{
	if (c->fd >= 0 && !is_stale(c))
		return KMS_OK;
	(void)drop(c, KMS_E_CONNECTION_LOST);
	c->detail[0] = '\0';
	return socket_open(c->path, c->deadline_ms, c->detail, &c->fd);
}

kms_err conn_submit(struct kms *c, struct request *r, const struct want *want, uint64_t *out_id)
{
	TRY(connect_if_needed(c));
	struct flight *f = flight_new(&c->flights);
	if (f == NULL)
		return KMS_E_TOO_MANY;

	r->id = f->id;
	kms_err e = request_encode(r, &c->out);
	if (e != KMS_OK) {
		flight_cancel(&c->flights, f);
		return e;
	}
	f->kind = want->kind;
	f->also = want->also;
	f->items = want->items;
	f->awaited = want->awaited;
	f->deadline_us = clock_mono_us() + ((uint64_t)c->deadline_ms + want->extra_ms) * US_PER_MS;
	if (f->deadline_us < c->wake_us)
		c->wake_us = f->deadline_us;
	*out_id = f->id;
	return KMS_OK;
}

static kms_err give_back(struct kms *c, struct flight *f, uint64_t *out_id, struct kms_result **out)
{
	kms_err e = f->state == FLIGHT_LOST ? f->lost : KMS_OK;

	*out_id = f->id;
	if (e == KMS_OK)
		*out = MOVE(f->result);
	flight_free(&c->flights, f);
	return e;
}

kms_err conn_await(struct kms *c, uint64_t id, struct kms_result **out)
{
	struct flight *f = flight_find(&c->flights, id);

	CHECK(f != NULL && f->awaited);
	kms_err e = KMS_OK;
	while (f->state == FLIGHT_UNDER_WAY && e == KMS_OK)
		e = step(c, f->deadline_us);
	return give_back(c, f, &id, out);
}

kms_err conn_send(struct kms *c)
{
	kms_err e = KMS_OK;

	while (e == KMS_OK && c->sent < c->out.n)
		e = step(c, UINT64_MAX);
	return e;
}

kms_err conn_next(struct kms *c, int timeout_ms, uint64_t *out_id, struct kms_result **out)
{
	uint64_t until = UINT64_MAX;
	struct flight *f = flights_next(&c->flights);

	if (timeout_ms >= 0)
		until = clock_mono_us() + (uint64_t)timeout_ms * US_PER_MS;
	/* What a fault loses comes back through flights_next as well. */
	kms_err e = KMS_OK;
	bool late = false;
	while (f == NULL && c->flights.under_way > 0 && !late && e == KMS_OK) {
		e = step(c, until);
		f = flights_next(&c->flights);
		late = timeout_ms >= 0 && clock_mono_us() >= until;
	}
	if (f != NULL)
		return give_back(c, f, out_id, out);
	*out_id = 0;
	return KMS_OK;
}
