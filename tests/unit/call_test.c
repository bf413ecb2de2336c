/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages between keeper and helper: what is sent arrives, errors and signals included, and each
 * side learns in its own words that the other has gone.
 */
#include "kms/seal/call.h"

#include <errno.h>
#include <sys/syscall.h>

#include "tests/unit/call_line.h"

enum {
	SECRETS = 16
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

static void same_task(const struct call_task *a, const struct call_task *b)
{
	assert_int_equal(a->op, b->op);
	assert_string_equal(a->kind, b->kind);
	assert_string_equal(a->params.tcti, b->params.tcti);
	assert_string_equal(a->params.auth_file, b->params.auth_file);
	assert_int_equal(a->params.pcr_mask, b->params.pcr_mask);
	assert_memory_equal(&a->params.token, &b->params.token, sizeof(a->params.token));
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
	};

	CHECK(secret_init(SECRETS, true) == KMS_OK);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	secret_done();
	return failed;
}
