/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The helper's loop with hardware that only writes down what it is asked: each task is done and
 * answered, the hardware opened and closed for each, failures carried by their names, and the loop
 * ends when it should. Tasks are sent first, then the loop runs, then answers are read.
 */
#include "kms/seal/serve.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "kms/seal/call.h"
#include "tests/unit/fake_sealer.h"

enum {
	SECRETS = 16,
	NO_WAIT = 0
};

/* ---- poll, as the test wants it ------------------------------------------------------------ */

/* How often poll says that nothing came, that a signal did, or fails, before it really looks. */
static unsigned poll_empty, poll_interrupted, poll_broken;

/* By another name, because some headers define the real one in place. */
__attribute__((visibility("hidden"))) int poll_faked(
    struct pollfd *fds, nfds_t n, int timeout) __asm__("poll");

int poll_faked(struct pollfd *fds, nfds_t n, int timeout)
{
	const struct timespec wait = { .tv_sec = timeout / 1000 };

	if (poll_interrupted > 0) {
		poll_interrupted--;
		errno = EINTR;
		return -1;
	}
	if (poll_broken > 0) {
		poll_broken--;
		errno = ENOMEM;
		return -1;
	}
	if (poll_empty > 0) {
		poll_empty--;
		return 0;
	}
	return ppoll(fds, n, &wait, NULL);
}

static const struct sealer_kind other_kind = { .name = "other" };

static const struct sealer_kind *const kinds[] = { &other_kind, &fake_kind };

/* ---- Both ends ----------------------------------------------------------------------------- */

struct line {
	int keeper, helper;
};

static int set_up(void **state)
{
	struct line *l = calloc(1, sizeof(*l));
	int fd[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fd), 0);
	*l = (struct line){ .keeper = fd[0], .helper = fd[1] };
	fake = (struct fake){ .err = KMS_OK };
	poll_empty = poll_interrupted = poll_broken = 0;
	*state = l;
	return 0;
}

static int tear_down(void **state)
{
	struct line *l = *state;

	(void)close(l->keeper);
	(void)close(l->helper);
	assert_int_equal(fake.opened, fake.closed);
	assert_int_equal(secret_info().used, 0);
	free(l);
	return 0;
}

static kms_err serve(const struct line *l)
{
	return serve_tasks(l->helper, kinds, ARRAY_LEN(kinds), NO_WAIT);
}

static struct call_task task_of(enum call_op op)
{
	struct call_task t = { .op = op, .kind = "fake", .params.tcti = "nowhere" };

	t.blob = bytes_of_str("blob");
	t.data = bytes_of_str("message");
	t.n = 5;
	t.target = 43;
	return t;
}

/* Sends, serves, and reads the answer. */
static void ask(const struct line *l, const struct call_task *t, struct call_answer *out)
{
	assert_int_equal(call_send(l->keeper, t), KMS_OK);
	assert_int_equal(shutdown(l->keeper, SHUT_WR), 0);
	assert_int_equal(serve(l), KMS_OK);
	assert_int_equal(call_receive(l->keeper, out), KMS_OK);
}

static void answer_is(const struct call_answer *a, const char *data)
{
	assert_int_equal(a->err, KMS_OK);
	assert_int_equal(a->code, 0);
	assert_true(bytes_equal(buf_bytes(&a->data), bytes_of_str(data)));
	assert_int_equal(fake.opened, 1);
	assert_int_equal(fake.closed, 1);
	assert_string_equal(fake.params.tcti, "nowhere");
}

/* ---- Each task ----------------------------------------------------------------------------- */

static void it_describes(void **state)
{
	AUTO(call_answer_done) struct call_answer a = { 0 };
	struct call_task t = task_of(CALL_DESCRIBE);

	ask(*state, &t, &a);
	answer_is(&a, "a fake");
}

static void it_seals(void **state)
{
	AUTO(call_answer_done) struct call_answer a = { 0 };
	AUTO(secret_free) struct secret *root = NULL;
	struct call_task t = task_of(CALL_SEAL);

	assert_int_equal(secret_new(SEALER_ROOT_LEN, &root), KMS_OK);
	secret_fill(root)[0] = 0xab;
	t.root = root;
	ask(*state, &t, &a);
	answer_is(&a, "sealed");
	assert_int_equal(a.counter, 41);
	assert_int_equal(fake.root_first, 0xab);
	assert_null(a.root);
}

static void it_unseals(void **state)
{
	AUTO(call_answer_done) struct call_answer a = { 0 };
	struct call_task t = task_of(CALL_UNSEAL);

	ask(*state, &t, &a);
	answer_is(&a, "");
	assert_non_null(a.root);
	assert_int_equal(secret_bytes(a.root).p[31], 0x5c);
	assert_true(bytes_equal(fake.blob, bytes_of_str("blob")));
}

static void it_reads_the_counter(void **state)
{
	AUTO(call_answer_done) struct call_answer a = { 0 };
	struct call_task t = task_of(CALL_COUNTER_READ);

	ask(*state, &t, &a);
	answer_is(&a, "");
	assert_int_equal(a.counter, 42);
	assert_false(fake.moved);
}

static void it_moves_the_counter(void **state)
{
	AUTO(call_answer_done) struct call_answer a = { 0 };
	struct call_task t = task_of(CALL_COUNTER_MOVE);

	ask(*state, &t, &a);
	answer_is(&a, "");
	assert_true(fake.moved);
	assert_int_equal(fake.target, 43);
}

static void it_signs(void **state)
{
	AUTO(call_answer_done) struct call_answer a = { 0 };
	struct call_task t = task_of(CALL_SIGN);

	ask(*state, &t, &a);
	answer_is(&a, "signature");
	assert_true(bytes_equal(fake.message, bytes_of_str("message")));
}

static void it_gives_the_public_key(void **state)
{
	AUTO(call_answer_done) struct call_answer a = { 0 };
	struct call_task t = task_of(CALL_PUBLIC);

	ask(*state, &t, &a);
	answer_is(&a, "public");
}

static void it_gives_random_bytes(void **state)
{
	AUTO(call_answer_done) struct call_answer a = { 0 };
	struct call_task t = task_of(CALL_RANDOM);

	ask(*state, &t, &a);
	answer_is(&a, "=====");
}

/* ---- Failures ------------------------------------------------------------------------------ */

/* A failed answer carries a code and nothing else, whatever the hardware had given already. */
static void fails(enum call_op op, kms_err e)
{
	void *line;
	AUTO(call_answer_done) struct call_answer a = { 0 };
	AUTO(secret_free) struct secret *root = NULL;
	struct call_task t = task_of(op);

	assert_int_equal(set_up(&line), 0);
	fake.err = e;
	assert_int_equal(secret_new(SEALER_ROOT_LEN, &root), KMS_OK);
	t.root = root;
	ask(line, &t, &a);
	assert_int_equal(a.err, e);
	assert_int_equal(a.code, FAKE_CODE);
	assert_int_equal(a.counter, 0);
	assert_null(a.root);
	assert_int_equal(a.data.n, 0);
	secret_free(&root);
	assert_int_equal(tear_down(&line), 0);
}

static void failures_carry_a_code_alone(void **state)
{
	(void)state;
	for (unsigned e = KMS_OK + 1; e < KMS_ERR_COUNT; e++) {
		for (unsigned op = CALL_DESCRIBE; op <= CALL_RANDOM; op++)
			fails((enum call_op)op, (kms_err)e);
	}
}

static void an_unknown_kind_is_named(void **state)
{
	static const char *const names[] = { "", "fak", "fakes", "Fake", "pkcs11" };
	const struct line *l = *state;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct call_task t = task_of(CALL_DESCRIBE);
		memset(t.kind, 0, sizeof(t.kind));
		memcpy(t.kind, names[i], strlen(names[i]));
		assert_int_equal(call_send(l->keeper, &t), KMS_OK);
	}
	assert_int_equal(serve(l), KMS_OK);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		AUTO(call_answer_done) struct call_answer a = { 0 };
		assert_int_equal(call_receive(l->keeper, &a), KMS_OK);
		assert_int_equal(a.err, KMS_E_SLOT_KIND);
	}
	assert_int_equal(fake.opened, 0);
}

static void hardware_that_does_not_open_is_named(void **state)
{
	AUTO(call_answer_done) struct call_answer a = { 0 };
	struct call_task t = task_of(CALL_UNSEAL);

	fake.open_err = KMS_E_NO_MEMORY;
	ask(*state, &t, &a);
	assert_int_equal(a.err, KMS_E_NO_MEMORY);
	assert_int_equal(fake.closed, 0);
}

static void a_seal_needs_a_root(void **state)
{
	AUTO(call_answer_done) struct call_answer a = { 0 };
	struct call_task t = task_of(CALL_SEAL);

	ask(*state, &t, &a);
	assert_int_equal(a.err, KMS_E_INTERNAL);
	assert_int_equal(a.data.n, 0);
}

static void random_has_its_limit(void **state)
{
	const struct line *l = *state;
	struct call_task t = task_of(CALL_RANDOM);

	for (t.n = SEALER_RANDOM_MAX; t.n <= SEALER_RANDOM_MAX + 1; t.n++)
		assert_int_equal(call_send(l->keeper, &t), KMS_OK);
	assert_int_equal(serve(l), KMS_OK);
	AUTO(call_answer_done) struct call_answer most = { 0 };
	AUTO(call_answer_done) struct call_answer more = { 0 };
	assert_int_equal(call_receive(l->keeper, &most), KMS_OK);
	assert_int_equal(call_receive(l->keeper, &more), KMS_OK);
	assert_int_equal(most.err, KMS_OK);
	assert_int_equal(most.data.n, SEALER_RANDOM_MAX);
	assert_int_equal(more.err, KMS_E_INTERNAL);
	assert_int_equal(more.data.n, 0);
}

/* ---- The loop ------------------------------------------------------------------------------ */

static void tasks_are_done_in_order(void **state)
{
	const struct line *l = *state;
	AUTO(call_answer_done) struct call_answer first = { 0 };
	AUTO(call_answer_done) struct call_answer second = { 0 };
	struct call_task t = task_of(CALL_DESCRIBE);

	assert_int_equal(call_send(l->keeper, &t), KMS_OK);
	t.op = CALL_PUBLIC;
	assert_int_equal(call_send(l->keeper, &t), KMS_OK);
	poll_interrupted = 3;
	assert_int_equal(serve(l), KMS_OK);
	assert_int_equal(call_receive(l->keeper, &first), KMS_OK);
	assert_int_equal(call_receive(l->keeper, &second), KMS_OK);
	assert_true(bytes_equal(buf_bytes(&first.data), bytes_of_str("a fake")));
	assert_true(bytes_equal(buf_bytes(&second.data), bytes_of_str("public")));
	assert_int_equal(fake.opened, 2);
}

/* Nothing came: it leaves, and the keeper sees that at once instead of waiting for an answer. */
static void it_leaves_when_idle(void **state)
{
	const struct line *l = *state;
	struct call_task t = task_of(CALL_DESCRIBE);

	assert_int_equal(serve(l), KMS_OK);
	assert_int_equal(call_send(l->keeper, &t), KMS_E_HARDWARE_HELPER);
	assert_int_equal(fake.opened, 0);
}

/* A task that was on its way when it decided to leave is still done. */
static void a_task_on_its_way_is_done(void **state)
{
	const struct line *l = *state;
	AUTO(call_answer_done) struct call_answer a = { 0 };
	struct call_task t = task_of(CALL_DESCRIBE);

	assert_int_equal(call_send(l->keeper, &t), KMS_OK);
	poll_empty = 1;
	assert_int_equal(serve(l), KMS_OK);
	assert_int_equal(call_receive(l->keeper, &a), KMS_OK);
	answer_is(&a, "a fake");
	assert_int_equal(call_send(l->keeper, &t), KMS_E_HARDWARE_HELPER);
}

/* Whatever keeps it from waiting: it leaves in order. */
static void it_leaves_when_it_cannot_wait(void **state)
{
	const struct line *l = *state;
	struct call_task t = task_of(CALL_DESCRIBE);

	poll_broken = 1;
	assert_int_equal(serve(l), KMS_OK);
	assert_int_equal(call_send(l->keeper, &t), KMS_E_HARDWARE_HELPER);
}

static void it_leaves_when_the_keeper_hangs_up(void **state)
{
	struct line *l = *state;

	assert_int_equal(shutdown(l->keeper, SHUT_RDWR), 0);
	assert_int_equal(serve_tasks(l->helper, kinds, ARRAY_LEN(kinds), 60000), KMS_OK);
}

static void it_leaves_when_nobody_takes_the_answer(void **state)
{
	struct line *l = *state;
	struct call_task t = task_of(CALL_UNSEAL);

	assert_int_equal(call_send(l->keeper, &t), KMS_OK);
	assert_int_equal(shutdown(l->keeper, SHUT_RD), 0);
	assert_int_equal(serve(l), KMS_E_HARDWARE_HELPER);
}

static void nonsense_ends_it(void **state)
{
	struct line *l = *state;
	struct call_task t = task_of(CALL_DESCRIBE);

	assert_int_equal(send(l->keeper, "nonsense", 8, 0), 8);
	assert_int_equal(call_send(l->keeper, &t), KMS_OK);
	assert_int_equal(serve(l), KMS_E_BAD_FRAME);
	assert_int_equal(fake.opened, 0);
}

static void what_is_no_socket_ends_it(void **state)
{
	(void)state;
	assert_int_equal(serve_tasks(-1, kinds, ARRAY_LEN(kinds), NO_WAIT), KMS_OK);
}

#define LINE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LINE(it_describes),
		LINE(it_seals),
		LINE(it_unseals),
		LINE(it_reads_the_counter),
		LINE(it_moves_the_counter),
		LINE(it_signs),
		LINE(it_gives_the_public_key),
		LINE(it_gives_random_bytes),
		cmocka_unit_test(failures_carry_a_code_alone),
		LINE(an_unknown_kind_is_named),
		LINE(hardware_that_does_not_open_is_named),
		LINE(a_seal_needs_a_root),
		LINE(random_has_its_limit),
		LINE(tasks_are_done_in_order),
		LINE(it_leaves_when_idle),
		LINE(a_task_on_its_way_is_done),
		LINE(it_leaves_when_it_cannot_wait),
		LINE(it_leaves_when_the_keeper_hangs_up),
		LINE(it_leaves_when_nobody_takes_the_answer),
		LINE(nonsense_ends_it),
		LINE(what_is_no_socket_ends_it),
	};

	CHECK(secret_init(SECRETS, true) == KMS_OK);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	secret_done();
	return failed;
}
