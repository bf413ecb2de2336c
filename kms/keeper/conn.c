/* SPDX-License-Identifier: Apache-2.0 */
/* One connection's buffers and output; see conn.h. Reading and handling frames is server.c's. */
#include "kms/keeper/conn.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kms/base/secret.h"
#include "kms/keeper/server.h"
#include "proto/frame.h"

kms_err conn_new(struct server *s, int fd, struct conn **out)
{
	struct conn *c = calloc(1, sizeof(*c));
	if (c == NULL)
		return KMS_E_NO_MEMORY;
	struct event_base *base = server_keeper(s)->base;
	c->server = s;
	c->fd = fd;
	c->refs = 1;
	if (event_assign(&c->read_event, base, fd, EV_READ | EV_PERSIST, server_on_read, c) != 0 ||
	    event_assign(&c->write_event, base, fd, EV_WRITE, server_on_write, c) != 0 ||
	    event_add(&c->read_event, NULL) != 0) {
		free(c);
		return KMS_E_IO;
	}
	c->reading = true;
	*out = c;
	return KMS_OK;
}

static void drop_buffers(struct conn *c)
{
	buf_done(&c->in);
	buf_done(&c->out);
	c->released = 0;
	c->mark_n = 0;
}

void conn_unref(struct conn *c)
{
	CHECK(c->refs > 0);
	if (--c->refs > 0)
		return;
	drop_buffers(c);
	identity_done(&c->who);
	free(c);
}

void conn_close(struct conn *c)
{
	if (c->closed)
		return;
	c->closed = true;
	(void)event_del(&c->read_event);
	(void)event_del(&c->write_event);
	(void)close(c->fd);
	drop_buffers(c);
	server_forget(c->server, c);
	conn_unref(c);
}

void conn_close_soon(struct conn *c)
{
	c->closing = true;
	if (c->out.n == 0 && c->inflight == 0 && c->pending == 0)
		conn_close(c);
}

bool conn_is_full(const struct conn *c)
{
	return c->inflight + c->pending >= INFLIGHT_MAX || c->out.n >= CONN_OUT_MAX;
}

/* A mark for this group, joined with the newest where that is the same. */
static void add_mark(struct conn *c, uint64_t group)
{
	struct conn_mark *last = c->mark_n > 0 ? &c->marks[c->mark_n - 1] : NULL;
	/* What need not wait goes behind what does: answers leave in their order. */
	if (last == NULL || (group != 0 && last->group != group)) {
		CHECK(c->mark_n < CONN_MARKS);
		last = &c->marks[c->mark_n++];
		*last = (struct conn_mark){ .group = group };
	}
	last->end = c->out.n;
	last->answers++;
}

void conn_answer(struct conn *c, const struct answer *ans, uint64_t group)
{
	if (c->closed)
		return;
	struct keeper *k = server_keeper(c->server);
	kms_err e = answer_encode(ans, &k->arena, &c->out);
	if (e != KMS_OK) {
		const struct answer refusal = {
			.id = ans->id, .kind = ANSWER_ERROR, .error = { .err = e }
		};
		if (answer_encode(&refusal, &k->arena, &c->out) != KMS_OK) {
			conn_close(c);
			return;
		}
	}
	c->inflight++;
	server_set_busy(c->server, c, true);
	add_mark(c, group);
	server_set_waiting(c->server, c, true);
}

/* Takes the marks that `group` fulfils; true if anything may leave now. */
static bool take_marks(struct conn *c, uint64_t group)
{
	size_t n = 0;
	while (n < c->mark_n && c->marks[n].group <= group) {
		c->released = c->marks[n].end;
		c->inflight -= c->marks[n].answers;
		n++;
	}
	for (size_t i = n; i < c->mark_n; i++)
		c->marks[i - n] = c->marks[i];
	c->mark_n -= n;
	if (c->mark_n == 0)
		server_set_waiting(c->server, c, false);
	return n > 0;
}

void conn_release(struct conn *c, uint64_t group)
{
	if (take_marks(c, group))
		conn_flush(c);
}

/* Drops what has left from the front of out. */
static void sent(struct conn *c, size_t n)
{
	buf_drop(&c->out, n);
	c->released -= n;
	for (size_t i = 0; i < c->mark_n; i++)
		c->marks[i].end -= n;
}

static void wait_for_peer(struct conn *c)
{
	if (c->out_since_us == 0) {
		c->out_since_us = server_keeper(c->server)->mono_us;
		c->out_sent = 0;
	}
	if (event_add(&c->write_event, NULL) != 0)
		conn_close(c);
}

void conn_flush(struct conn *c)
{
	ssize_t n = 0;
	if (c->released > 0)
		n = send(c->fd, c->out.p, c->released, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		conn_close(c);
		return;
	}
	if (n > 0) {
		c->out_sent += (uint64_t)n;
		sent(c, (size_t)n);
	}
	if (c->released > 0) {
		wait_for_peer(c);
		return;
	}
	c->out_since_us = 0;
	if (c->closing && c->out.n == 0 && c->pending == 0)
		conn_close(c);
	else
		server_go_on(c->server, c);
}

/* The id of an answer that we encoded ourselves. */
static uint64_t id_of(struct bytes message, struct arena *a)
{
	struct answer ans;
	return answer_decode(message, a, &ans) == KMS_OK ? ans.id : 0;
}

void conn_refuse_waiting(struct conn *c, kms_err e)
{
	struct keeper *k = server_keeper(c->server);
	AUTO(buf_done) struct buf held = { 0 };
	struct bytes left = { c->out.p + c->released, c->out.n - c->released };
	kms_err r = buf_put(&held, left);
	wipe(c->out.p + c->released, left.n);
	c->out.n = c->released;
	left = buf_bytes(&held);
	while (r == KMS_OK && left.n > 0) {
		struct bytes message;
		size_t used = 0, need = 0;
		r = frame_find(left, &message, &used, &need);
		CHECK(r == KMS_OK && used > 0); /* we wrote it */
		const struct answer refusal = {
			.id = id_of(message, &k->arena), .kind = ANSWER_ERROR, .error = { .err = e }
		};
		arena_reset(&k->arena);
		r = answer_encode(&refusal, &k->arena, &c->out);
		left = bytes_of(left.p + used, left.n - used);
	}
	if (c->mark_n > 0)
		c->marks[c->mark_n - 1].end = c->out.n;
	(void)take_marks(c, UINT64_MAX);
	if (r == KMS_OK)
		conn_flush(c);
	else
		conn_close(c);
}

bool conn_rest(struct conn *c)
{
	if (c->in.n > 0 || c->out.n > 0 || c->inflight + c->pending > 0)
		return false;
	buf_done(&c->in);
	buf_done(&c->out);
	return true;
}
