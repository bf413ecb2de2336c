/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper as a whole. Each input is what one peer sends: raw bytes, or, if the first byte is
 * odd, messages that get whole frames around them, so that operations are reached and their order
 * is explored. Afterwards a well-behaved client must get its answer: whatever a peer sends, only
 * its own connection may suffer.
 */
#include "tests/unit/keeper_rig.h"

enum {
	INPUT_MAX = 65536,
	ARENA_MAX = 4 << 20
};

static struct rig rig;
static struct arena arena;
static struct buf in;
static int good_fd;

static void clean_up(void)
{
	(void)close(good_fd);
	buf_done(&in);
	arena_done(&arena);
	rig_close(&rig);
}

static kms_err ask(const struct request *q, struct answer *out)
{
	arena_reset(&arena);
	return rig_ask(&rig, good_fd, q, &in, &arena, out);
}

static void must(enum op op, const char *key)
{
	struct answer a;
	const struct request q = { .id = 1, .op = op, .key = bytes_of_str(key) };
	CHECK(ask(&q, &a) == KMS_OK);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	CHECK(rig_open(&rig) == KMS_OK);
	arena_init(&arena, ARENA_MAX);
	rig_until(&rig, ROOT_UNINITIALISED);
	good_fd = rig_connect(&rig);
	must(OP_INIT, "");
	rig_until(&rig, ROOT_UNSEALED);
	must(OP_KEY_CREATE, "rec");
	(void)atexit(clean_up);
	return 0;
}

static void send_all(int fd, struct bytes x)
{
	/* The peer never reads: what doesn't fit is lost, and so may be its connection. */
	(void)send(fd, x.p, x.n, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Messages, each behind two bytes of length, become frames. */
static void send_frames(int fd, struct bytes x)
{
	struct reader r = reader_of(x);
	AUTO(buf_done) struct buf out = { 0 };
	while (r.in.n > 2) {
		size_t n = read_u16(&r);
		struct bytes message = read_bytes(&r, n < r.in.n ? n : r.in.n);
		CHECK(buf_put_u32(&out, (uint32_t)message.n) == KMS_OK);
		CHECK(buf_put(&out, message) == KMS_OK);
	}
	send_all(fd, buf_bytes(&out));
}

/* The keeper serves, or it was told not to and can be told otherwise. */
static void check_serves(void)
{
	struct answer a;
	const struct request whoami = { .id = 2, .op = OP_WHOAMI };
	CHECK(ask(&whoami, &a) == KMS_OK && a.kind == ANSWER_WHOAMI);
	if (root_state(rig.k.root) != ROOT_UNSEALED)
		must(OP_UNSEAL, "");
	const struct request random = { .id = 3, .op = OP_RANDOM, .count = 8 };
	CHECK(ask(&random, &a) == KMS_OK && a.kind == ANSWER_RANDOM);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	if (n < 2 || n > INPUT_MAX)
		return 0;
	int fd = rig_connect(&rig);
	struct bytes x = bytes_of(data + 1, n - 1);
	if ((data[0] & 1) != 0)
		send_frames(fd, x);
	else
		send_all(fd, x);
	check_serves();
	(void)close(fd);
	check_serves();
	return 0;
}
