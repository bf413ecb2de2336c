/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper's server without an operation: the same loop, the same reading into one buffer, the
 * same decoding and encoding, one write a turn; each request is answered with an issued key that
 * is always the same. What this reaches is what sockets and frames allow (echo_ops).
 *   echo SOCKET
 */
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "kms/base/buf.h"
#include "kms/base/secret.h"
#include "proto/frame.h"
#include "proto/message.h"

enum {
	SCRATCH_LEN = 256 * 1024,
	ARENA_LIMIT = 4 << 20,
	WRAPPED_LEN = 96
};

struct echo {
	struct event_base *base;
	uint8_t *scratch;
	struct arena arena;
};

struct peer {
	struct echo *server;
	struct event read_event;
	int fd;
	struct buf in, out;
};

static void peer_close(struct peer *p)
{
	(void)event_del(&p->read_event);
	(void)close(p->fd);
	buf_done(&p->in);
	buf_done(&p->out);
	free(p);
}

static kms_err answer(struct peer *p, struct bytes message)
{
	static const uint8_t wrapped[WRAPPED_LEN] = { 1 }, clear[KEY_BITS_LEN] = { 2 };
	struct request r;
	TRY(request_decode(message, &p->server->arena, &r));
	const struct item_result item = { .wrapped = bytes_of(wrapped, sizeof(wrapped)),
		.plaintext = bytes_of(clear, sizeof(clear)),
		.key = r.key,
		.version = 1 };
	const struct answer a = {
		.id = r.id, .kind = ANSWER_ITEMS, .u.items = { .p = &item, .n = 1 }
	};
	TRY(answer_encode(&a, &p->server->arena, &p->out));
	arena_reset(&p->server->arena);
	return KMS_OK;
}

static kms_err handle(struct peer *p, struct bytes in, size_t *out_used)
{
	size_t done = 0;
	for (;;) {
		struct bytes message;
		size_t used = 0, need = 0;
		TRY(frame_find(bytes_of(in.p + done, in.n - done), &message, &used, &need));
		if (used == 0)
			break;
		TRY(answer(p, message));
		done += used;
	}
	*out_used = done;
	return KMS_OK;
}

/* Joins what was left of a frame with what has come. */
static kms_err take_in(struct peer *p, size_t n)
{
	struct echo *s = p->server;
	struct bytes in = { s->scratch, n };
	size_t used = 0;
	if (p->in.n > 0) {
		TRY(buf_put(&p->in, in));
		TRY(handle(p, buf_bytes(&p->in), &used));
		buf_drop(&p->in, used);
	} else {
		TRY(handle(p, in, &used));
		TRY(buf_put(&p->in, bytes_of(in.p + used, in.n - used)));
	}
	wipe(s->scratch, n);
	return KMS_OK;
}

static bool send_out(struct peer *p)
{
	while (p->out.n > 0) {
		ssize_t n = send(p->fd, p->out.p, p->out.n, MSG_NOSIGNAL);
		if (n < 0 && errno != EINTR)
			return false;
		buf_drop(&p->out, n > 0 ? (size_t)n : 0);
	}
	return true;
}

static void on_read(evutil_socket_t fd, short what, void *arg)
{
	struct peer *p = arg;
	(void)what;
	ssize_t n = recv(fd, p->server->scratch, SCRATCH_LEN, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 || take_in(p, (size_t)n) != KMS_OK || !send_out(p))
		peer_close(p);
}

static void on_listen(evutil_socket_t fd, short what, void *arg)
{
	struct echo *s = arg;
	(void)what;
	int peer_fd = accept(fd, NULL, NULL);
	struct peer *p = calloc(1, sizeof(*p));
	if (peer_fd < 0 || p == NULL) {
		free(p);
		return;
	}
	p->server = s;
	p->fd = peer_fd;
	if (event_assign(&p->read_event, s->base, peer_fd, EV_READ | EV_PERSIST, on_read, p) != 0 ||
	    event_add(&p->read_event, NULL) != 0)
		exit(EXIT_FAILURE);
}

static int listen_at(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(a.sun_path))
		return -1;
	memcpy(a.sun_path, path, strlen(path) + 1);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&a, sizeof(a)) != 0 || listen(fd, 64) != 0)
		return -1;
	return fd;
}

int main(int argc, char **argv)
{
	struct echo s = { .base = event_base_new(), .scratch = malloc(SCRATCH_LEN) };
	int fd = argc == 2 ? listen_at(argv[1]) : -1;
	if (fd < 0 || s.base == NULL || s.scratch == NULL) {
		(void)fprintf(stderr, "usage: echo SOCKET\n");
		return 2;
	}
	arena_init(&s.arena, ARENA_LIMIT);
	struct event *e = event_new(s.base, fd, EV_READ | EV_PERSIST, on_listen, &s);
	if (e == NULL || event_add(e, NULL) != 0)
		return EXIT_FAILURE;
	(void)puts("ready");
	(void)fflush(stdout);
	return event_base_dispatch(s.base) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
