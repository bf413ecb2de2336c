/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages between keeper and helper: what is sent arrives, the root only from secret to secret,
 * and whatever isn't such a message is refused by a name of its own on each side.
 */
#include "kms/seal/call.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/damage.h"

enum {
	SECRETS = 16,
	RAW_MAX = 2 * CALL_MESSAGE_MAX
};

/* How many of the next calls a signal comes into. */
static unsigned interrupted;

static bool interrupt(void)
{
	if (interrupted == 0)
		return false;
	interrupted--;
	errno = EINTR;
	return true;
}

__attribute__((visibility("hidden"))) ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	return interrupt() ? -1 : syscall(SYS_sendmsg, fd, m, flags);
}

__attribute__((visibility("hidden"))) ssize_t recvmsg(int fd, struct msghdr *m, int flags)
{
	return interrupt() ? -1 : syscall(SYS_recvmsg, fd, m, flags);
}

struct line {
	int keeper, helper;
};

static int set_up(void **state)
{
	struct line *l = calloc(1, sizeof(*l));
	int fd[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fd), 0);
	*l = (struct line){ .keeper = fd[0], .helper = fd[1] };
	*state = l;
	return 0;
}

static int tear_down(void **state)
{
	struct line *l = *state;

	(void)close(l->keeper);
	(void)close(l->helper);
	assert_int_equal(secret_info().used, 0);
	free(l);
	return 0;
}

static struct secret *root_of(uint8_t value)
{
	struct secret *s = NULL;

	assert_int_equal(secret_new(SEALER_ROOT_LEN, &s), KMS_OK);
	memset(secret_fill(s), value, SEALER_ROOT_LEN);
	return s;
}

static struct call_task some_task(enum call_op op)
{
	return (struct call_task){
		.op = op,
		.kind = "tpm",
		.params = { .tcti = "swtpm:path=/run/s",
		    .auth_file = "/etc/kms/auth",
		    .pcr_mask = 0x80,
		    .instance = { 1, 2, 3 } },
		.blob = bytes_of_str("blob"),
		.data = bytes_of_str("data to sign"),
		.n = 32,
		.target = 0x0102030405060708,
	};
}

static void same_task(const struct call_task *a, const struct call_task *b)
{
	assert_int_equal(a->op, b->op);
	assert_string_equal(a->kind, b->kind);
	assert_string_equal(a->params.tcti, b->params.tcti);
	assert_string_equal(a->params.auth_file, b->params.auth_file);
	assert_int_equal(a->params.pcr_mask, b->params.pcr_mask);
	assert_memory_equal(a->params.instance, b->params.instance, INSTANCE_ID_LEN);
	assert_true(bytes_equal(a->blob, b->blob));
	assert_true(bytes_equal(a->data, b->data));
	assert_int_equal(a->n, b->n);
	assert_int_equal(a->target, b->target);
	assert_int_equal(a->root != NULL, b->root != NULL);
	if (a->root != NULL)
		assert_true(secret_equal(a->root, secret_bytes(b->root)));
}

static void task_arrives(const struct line *l, const struct call_task *t)
{
	AUTO(call_memory_free) struct call_memory *m = NULL;
	struct call_task back;

	assert_int_equal(call_send(l->keeper, t), KMS_OK);
	assert_int_equal(call_take(l->helper, &back, &m), KMS_OK);
	same_task(&back, t);
}

static void tasks_arrive(void **state)
{
	const struct line *l = *state;
	AUTO(secret_free) struct secret *root = root_of(0x77);

	for (unsigned op = CALL_DESCRIBE; op <= CALL_RANDOM; op++) {
		struct call_task t = some_task((enum call_op)op);
		task_arrives(l, &t);
		t.root = root;
		task_arrives(l, &t);
		t.blob = t.data = bytes_of(NULL, 0);
		task_arrives(l, &t);
	}
}

static void the_largest_task_arrives(void **state)
{
	static uint8_t blob[SEALER_BLOB_MAX + 1], data[CALL_MESSAGE_DATA_MAX + 1];
	const struct line *l = *state;
	AUTO(secret_free) struct secret *root = root_of(0x77);
	struct call_task t = some_task(CALL_SIGN);

	memset(t.kind, 'k', SEALER_KIND_MAX);
	memset(t.params.tcti, 't', SEALER_PATH_MAX);
	memset(t.params.auth_file, 'a', SEALER_PATH_MAX);
	t.blob = bytes_of(blob, SEALER_BLOB_MAX);
	t.data = bytes_of(data, CALL_MESSAGE_DATA_MAX);
	t.root = root;
	task_arrives(l, &t);

	t.blob.n++;
	assert_int_equal(call_send(l->keeper, &t), KMS_E_INTERNAL);
	t.blob.n--;
	t.data.n++;
	assert_int_equal(call_send(l->keeper, &t), KMS_E_INTERNAL);
}

static void a_root_of_another_length_is_not_sent(void **state)
{
	const struct line *l = *state;
	AUTO(secret_free) struct secret *root = NULL;
	struct call_task t = some_task(CALL_SEAL);
	const struct call_answer a = { .err = KMS_OK };

	assert_int_equal(secret_new(SEALER_ROOT_LEN - 1, &root), KMS_OK);
	t.root = root;
	assert_int_equal(call_send(l->keeper, &t), KMS_E_INTERNAL);
	struct call_answer with = a;
	with.root = root;
	assert_int_equal(call_answer_send(l->helper, &with), KMS_E_INTERNAL);
}

static void answer_arrives(const struct line *l, const struct call_answer *a)
{
	AUTO(call_answer_done) struct call_answer back = { 0 };

	assert_int_equal(call_answer_send(l->helper, a), KMS_OK);
	assert_int_equal(call_receive(l->keeper, &back), KMS_OK);
	assert_int_equal(back.err, a->err);
	assert_int_equal(back.code, a->code);
	assert_int_equal(back.counter, a->counter);
	assert_true(bytes_equal(buf_bytes(&back.data), buf_bytes(&a->data)));
	assert_int_equal(back.root != NULL, a->root != NULL);
	if (a->root != NULL)
		assert_true(secret_equal(back.root, secret_bytes(a->root)));
}

static void answers_arrive(void **state)
{
	const struct line *l = *state;
	AUTO(call_answer_done) struct call_answer a = { .code = 0x9a2, .counter = UINT64_MAX };

	answer_arrives(l, &a);
	a.root = root_of(0x78);
	answer_arrives(l, &a);
	assert_int_equal(buf_put(&a.data, bytes_of_str("a signature")), KMS_OK);
	answer_arrives(l, &a);
	for (unsigned e = 0; e < KMS_ERR_COUNT; e++) {
		a.err = (kms_err)e;
		answer_arrives(l, &a);
	}
}

static void too_much_data_is_not_sent(void **state)
{
	const struct line *l = *state;
	static const size_t sizes[] = { CALL_MESSAGE_MAX, 65535, 65536, 100000 };

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		AUTO(call_answer_done) struct call_answer a = { 0 };
		assert_int_equal(buf_reserve(&a.data, sizes[i]), KMS_OK);
		memset(a.data.p, 0, sizes[i]);
		a.data.n = sizes[i];
		assert_int_equal(call_answer_send(l->helper, &a), KMS_E_INTERNAL);
	}
}

static void messages_keep_their_order(void **state)
{
	const struct line *l = *state;

	for (uint32_t i = 0; i < 10; i++) {
		struct call_task t = some_task(CALL_RANDOM);
		t.n = i;
		assert_int_equal(call_send(l->keeper, &t), KMS_OK);
	}
	for (uint32_t i = 0; i < 10; i++) {
		AUTO(call_memory_free) struct call_memory *m = NULL;
		struct call_task t;
		assert_int_equal(call_take(l->helper, &t, &m), KMS_OK);
		assert_int_equal(t.n, i);
	}
}

static void a_signal_changes_nothing(void **state)
{
	const struct line *l = *state;
	AUTO(call_memory_free) struct call_memory *m = NULL;
	struct call_task t = some_task(CALL_SIGN), back;

	interrupted = 3;
	assert_int_equal(call_send(l->keeper, &t), KMS_OK);
	interrupted = 3;
	assert_int_equal(call_take(l->helper, &back, &m), KMS_OK);
	assert_int_equal(interrupted, 0);
	same_task(&back, &t);
}

/* ---- Ends ---------------------------------------------------------------------------------- */

static void it_never_waits_for_an_answer(void **state)
{
	const struct line *l = *state;
	struct call_answer a = { .counter = 5 };

	assert_int_equal(call_receive(l->keeper, &a), KMS_E_UNAVAILABLE);
	assert_int_equal(a.counter, 5);
}

static void the_helper_has_gone(void **state)
{
	struct line *l = *state;
	struct call_task t = some_task(CALL_DESCRIBE);
	struct call_answer a = { .counter = 5 };

	assert_int_equal(shutdown(l->helper, SHUT_RDWR), 0);
	assert_int_equal(call_receive(l->keeper, &a), KMS_E_HARDWARE_HELPER);
	assert_int_equal(a.counter, 5);
	assert_int_equal(call_send(l->keeper, &t), KMS_E_HARDWARE_HELPER);
	assert_int_equal(call_receive(-1, &a), KMS_E_HARDWARE_HELPER);
	assert_int_equal(call_send(-1, &t), KMS_E_HARDWARE_HELPER);
}

/* What it had said before it went still arrives. */
static void last_words_arrive(void **state)
{
	struct line *l = *state;
	const struct call_answer said = { .err = KMS_E_TPM_LOCKOUT, .code = 0x921 };
	AUTO(call_answer_done) struct call_answer a = { 0 };

	assert_int_equal(call_answer_send(l->helper, &said), KMS_OK);
	assert_int_equal(shutdown(l->helper, SHUT_RDWR), 0);
	assert_int_equal(call_receive(l->keeper, &a), KMS_OK);
	assert_int_equal(a.err, KMS_E_TPM_LOCKOUT);
	assert_int_equal(call_receive(l->keeper, &a), KMS_E_HARDWARE_HELPER);
}

static void the_keeper_has_gone(void **state)
{
	struct line *l = *state;
	struct call_memory *m = NULL;
	struct call_task t;
	const struct call_answer a = { .err = KMS_OK };

	assert_int_equal(shutdown(l->keeper, SHUT_RDWR), 0);
	assert_int_equal(call_take(l->helper, &t, &m), KMS_E_STOPPING);
	assert_null(m);
	assert_int_equal(call_answer_send(l->helper, &a), KMS_E_HARDWARE_HELPER);
}

/* ---- Nonsense ------------------------------------------------------------------------------ */

/* A message as it is on the wire. */
static struct bytes raw_of(int fd, uint8_t out[static RAW_MAX])
{
	ssize_t n = recv(fd, out, RAW_MAX, 0);

	CHECK(n > 0);
	return bytes_of(out, (size_t)n);
}

static void send_raw(int fd, struct bytes x)
{
	assert_int_equal(send(fd, x.p, x.n, MSG_NOSIGNAL), x.n);
}

/* The root stands first, and zeros where there is none: no pad of ours is ever sent. */
static void the_root_stands_apart(void **state)
{
	const struct line *l = *state;
	static const uint8_t zeros[SEALER_ROOT_LEN];
	static uint8_t raw[RAW_MAX];
	AUTO(secret_free) struct secret *root = root_of(0x79);
	struct call_task t = some_task(CALL_SEAL);

	assert_int_equal(call_send(l->keeper, &t), KMS_OK);
	assert_memory_equal(raw_of(l->helper, raw).p, zeros, sizeof(zeros));
	t.root = root;
	assert_int_equal(call_send(l->keeper, &t), KMS_OK);
	struct bytes x = raw_of(l->helper, raw);
	assert_memory_equal(x.p, secret_bytes(root).p, SEALER_ROOT_LEN);
	for (size_t i = SEALER_ROOT_LEN; i + 8 < x.n; i++)
		assert_memory_not_equal(x.p + i, secret_bytes(root).p, 8);
}

static kms_err take_raw(const struct line *l, struct bytes x)
{
	AUTO(call_memory_free) struct call_memory *m = NULL;
	struct call_task t;

	send_raw(l->keeper, x);
	kms_err e = call_take(l->helper, &t, &m);
	assert_int_equal(e == KMS_OK, m != NULL);
	return e;
}

static kms_err receive_raw(const struct line *l, struct bytes x)
{
	AUTO(call_answer_done) struct call_answer a = { 0 };

	send_raw(l->helper, x);
	kms_err e = call_receive(l->keeper, &a);
	assert_true(e == KMS_OK || (a.root == NULL && a.data.p == NULL));
	return e;
}

static void task_is_nonsense(struct bytes x, size_t at, void *arg)
{
	(void)at;
	if (x.n > 0) /* nothing at all is the end of the stream */
		assert_int_equal(take_raw(arg, x), KMS_E_BAD_FRAME);
}

static void answer_is_nonsense(struct bytes x, size_t at, void *arg)
{
	(void)at;
	if (x.n > 0)
		assert_int_equal(receive_raw(arg, x), KMS_E_HARDWARE_HELPER);
}

static void task_may_be_read(struct bytes x, size_t at, void *arg)
{
	kms_err e = take_raw(arg, x);

	assert_true(e == KMS_E_BAD_FRAME || e == KMS_OK);
	assert_true(at / 8 >= SEALER_ROOT_LEN || e == KMS_OK);
}

static void answer_may_be_read(struct bytes x, size_t at, void *arg)
{
	kms_err e = receive_raw(arg, x);

	assert_true(e == KMS_E_HARDWARE_HELPER || e == KMS_OK);
	assert_true(at / 8 >= SEALER_ROOT_LEN || e == KMS_OK);
}

static void damaged_tasks_are_refused(void **state)
{
	struct line *l = *state;
	static uint8_t raw[RAW_MAX];
	AUTO(secret_free) struct secret *root = root_of(0x79);
	struct call_task t = some_task(CALL_SEAL);

	t.root = root;
	assert_int_equal(call_send(l->keeper, &t), KMS_OK);
	struct bytes x = raw_of(l->helper, raw);
	assert_int_equal(take_raw(l, x), KMS_OK);
	damage_cuts(x, task_is_nonsense, l);
	damage_longer(x, task_is_nonsense, l);
	damage_flips(x, task_may_be_read, l);
	raw[SEALER_ROOT_LEN] = 0;
	task_is_nonsense(x, 0, l);
	raw[SEALER_ROOT_LEN] = CALL_RANDOM + 1;
	task_is_nonsense(x, 0, l);
	/* A zero inside of a text would hide what is behind it. */
	raw[SEALER_ROOT_LEN] = CALL_SEAL;
	raw[SEALER_ROOT_LEN + 1 + 2 + 1] = 0;
	task_is_nonsense(x, 0, l);
}

static void damaged_answers_are_refused(void **state)
{
	struct line *l = *state;
	static uint8_t raw[RAW_MAX];
	AUTO(call_answer_done) struct call_answer a = { .err = KMS_E_TPM_PCR, .root = root_of(1) };

	assert_int_equal(buf_put(&a.data, bytes_of_str("data")), KMS_OK);
	assert_int_equal(call_answer_send(l->helper, &a), KMS_OK);
	struct bytes x = raw_of(l->keeper, raw);
	assert_int_equal(receive_raw(l, x), KMS_OK);
	damage_cuts(x, answer_is_nonsense, l);
	damage_longer(x, answer_is_nonsense, l);
	damage_flips(x, answer_may_be_read, l);
	store_u16(raw + SEALER_ROOT_LEN, KMS_ERR_COUNT);
	answer_is_nonsense(x, 0, l);
}

static void too_long_messages_are_refused(void **state)
{
	struct line *l = *state;
	static uint8_t raw[RAW_MAX];

	for (size_t n = CALL_MESSAGE_MAX - 1; n <= CALL_MESSAGE_MAX + 1; n++) {
		task_is_nonsense(bytes_of(raw, n), 0, l);
		answer_is_nonsense(bytes_of(raw, n), 0, l);
	}
	task_is_nonsense(bytes_of(raw, RAW_MAX), 0, l);
	answer_is_nonsense(bytes_of(raw, RAW_MAX), 0, l);
}

/* A task as it stands in a message, with parts of such lengths. */
static kms_err take_parts(const struct line *l, size_t blob_n, size_t data_n)
{
	static const uint8_t zeros[SEALER_BLOB_MAX + 1];
	AUTO(buf_done) struct buf b = { 0 };

	assert_int_equal(buf_put(&b, bytes_of(zeros, SEALER_ROOT_LEN)), KMS_OK);
	assert_int_equal(buf_put_u8(&b, CALL_SIGN), KMS_OK);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(buf_put_var(&b, bytes_of_str("text")), KMS_OK);
	assert_int_equal(buf_put(&b, bytes_of(zeros, 4 + INSTANCE_ID_LEN + 1)), KMS_OK);
	assert_int_equal(buf_put_var(&b, bytes_of(zeros, blob_n)), KMS_OK);
	assert_int_equal(buf_put_var(&b, bytes_of(zeros, data_n)), KMS_OK);
	assert_int_equal(buf_put(&b, bytes_of(zeros, 4 + 8)), KMS_OK);
	return take_raw(l, buf_bytes(&b));
}

static void parts_have_their_limits(void **state)
{
	const struct line *l = *state;

	assert_int_equal(take_parts(l, SEALER_BLOB_MAX, CALL_MESSAGE_DATA_MAX), KMS_OK);
	assert_int_equal(take_parts(l, SEALER_BLOB_MAX + 1, 0), KMS_E_BAD_FRAME);
	assert_int_equal(take_parts(l, 0, CALL_MESSAGE_DATA_MAX + 1), KMS_E_BAD_FRAME);
}

/* A descriptor that comes along is nonsense, and isn't kept. */
static void descriptors_are_refused(void **state)
{
	struct line *l = *state;
	static uint8_t raw[RAW_MAX];
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { .head = { .cmsg_level = SOL_SOCKET,
		          .cmsg_type = SCM_RIGHTS,
		          .cmsg_len = CMSG_LEN(sizeof(int)) } };
	struct call_task t = some_task(CALL_DESCRIBE);
	struct call_memory *m = NULL;
	int before = dup(0);

	assert_int_equal(call_send(l->keeper, &t), KMS_OK);
	struct bytes x = raw_of(l->helper, raw);
	struct iovec part = { .iov_base = raw, .iov_len = x.n };
	const struct msghdr message = { .msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control) };
	memcpy(CMSG_DATA(&control.head), &before, sizeof(before));
	assert_int_equal(sendmsg(l->keeper, &message, 0), x.n);
	assert_int_equal(call_take(l->helper, &t, &m), KMS_E_BAD_FRAME);
	assert_int_equal(close(before), 0);
	int after = dup(0);
	assert_int_equal(after, before);
	assert_int_equal(close(after), 0);
}

#define LINE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LINE(tasks_arrive),
		LINE(the_largest_task_arrives),
		LINE(a_root_of_another_length_is_not_sent),
		LINE(answers_arrive),
		LINE(too_much_data_is_not_sent),
		LINE(messages_keep_their_order),
		LINE(a_signal_changes_nothing),
		LINE(it_never_waits_for_an_answer),
		LINE(the_helper_has_gone),
		LINE(last_words_arrive),
		LINE(the_keeper_has_gone),
		LINE(the_root_stands_apart),
		LINE(damaged_tasks_are_refused),
		LINE(damaged_answers_are_refused),
		LINE(too_long_messages_are_refused),
		LINE(parts_have_their_limits),
		LINE(descriptors_are_refused),
	};

	CHECK(secret_init(SECRETS, true) == KMS_OK);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	secret_done();
	return failed;
}
