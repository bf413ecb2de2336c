/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole keeper inside of one process, for fuzzing and for tests that a TPM would slow down: real
 * store, log and sockets in a temporary folder; the parent is played by link_fd's other end, a TPM
 * and a token by sealers that can be told to fail. Only in builds without a sandbox.
 */
#pragma once

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "kms/base/secret.h"
#include "kms/keeper/keeper.h"
#include "kms/keeper/root.h"
#include "kms/seal/serve.h"
#include "proto/frame.h"
#include "proto/message.h"

/* What a piece of hardware is like: one TPM, and one token, which has no counter. */
struct fake_chip {
	uint64_t counter;
	kms_err fails; /* every act, until it is KMS_OK again */
	uint8_t flips; /* xored into the first byte of each root that it opens */
};
static struct fake_chip fake_chip, fake_token;

struct sealer {
	struct fake_chip *chip;
};

static kms_err open_as(struct fake_chip *chip, struct sealer **out)
{
	if (chip->fails != KMS_OK)
		return chip->fails;
	struct sealer *s = calloc(1, sizeof(*s));
	if (s == NULL)
		return KMS_E_NO_MEMORY;
	s->chip = chip;
	*out = s;
	return KMS_OK;
}

static kms_err chip_open(const struct sealer_params *p, struct sealer **out)
{
	(void)p;
	return open_as(&fake_chip, out);
}

static kms_err token_open(const struct sealer_params *p, struct sealer **out)
{
	(void)p;
	return open_as(&fake_token, out);
}

static void chip_close(struct sealer **s)
{
	free(*s);
	*s = NULL;
}

/* The root itself: an old blob goes on opening the old root, as with real hardware. */
static kms_err chip_seal(struct sealer *s, const struct secret *root, struct bytes before,
    struct buf *out_blob, uint64_t *out_counter)
{
	if (s->chip == &fake_chip && before.n == 0)
		s->chip->counter++;
	*out_counter = s->chip == &fake_chip ? s->chip->counter : 0;
	return buf_put(out_blob, secret_bytes(root));
}

static kms_err chip_unseal(struct sealer *s, struct bytes blob, struct secret **out_root)
{
	TRY(secret_from(blob, out_root));
	secret_fill(*out_root)[0] ^= s->chip->flips;
	return KMS_OK;
}

static kms_err chip_counter(
    struct sealer *s, struct bytes blob, const struct sealer_move *move, uint64_t *out)
{
	(void)blob;
	if (move != NULL && (move->target == 0 || move->target == s->chip->counter + 1))
		s->chip->counter++;
	*out = s->chip->counter;
	return KMS_OK;
}

static kms_err chip_sign(struct sealer *s, struct bytes blob, struct bytes message, struct buf *out)
{
	(void)s;
	(void)blob;
	return buf_put(out, message);
}

static kms_err chip_public(struct sealer *s, struct bytes blob, struct buf *out)
{
	(void)s;
	return buf_put(out, blob);
}

static kms_err chip_random(struct sealer *s, uint8_t *out, size_t n)
{
	(void)s;
	memset(out, 7, n);
	return KMS_OK;
}

static kms_err chip_describe(struct sealer *s, struct buf *out)
{
	(void)s;
	return buf_put(out, bytes_of("a fake chip", 11));
}

static uint32_t chip_code(const struct sealer *s)
{
	(void)s;
	return 0;
}

static const struct sealer_kind fake_kind = { .name = "tpm",
	.open = chip_open,
	.close = chip_close,
	.seal = chip_seal,
	.unseal = chip_unseal,
	.counter = chip_counter,
	.sign = chip_sign,
	.public_key = chip_public,
	.random = chip_random,
	.describe = chip_describe,
	.last_code = chip_code };

static const struct sealer_kind token_kind = { .name = "pkcs11",
	.open = token_open,
	.close = chip_close,
	.seal = chip_seal,
	.unseal = chip_unseal,
	.sign = chip_sign,
	.public_key = chip_public,
	.random = chip_random,
	.describe = chip_describe,
	.last_code = chip_code };

struct rig {
	char dir[64];
	struct config config;
	struct keeper_start start;
	struct keeper k;
	int parent_fd;
	struct event *parent_event, *helper_event;
	int helper_fd;
};

/* One task and its end, as kms-seal would do it; the process is new each time. */
static void rig_on_task(evutil_socket_t fd, short what, void *arg)
{
	(void)what;
	struct rig *r = arg;
	static const struct sealer_kind *const kinds[] = { &fake_kind, &token_kind };
	kms_err e = serve_tasks(fd, kinds, ARRAY_LEN(kinds), 0);
	(void)e;
	event_free(r->helper_event);
	r->helper_event = NULL;
	(void)close(r->helper_fd);
}

static void rig_on_parent(evutil_socket_t fd, short what, void *arg)
{
	(void)what;
	struct rig *r = arg;
	struct link_message m;
	int attached = -1, pair[2];
	if (link_receive(fd, &m, &attached) != KMS_OK || m.word != LINK_HELPER_START)
		return;
	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
	if (r->helper_event != NULL) { /* one that is not needed any more */
		event_free(r->helper_event);
		(void)close(r->helper_fd);
	}
	r->helper_fd = pair[1];
	r->helper_event = event_new(r->k.base, pair[1], EV_READ | EV_PERSIST, rig_on_task, r);
	CHECK(r->helper_event != NULL && event_add(r->helper_event, NULL) == 0);
	const struct link_message started = { .word = LINK_HELPER_STARTED, .number = m.number };
	CHECK(link_send(fd, &started, pair[0]) == KMS_OK);
	(void)close(pair[0]);
}

static int rig_listen(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	CHECK(fd >= 0 && bind(fd, (const struct sockaddr *)&a, sizeof(a)) == 0);
	CHECK(listen(fd, 64) == 0);
	return fd;
}

static int rig_connect(const struct rig *r)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%s", r->config.socket);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(fd >= 0 && connect(fd, (const struct sockaddr *)&a, sizeof(a)) == 0);
	return fd;
}

static void rig_path(char *out, size_t n, const struct rig *r, const char *name)
{
	(void)snprintf(out, n, "%s/%s", r->dir, name);
}

static void rig_configure(struct rig *r)
{
	struct config *c = &r->config;
	rig_path(c->socket, sizeof(c->socket), r, "s");
	rig_path(c->store, sizeof(c->store), r, "store");
	rig_path(c->audit, sizeof(c->audit), r, "audit");
	rig_path(c->backup, sizeof(c->backup), r, "backup");
	CHECK(mkdir(c->store, 0700) == 0 && mkdir(c->audit, 0700) == 0 &&
	      mkdir(c->backup, 0700) == 0);
	c->backup_keep_us = (uint64_t)90 * 86400 * 1000000;
	c->audit_segment = 1 << 20;
	c->max_versions = 4096;
	c->max_connections = 64;
	c->allow_unlocked = true;
	c->log_level = LOG_LEVEL_ERROR;
	c->frame_timeout_us = 2000000;
	c->slots[0] = (struct config_slot){ .name = "tpm", .kind = "tpm", .deadline_us = 5000000 };
	c->slots[1] =
	    (struct config_slot){ .name = "hsm", .kind = "pkcs11", .deadline_us = 5000000 };
	c->slot_n = 2;
}

/* Opens a keeper on what is in its folder. */
static kms_err rig_start(struct rig *r)
{
	int link[2];
	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, link) == 0);
	r->parent_fd = link[0];
	r->start = (struct keeper_start){ .config = &r->config,
		.listen_fd = rig_listen(r->config.socket),
		.link_fd = link[1],
		.starts = 1 };
	r->k = (struct keeper){ 0 };
	TRY(keeper_open(&r->k, &r->start));
	r->parent_event =
	    event_new(r->k.base, r->parent_fd, EV_READ | EV_PERSIST, rig_on_parent, r);
	CHECK(r->parent_event != NULL && event_add(r->parent_event, NULL) == 0);
	return KMS_OK;
}

/* Opens a keeper in a new folder; it will say "uninitialised" after some turns. */
static kms_err rig_open(struct rig *r)
{
	/* In memory where there is such a place: nothing here asks whether a disk keeps it. */
	bool shm = access("/dev/shm", W_OK) == 0;
	*r = (struct rig){ .helper_fd = -1 };
	(void)snprintf(r->dir, sizeof(r->dir), "%s/kms-rig-XXXXXX", shm ? "/dev/shm" : "/tmp");
	CHECK(mkdtemp(r->dir) != NULL);
	rig_configure(r);
	log_set_level(r->config.log_level);
	return rig_start(r);
}

static int rig_remove_one(const char *path, const struct stat *s, int kind, struct FTW *f)
{
	(void)s;
	(void)kind;
	(void)f;
	return remove(path);
}

/* Ends it in order; what it wrote stays. */
static void rig_stop(struct rig *r)
{
	if (r->helper_event != NULL) {
		event_free(r->helper_event);
		(void)close(r->helper_fd);
	}
	r->helper_event = NULL;
	event_free(r->parent_event);
	keeper_close(&r->k);
	(void)close(r->parent_fd);
	(void)close(r->start.link_fd);
	(void)close(r->start.listen_fd);
	(void)unlink(r->config.socket);
}

static void rig_close(struct rig *r)
{
	rig_stop(r);
	(void)nftw(r->dir, rig_remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void rig_until(struct rig *r, enum root_state state)
{
	while (root_state(r->k.root) != state)
		CHECK(keeper_turn(&r->k));
}

/*
 * Sends a request on fd and turns the loop until its answer is there, which borrows `in`.
 * KMS_E_CONNECTION_LOST if the keeper closes instead.
 */
static kms_err rig_ask(struct rig *r, int fd, const struct request *q, struct buf *in,
    struct arena *a, struct answer *out)
{
	AUTO(buf_done) struct buf frame = { 0 };
	TRY(request_encode(q, &frame));
	CHECK(send(fd, frame.p, frame.n, MSG_NOSIGNAL) == (ssize_t)frame.n);
	buf_clear(in);
	for (;;) {
		struct bytes message;
		size_t used = 0, need = 0;
		TRY(frame_find(buf_bytes(in), &message, &used, &need));
		if (used > 0)
			return answer_decode(message, a, out);
		CHECK(keeper_turn(&r->k));
		TRY(buf_reserve(in, 65536));
		ssize_t n = recv(fd, in->p + in->n, 65536, MSG_DONTWAIT);
		if (n == 0)
			return KMS_E_CONNECTION_LOST;
		if (n > 0)
			in->n += (size_t)n;
	}
}
