/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kms-seal with a module that doesn't come back: it crashes or hangs there, and nowhere else.
 */
#include "pkcs11/pkcs11.h"

#include <poll.h>
#include <sys/socket.h>

#include "kms/seal/call.h"
#include "tests/unit/hsm.h"

enum {
	PATIENCE_MS = 60000,
	TASK_FD = 3
};

/* kms-seal as kmsd's parent starts it: a socket, and no environment. */
struct helper {
	pid_t pid;
	int fd;
};

static struct helper start_helper(void)
{
	struct helper x;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	x.fd = pair[0];
	x.pid = fork();
	assert_true(x.pid >= 0);
	if (x.pid == 0) {
		static const char path[] = KMS_BUILD_DIR "/kms-seal";
		char *const none[] = { NULL };
		if (pair[1] != TASK_FD && dup2(pair[1], TASK_FD) < 0)
			_exit(1);
		(void)fcntl(TASK_FD, F_SETFD, 0);
		(void)execle(path, path, (char *)NULL, none);
		_exit(127);
	}
	(void)close(pair[1]);
	return x;
}

static void send_unseal(const struct helper *x, const struct hsm *h)
{
	const struct call_task t = { .op = CALL_UNSEAL,
		.kind = "pkcs11",
		.params = h->params,
		.blob = buf_bytes(&h->blob) };

	assert_int_equal(call_send(x->fd, &t), KMS_OK);
}

/* Waits for what comes, an answer or the end. */
static kms_err take_answer(const struct helper *x, struct call_answer *out)
{
	struct pollfd p = { .fd = x->fd, .events = POLLIN };

	assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
	return call_receive(x->fd, out);
}

static int end_helper(const struct helper *x)
{
	int status = 0;

	(void)close(x->fd);
	assert_int_equal(waitpid(x->pid, &status, 0), x->pid);
	return status;
}

static void the_helper_opens(const struct hsm *h)
{
	AUTO(call_answer_done) struct call_answer a = { 0 };
	const struct helper x = start_helper();

	send_unseal(&x, h);
	assert_int_equal(take_answer(&x, &a), KMS_OK);
	assert_int_equal(a.err, KMS_OK);
	assert_true(secret_equal(a.root, bytes_of(hsm_root, sizeof(hsm_root))));
	assert_int_equal(end_helper(&x), 0);
}

static void a_crash_is_the_helpers_alone(void **state)
{
	struct hsm *h = *state;
	AUTO(call_answer_done) struct call_answer a = { 0 };

	the_helper_opens(h);
	hsm_arm(h, P11_CRASH, P11_Decrypt, (const uint64_t[]){ 1, 1 }, 0);
	const struct helper x = start_helper();
	send_unseal(&x, h);
	assert_int_equal(take_answer(&x, &a), KMS_E_HARDWARE_HELPER);
	int status = end_helper(&x);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	hsm_disarm(h);
	the_helper_opens(h);
}

static void a_hang_ends_by_a_kill(void **state)
{
	struct hsm *h = *state;

	hsm_arm(h, P11_HANG, P11_Login, (const uint64_t[]){ 1, 1 }, 0);
	const struct helper x = start_helper();
	send_unseal(&x, h);
	for (unsigned ms = 0; h->faults->fired == 0 && ms < PATIENCE_MS; ms++)
		(void)poll(NULL, 0, 1);
	assert_int_equal(h->faults->fired, 1);
	assert_int_equal(kill(x.pid, SIGKILL), 0);
	int status = end_helper(&x);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	hsm_disarm(h);
	the_helper_opens(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_SLOT(a_crash_is_the_helpers_alone),
		WITH_SLOT(a_hang_ends_by_a_kill),
	};

	return RUN_WITH_HSM(tests);
}
