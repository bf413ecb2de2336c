/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages between keeper and helper as they stand on the wire: the root apart from the rest, and
 * whatever isn't such a message is refused, by a name of its own on each side.
 */
#include "kms/seal/call.h"

#include <sys/uio.h>

#include "tests/unit/call_line.h"
#include "tests/unit/damage.h"

enum {
	SECRETS = 16,
	RAW_MAX = 2 * CALL_MESSAGE_MAX
};

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
	/* PCRs, a token of six empty texts, a mechanism and three flags, instance, no root */
	const size_t token = 6 * 2 + 4 + 3;
	assert_int_equal(buf_put(&b, bytes_of(zeros, 4 + token + INSTANCE_ID_LEN + 1)), KMS_OK);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
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
