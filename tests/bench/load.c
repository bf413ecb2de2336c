/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts load on a running kmsd and prints one flat JSON object. Closed loop: `flight` requests
 * under way on each of `connections`, a new one for each answer. Open loop (--rate): requests
 * leave at fixed times whatever the answers do, and latency counts from the time planned. Every
 * answer is decoded and checked; one that is not a success ends the run.
 */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "kms/base/buf.h"
#include "proto/frame.h"
#include "proto/message.h"
#include "tests/bench/load_options.h"

enum {
	TEMPLATES = 64, /* requests that are sent in turn; for unwrap, as many wrapped keys */
	BLOB_MAX = 256,
	IN_LEN = 1 << 20,
	EVENTS_AT_ONCE = 256,
	HISTOGRAM_US = 2000000, /* latencies from here on count as this one */
	ARENA_LIMIT = 4 << 20,
	WARM_UP_MS = 300
};

/* Ids from here on take four bytes, so a request that is ready needs only them changed. */
static const uint64_t id_base = 1 << 21;
static const size_t id_offset = FRAME_HEAD + 1;
static const uint64_t second_ns = 1000000000;

struct peer {
	int fd;
	uint8_t *in;
	size_t in_n;
	struct buf out;
};

struct load {
	struct options o;
	struct peer peers[CONNECTIONS_MAX];
	struct buf templates[TEMPLATES];
	uint8_t blobs[TEMPLATES][BLOB_MAX];
	size_t blob_n, next_template;
	size_t slots;
	uint64_t *sent_ns; /* of each slot; 0: free */
	size_t *free_slots, free_n;
	uint32_t *histogram;
	uint64_t answers, begin_ns;
	struct arena arena;
};

static uint64_t now_ns(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * second_ns + (uint64_t)t.tv_nsec;
}

static void must(kms_err e, const char *what)
{
	if (e == KMS_OK)
		return;
	(void)fprintf(stderr, "load: %s: %s\n", what, err_text(e));
	exit(EXIT_FAILURE);
}

static void *take(size_t n, size_t size)
{
	void *p = calloc(n, size);
	if (p == NULL)
		die("memory");
	return p;
}

/* ---- Connections ---------------------------------------------------------------------------- */

static int connect_to(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(a.sun_path))
		die("path of the socket");
	memcpy(a.sun_path, path, strlen(path) + 1);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&a, sizeof(a)) != 0)
		die(path);
	return fd;
}

static void open_peer(struct load *l, size_t i)
{
	l->peers[i].fd = connect_to(l->o.socket);
	l->peers[i].in = take(1, IN_LEN);
}

static void send_all(struct peer *p)
{
	size_t done = 0;
	while (done < p->out.n) {
		ssize_t n = send(p->fd, p->out.p + done, p->out.n - done, MSG_NOSIGNAL);
		if (n < 0 && errno != EINTR)
			die("send");
		done += n > 0 ? (size_t)n : 0;
	}
	p->out.n = 0;
}

/* Reads what is there; false if there was nothing and flags forbid waiting. */
static bool receive(struct peer *p, int flags)
{
	ssize_t n = recv(p->fd, p->in + p->in_n, IN_LEN - p->in_n, flags);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0)
		die("the connection was closed");
	p->in_n += (size_t)n;
	return true;
}

/* ---- Requests ------------------------------------------------------------------------------- */

static const struct pair context[] = {
	{ { (const uint8_t *)"call", 4 }, { (const uint8_t *)"20260301-000123", 15 } },
	{ { (const uint8_t *)"tenant", 6 }, { (const uint8_t *)"north", 5 } },
};

static const uint8_t plain[KEY_BITS_LEN] = { 7 };

/* Fills the operation's own fields. */
static void fill(const struct load *l, struct request *r, struct item *item)
{
	r->op = op_from_name(bytes_of_str(l->o.op));
	*item = (struct item){ .context = { context, ARRAY_LEN(context) } };
	switch (r->op) {
	case OP_ISSUE:
		r->key = bytes_of_str(l->o.key);
		r->context = item->context;
		break;
	case OP_WRAP:
		r->key = bytes_of_str(l->o.key);
		item->data = bytes_of(plain, sizeof(plain));
		break;
	case OP_UNWRAP: break;
	case OP_RANDOM: r->count = KEY_BITS_LEN; break;
	case OP_STATUS: break;
	default: die("--op is issue, wrap, unwrap, random or status");
	}
	if (r->op == OP_WRAP || r->op == OP_UNWRAP) {
		r->items = item;
		r->item_count = 1;
	}
}

static void make_templates(struct load *l)
{
	for (size_t i = 0; i < TEMPLATES; i++) {
		struct request r = { .id = id_base };
		struct item item;
		fill(l, &r, &item);
		if (r.op == OP_UNWRAP)
			item.data = bytes_of(l->blobs[i], l->blob_n);
		must(request_encode(&r, &l->templates[i]), "encode");
	}
}

static void put_id(uint8_t *frame, uint64_t id)
{
	uint8_t *p = frame + id_offset;
	for (int i = 0; i < 4; i++, id >>= 7)
		p[i] = (uint8_t)((id & 0x7f) | (i < 3 ? 0x80 : 0));
}

/* Puts a request into its connection's output; it counts from at_ns. */
static void put_request(struct load *l, size_t slot, uint64_t at_ns)
{
	struct peer *p = &l->peers[slot / l->o.flight];
	struct buf *t = &l->templates[l->next_template++ % TEMPLATES];
	put_id(t->p, id_base + slot);
	must(buf_put(&p->out, buf_bytes(t)), "memory");
	l->sent_ns[slot] = at_ns;
}

/* ---- Answers -------------------------------------------------------------------------------- */

static void check_answer(const struct answer *a)
{
	const struct answer_error *e = &a->error;
	if (a->kind == ANSWER_ITEMS && a->u.items.n == 1)
		e = &a->u.items.p[0].error;
	if (a->kind != ANSWER_ERROR && e->code.n == 0)
		return;
	(void)fprintf(stderr, "load: refused: %.*s\n", (int)e->name.n, (const char *)e->name.p);
	exit(EXIT_FAILURE);
}

/* Takes one answer's latency; returns its slot. */
static size_t count_answer(struct load *l, uint64_t id, uint64_t now)
{
	size_t slot = (size_t)(id - id_base);
	if (slot >= l->slots || l->sent_ns[slot] == 0)
		die("an answer that nobody asked for");
	if (now >= l->begin_ns) {
		uint64_t us = (now - l->sent_ns[slot]) / 1000;
		l->histogram[us < HISTOGRAM_US ? us : HISTOGRAM_US]++;
		l->answers++;
	}
	l->sent_ns[slot] = 0;
	return slot;
}

/* Handles the whole answers that p has read; `again` sends the next request for each. */
static void take_answers(struct load *l, struct peer *p, bool again)
{
	size_t done = 0;
	uint64_t now = now_ns();
	for (;;) {
		struct bytes message;
		size_t used = 0, need = 0;
		struct answer a;
		struct bytes in = { p->in + done, p->in_n - done };
		must(frame_find(in, &message, &used, &need), "frame");
		if (used == 0)
			break;
		must(answer_decode(message, &l->arena, &a), "answer");
		check_answer(&a);
		size_t slot = count_answer(l, a.id, now);
		arena_reset(&l->arena);
		if (again)
			put_request(l, slot, now);
		else
			l->free_slots[l->free_n++] = slot;
		done += used;
	}
	p->in_n -= done;
	memmove(p->in, p->in + done, p->in_n);
	if (p->out.n > 0)
		send_all(p);
}

/* ---- Loops ---------------------------------------------------------------------------------- */

static void first_requests(struct load *l)
{
	uint64_t now = now_ns();
	for (size_t i = 0; i < l->slots; i++)
		put_request(l, i, now);
	for (size_t i = 0; i < l->o.connections; i++)
		send_all(&l->peers[i]);
}

static void closed_loop_one(struct load *l, uint64_t end_ns)
{
	while (now_ns() < end_ns)
		if (receive(&l->peers[0], 0))
			take_answers(l, &l->peers[0], true);
}

static void closed_loop_many(struct load *l, uint64_t end_ns)
{
	struct epoll_event ready[EVENTS_AT_ONCE];
	int poll = epoll_create1(EPOLL_CLOEXEC);
	for (size_t i = 0; i < l->o.connections; i++) {
		struct epoll_event e = { .events = EPOLLIN, .data.u64 = i };
		if (epoll_ctl(poll, EPOLL_CTL_ADD, l->peers[i].fd, &e) != 0)
			die("epoll");
	}
	while (now_ns() < end_ns) {
		int n = epoll_wait(poll, ready, EVENTS_AT_ONCE, 1000);
		for (int i = 0; i < n; i++) {
			struct peer *p = &l->peers[ready[i].data.u64];
			if (receive(p, MSG_DONTWAIT))
				take_answers(l, p, true);
		}
	}
	(void)close(poll);
}

/* Until an answer comes or the next request is due. Spinning would take what a host with a quota
 * gives both of us, and measure its pauses. */
static void wait_until(const struct peer *p, uint64_t due_ns)
{
	struct pollfd fd = { .fd = p->fd, .events = POLLIN };
	uint64_t now = now_ns();
	uint64_t left = due_ns > now ? due_ns - now : 0;
	const struct timespec t = { .tv_sec = (time_t)(left / second_ns),
		.tv_nsec = (long)(left % second_ns) };
	if (left > 0)
		(void)ppoll(&fd, 1, &t, NULL);
}

static void open_loop(struct load *l, uint64_t end_ns)
{
	struct peer *p = &l->peers[0];
	(void)prctl(PR_SET_TIMERSLACK, 1UL, 0, 0, 0);
	double step = (double)second_ns / l->o.rate, due = (double)now_ns();
	for (uint64_t now = now_ns(); now < end_ns; now = now_ns()) {
		while (due <= (double)now && l->free_n > 0) {
			put_request(l, l->free_slots[--l->free_n], (uint64_t)due);
			due += step;
		}
		if (p->out.n > 0)
			send_all(p);
		wait_until(p, (uint64_t)due);
		if (receive(p, MSG_DONTWAIT))
			take_answers(l, p, false);
	}
}

static void run(struct load *l)
{
	l->begin_ns = now_ns() + WARM_UP_MS * (second_ns / 1000);
	uint64_t end_ns = l->begin_ns + (uint64_t)(l->o.seconds * (double)second_ns);
	if (l->o.rate > 0) {
		for (size_t i = 0; i < l->slots; i++)
			l->free_slots[l->free_n++] = i;
		open_loop(l, end_ns);
		return;
	}
	first_requests(l);
	if (l->o.connections == 1)
		closed_loop_one(l, end_ns);
	else
		closed_loop_many(l, end_ns);
}

/* ---- Set-up and report ---------------------------------------------------------------------- */

/* Wrapped keys to unwrap, asked for over a connection of their own. */
static void issue_blobs(struct load *l)
{
	struct peer p = { .fd = connect_to(l->o.socket), .in = take(1, IN_LEN) };
	struct request r = { .id = 1,
		.op = OP_ISSUE,
		.key = bytes_of_str(l->o.key),
		.count = TEMPLATES,
		.context = { context, ARRAY_LEN(context) } };
	struct bytes message;
	size_t used = 0, need = 0;
	struct answer a;
	must(request_encode(&r, &p.out), "encode");
	send_all(&p);
	while (used == 0) {
		(void)receive(&p, 0);
		must(frame_find(bytes_of(p.in, p.in_n), &message, &used, &need), "frame");
	}
	must(answer_decode(message, &l->arena, &a), "answer");
	check_answer(&a);
	for (size_t i = 0; i < TEMPLATES; i++) {
		struct bytes w = a.u.items.p[i].wrapped;
		if (w.n > BLOB_MAX)
			die("wrapped key");
		memcpy(l->blobs[i], w.p, w.n);
		l->blob_n = w.n;
	}
	arena_reset(&l->arena);
	(void)close(p.fd);
	free(p.in);
	buf_done(&p.out);
}

static double percentile(const struct load *l, double part)
{
	uint64_t left = (uint64_t)((double)l->answers * part);
	for (size_t us = 0; us <= HISTOGRAM_US; us++) {
		if (l->histogram[us] > left)
			return (double)us;
		left -= l->histogram[us];
	}
	return HISTOGRAM_US;
}

static void report(const struct load *l)
{
	(void)printf("{\"op\": \"%s\", \"ops\": %.0f, \"answers\": %llu, \"p50_us\": %.0f, "
	             "\"p90_us\": %.0f, \"p99_us\": %.0f, \"max_us\": %.0f}\n",
	    l->o.op, (double)l->answers / l->o.seconds, (unsigned long long)l->answers,
	    percentile(l, 0.5), percentile(l, 0.9), percentile(l, 0.99), percentile(l, 0.9999999));
}

static void pin(int cpu)
{
	cpu_set_t set;
	if (cpu < 0)
		return;
	CPU_ZERO(&set);
	CPU_SET((unsigned)cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) != 0)
		die("--cpu");
}

int main(int argc, char **argv)
{
	struct load *l = take(1, sizeof(*l));
	l->o = load_options(argc, argv);
	if (l->o.rate > 0)
		l->o.flight = INFLIGHT_MAX;
	pin(l->o.cpu);
	arena_init(&l->arena, ARENA_LIMIT);
	l->slots = l->o.flight * l->o.connections;
	l->sent_ns = take(l->slots, sizeof(*l->sent_ns));
	l->free_slots = take(l->slots, sizeof(*l->free_slots));
	l->histogram = take(HISTOGRAM_US + 1, sizeof(*l->histogram));
	for (size_t i = 0; i < l->o.connections; i++)
		open_peer(l, i);
	if (strcmp(l->o.op, "unwrap") == 0)
		issue_blobs(l);
	make_templates(l);
	run(l);
	report(l);
	return EXIT_SUCCESS;
}
