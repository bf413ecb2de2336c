/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of libkms: a thread that listens on a socket in a folder of its own and hands each
 * request to the test's function, which answers, stays silent, or ends the connection. One
 * connection at a time. toy_serve() wraps keys well enough for whole files; it keeps no secret.
 */
#pragma once

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "kms/base/arena.h"
#include "kms/base/buf.h"
#include "kms/client/conn.h"
#include "kms/client/kms.h"
#include "proto/frame.h"
#include "proto/message.h"

enum {
	FAKE_PATH = 64,
	FAKE_PATIENCE_S = 30, /* a test that blocks for longer has failed */
	FAKE_ARENA = 8 << 20
};

/* A struct bytes of a literal. */
#define TEXT(s)                                                                                    \
	{                                                                                          \
		.p = (const uint8_t *)(s), .n = sizeof(s) - 1                                      \
	}

struct fake {
	char dir[FAKE_PATH], path[FAKE_PATH + 8];
	int listening, stop, fd;
	pthread_t thread;
	/* Runs in the thread; false ends the connection. */
	bool (*serve)(struct fake *f, const struct request *r);
	void *user;                     /* the test's own */
	unsigned connections, requests; /* so far */
	struct buf in;
	struct buf last; /* the last request's message */
	struct arena arena;
};

static inline void fake_send(struct fake *f, struct bytes x)
{
	while (x.n > 0) {
		ssize_t n = send(f->fd, x.p, x.n, MSG_NOSIGNAL);
		if (n < 0)
			return;
		x = bytes_of(x.p + n, x.n - (size_t)n);
	}
}

static inline void fake_answer(struct fake *f, const struct answer *a)
{
	AUTO(buf_done) struct buf frame = { .p = NULL };

	CHECK(answer_encode(a, NULL, &frame) == KMS_OK);
	fake_send(f, buf_bytes(&frame));
}

static inline void fake_done(struct fake *f, uint64_t id)
{
	fake_answer(f, &(struct answer){ .id = id, .kind = ANSWER_DONE });
}

static inline void fake_refuse(struct fake *f, uint64_t id, kms_err e)
{
	fake_answer(f, &(struct answer){ .id = id, .error = { .err = e } });
}

/* False: told to stop. */
static inline bool fake_wait(struct fake *f, int fd)
{
	struct pollfd p[2] = { { .fd = fd, .events = POLLIN },
		{ .fd = f->stop, .events = POLLIN } };

	CHECK(poll(p, 2, -1) > 0);
	return p[1].revents == 0;
}

/* Whole frames of what has come so far. False ends the connection. */
static inline bool fake_take(struct fake *f)
{
	struct bytes message;
	size_t used;
	size_t need;

	CHECK(frame_find(buf_bytes(&f->in), &message, &used, &need) == KMS_OK);
	while (used > 0) {
		struct request r;

		buf_clear(&f->last);
		CHECK(buf_put(&f->last, message) == KMS_OK);
		buf_drop(&f->in, used);
		arena_reset(&f->arena);
		CHECK(request_decode(buf_bytes(&f->last), &f->arena, &r) == KMS_OK);
		f->requests++;
		if (!f->serve(f, &r))
			return false;
		CHECK(frame_find(buf_bytes(&f->in), &message, &used, &need) == KMS_OK);
	}
	return true;
}

static inline void fake_connection(struct fake *f)
{
	struct timeval patience = { .tv_sec = FAKE_PATIENCE_S };

	CHECK(setsockopt(f->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) == 0);
	buf_clear(&f->in);
	f->connections++;
	while (fake_wait(f, f->fd)) {
		CHECK(buf_reserve(&f->in, 65536) == KMS_OK);
		ssize_t n = recv(f->fd, f->in.p + f->in.n, f->in.cap - f->in.n, 0);
		if (n <= 0)
			return;
		f->in.n += (size_t)n;
		if (!fake_take(f))
			return;
	}
}

static inline void *fake_run(void *arg)
{
	struct fake *f = arg;
	sigset_t all;

	/* Signals are for the side that is tested. */
	CHECK(sigfillset(&all) == 0 && pthread_sigmask(SIG_BLOCK, &all, NULL) == 0);
	while (fake_wait(f, f->listening)) {
		f->fd = accept4(f->listening, NULL, NULL, SOCK_CLOEXEC);
		if (f->fd < 0)
			continue;
		fake_connection(f);
		CHECK(close(f->fd) == 0);
	}
	return NULL;
}

/* Listens; nobody accepts before fake_start. */
static inline void fake_listen(struct fake *f, int backlog)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	*f = (struct fake){ .dir = "/tmp/kms-fake-XXXXXX" };
	CHECK(mkdtemp(f->dir) != NULL);
	(void)snprintf(f->path, sizeof(f->path), "%s/sock", f->dir);
	memcpy(at.sun_path, f->path, sizeof(f->path));
	f->listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	f->stop = eventfd(0, EFD_CLOEXEC);
	CHECK(f->listening >= 0 && f->stop >= 0);
	CHECK(bind(f->listening, (const struct sockaddr *)&at, sizeof(at)) == 0);
	CHECK(listen(f->listening, backlog) == 0);
}

static inline void fake_start(
    struct fake *f, bool (*serve)(struct fake *, const struct request *), void *user)
{
	fake_listen(f, 16);
	f->serve = serve;
	f->user = user;
	arena_init(&f->arena, FAKE_ARENA);
	CHECK(pthread_create(&f->thread, NULL, fake_run, f) == 0);
}

static inline void fake_stop(struct fake *f)
{
	uint64_t one = 1;

	CHECK(write(f->stop, &one, sizeof(one)) == sizeof(one));
	if (f->serve != NULL)
		CHECK(pthread_join(f->thread, NULL) == 0);
	CHECK(close(f->listening) == 0 && close(f->stop) == 0);
	CHECK(unlink(f->path) == 0 && rmdir(f->dir) == 0);
	arena_done(&f->arena);
	buf_done(&f->in);
	buf_done(&f->last);
}

/* A connection to it, with a deadline. */
static inline struct kms *fake_client(const struct fake *f, uint32_t deadline_ms)
{
	const struct kms_options o = { .socket = f->path, .deadline_ms = deadline_ms };
	struct kms *c = NULL;

	CHECK(kms_connect(&o, &c) == KMS_CODE_OK);
	return c;
}

/* kms_submit_… for an operation whose answer is made with ease. */
static inline uint64_t fake_submit_seal(struct kms *c)
{
	struct request r = { .op = OP_SEAL };
	const struct want want = { .kind = ANSWER_DONE };
	uint64_t id;

	CHECK(conn_submit(c, &r, &want, &id) == KMS_OK);
	return id;
}

/* ---- A toy keeper ------------------------------------------------------------------------- */

enum {
	TOY_KEY_AT = 2,
	TOY_SUM_AT = TOY_KEY_AT + KEY_BITS_LEN,
	TOY_WRAPPED = TOY_SUM_AT + 8
};

/* How toy_serve works; its `user`. */
struct toy {
	uint8_t version;
	uint8_t next_key; /* each issued key is this byte 32 times, then the next one */
	size_t padding;   /* bytes that a rewrapped key is longer by */
	bool compromised; /* what unwrap says of the version */
};

/* The same for every order of the pairs. */
static inline uint64_t toy_sum(struct pairs context)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < context.n; i++) {
		uint64_t h = UINT64_C(0xcbf29ce484222325);
		for (size_t k = 0; k < context.p[i].name.n; k++)
			h = (h ^ context.p[i].name.p[k]) * UINT64_C(0x100000001b3);
		h *= 31;
		for (size_t k = 0; k < context.p[i].value.n; k++)
			h = (h ^ context.p[i].value.p[k]) * UINT64_C(0x100000001b3);
		sum += h;
	}
	return sum;
}

static inline void toy_wrap(
    const struct toy *t, const uint8_t *key, struct pairs context, uint8_t out[static TOY_WRAPPED])
{
	out[0] = 'W';
	out[1] = t->version;
	for (size_t i = 0; i < KEY_BITS_LEN; i++)
		out[TOY_KEY_AT + i] = key[i] ^ 0x55;
	store_u64(out + TOY_SUM_AT, toy_sum(context));
}

static inline bool toy_unwrap(struct bytes wrapped, struct pairs context, uint8_t *out_key)
{
	if (wrapped.n < TOY_WRAPPED || wrapped.p[0] != 'W')
		return false;
	if (load_u64(wrapped.p + TOY_SUM_AT) != toy_sum(context))
		return false;
	for (size_t i = 0; i < KEY_BITS_LEN; i++)
		out_key[i] = wrapped.p[TOY_KEY_AT + i] ^ 0x55;
	return true;
}

/* Issue, unwrap and rewrap, one key each. */
static inline bool toy_serve(struct fake *f, const struct request *r)
{
	struct toy *t = f->user;
	uint8_t key[KEY_BITS_LEN];
	uint8_t wrapped[TOY_WRAPPED + 256] = { 0 };
	struct item_result item = { .key = r->key, .version = t->version };
	struct answer a = { .id = r->id, .kind = ANSWER_ITEMS, .u.items = { .p = &item, .n = 1 } };

	if (r->op == OP_ISSUE) {
		memset(key, t->next_key++, sizeof(key));
		toy_wrap(t, key, r->context, wrapped);
		item.wrapped = bytes_of(wrapped, TOY_WRAPPED);
		item.plaintext = bytes_of(key, sizeof(key));
	} else if (r->item_count != 1) {
		fake_refuse(f, r->id, KMS_E_BAD_OPERATION);
		return true;
	} else if (!toy_unwrap(r->items[0].data, r->items[0].context, key)) {
		item.error.err = KMS_E_INTEGRITY;
	} else if (r->op == OP_REWRAP) {
		toy_wrap(t, key, r->items[0].context, wrapped);
		item.wrapped = bytes_of(wrapped, TOY_WRAPPED + t->padding);
	} else {
		item.plaintext = bytes_of(key, sizeof(key));
		item.compromised = t->compromised;
		item.rewrap_advised = t->compromised;
	}
	fake_answer(f, &a);
	return true;
}
