/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages between keeper and helper, over a real socket pair. What one side takes can be sent
 * again and is the same; nothing of a refused one is left in use.
 */
#include <sys/socket.h>
#include <unistd.h>

#include "kms/seal/call.h"
#include "tests/fuzz/fuzz.h"

enum {
	RAW_MAX = 2 * CALL_MESSAGE_MAX
};

struct line {
	int from, to;
};

/* Made once; each input leaves it empty. */
static struct line line_of(void)
{
	static int fd[2] = { -1, -1 };

	if (fd[0] < 0)
		CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fd) == 0);
	return (struct line){ .from = fd[0], .to = fd[1] };
}

/* What was taken, sent again, must be the message that came. */
static void same_again(struct line l, kms_err sent, struct bytes first)
{
	static uint8_t raw[RAW_MAX];

	CHECK(sent == KMS_OK);
	ssize_t n = recv(l.to, raw, sizeof(raw), 0);
	CHECK(n > 0 && bytes_equal(bytes_of(raw, (size_t)n), first));
}

/* Where there is no root the place for it is ignored, but sent as zeros. */
static struct bytes without_pad(struct bytes message, bool has_root)
{
	static uint8_t copy[RAW_MAX];

	CHECK(message.n <= sizeof(copy));
	memcpy(copy, message.p, message.n);
	if (!has_root)
		memset(copy, 0, SEALER_ROOT_LEN);
	return bytes_of(copy, message.n);
}

static void try_task(struct line l, struct bytes message)
{
	AUTO(call_memory_free) struct call_memory *m = NULL;
	struct call_task t;
	kms_err e = call_take(l.to, &t, &m);

	CHECK(e == KMS_OK || e == KMS_E_BAD_FRAME);
	if (e == KMS_OK)
		same_again(l, call_send(l.from, &t), without_pad(message, t.root != NULL));
	else
		CHECK(m == NULL);
}

static void try_answer(struct line l, struct bytes message)
{
	AUTO(call_answer_done) struct call_answer a = { 0 };
	kms_err e = call_receive(l.to, &a);

	CHECK(e == KMS_OK || e == KMS_E_HARDWARE_HELPER);
	if (e == KMS_OK)
		same_again(l, call_answer_send(l.from, &a), without_pad(message, a.root != NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	(void)fuzz_secret();
	uint8_t choice = fuzz_choice(&p, &n);
	struct line l = line_of();
	size_t used = secret_info().used;

	/* An empty message is the end of the stream. */
	if (n == 0 || n > RAW_MAX)
		return 0;
	CHECK(send(l.from, p, n, 0) == (ssize_t)n);
	if (choice % 2 == 0)
		try_task(l, bytes_of(p, n));
	else
		try_answer(l, bytes_of(p, n));
	CHECK(secret_info().used == used);
	return 0;
}
