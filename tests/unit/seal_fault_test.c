/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What kms/seal does when OpenSSL or memory fails, at each call in turn: the failure is told, and
 * no secret is left in use.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "kms/seal/auth.h"
#include "kms/seal/call.h"
#include "kms/seal/shares.h"
#include "kms/seal/slots.h"
#include "tests/unit/ossl_fault.h"

enum {
	SECRETS = 16
};

static struct secret *root;
static char auth_path[] = "/tmp/kmsauthXXXXXX";

/* Texts of this length stand in every message, so that its buffer grows at one field or another. */
static size_t padding;
static const char pad[] = "ppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppp";

enum {
	PADDING_MAX = 64 /* the first block of a buffer */
};

static kms_err story_slot(void)
{
	AUTO(buf_done) struct buf out = { 0 };
	struct slot s = { .kind = bytes_of(pad, padding % SEALER_KIND_MAX + 1),
		.name = bytes_of(pad, padding > 0 ? padding : 1),
		.blob = bytes_of(pad, padding + 1) };

	kms_err e = slot_encode(&s, root, &out);
	assert_true(e == KMS_OK || out.n == 0);
	TRY(e);
	return slot_prove(buf_bytes(&out), root);
}

static void pair_close(int (*fd)[2])
{
	(void)close((*fd)[0]);
	(void)close((*fd)[1]);
}

static kms_err story_task(void)
{
	AUTO(pair_close) int fd[2];
	AUTO(call_memory_free) struct call_memory *m = NULL;
	struct call_task back, t = { .op = CALL_SEAL, .root = root };

	memcpy(t.kind, pad, padding % SEALER_KIND_MAX);
	memcpy(t.params.tcti, pad, padding);
	t.blob = t.data = bytes_of(pad, padding % 8);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fd), 0);
	TRY(call_send(fd[0], &t));
	return call_take(fd[1], &back, &m);
}

static kms_err story_answer(void)
{
	AUTO(pair_close) int fd[2];
	AUTO(call_answer_done) struct call_answer back = { 0 };
	uint8_t text[] = "an answer that is longer than the first block of a buffer can be, by far";
	const struct call_answer a = { .root = root, .data = { .p = text, .n = sizeof(text) } };

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fd), 0);
	TRY(call_answer_send(fd[0], &a));
	return call_receive(fd[1], &back);
}

static kms_err story_auth(void)
{
	AUTO(secret_free) struct secret *value = NULL;

	return auth_read(auth_path, &value);
}

static kms_err story_shares(void)
{
	static const uint8_t instance[INSTANCE_ID_LEN];
	AUTO(buf_done) struct buf blob = { 0 };
	AUTO(secret_free) struct secret *opened = NULL;
	struct share shares[2] = { { .value = NULL } };

	kms_err e = shares_make(root, 2, 2, instance, shares, &blob);
	assert_true(e == KMS_OK || (blob.n == 0 && shares[0].value == NULL));
	TRY(e);
	e = shares_open(buf_bytes(&blob), instance, shares, ARRAY_LEN(shares), &opened);
	for (size_t i = 0; i < ARRAY_LEN(shares); i++)
		share_done(&shares[i]);
	return e;
}

static void every_call_may_fail(void **state)
{
	(void)state;
	size_t before = secret_info().used;

	for (padding = 0; padding <= PADDING_MAX; padding++) {
		assert_in_range(fault_tell(story_slot), 10, 100);
		/* Under a sanitizer memory never fails. */
		assert_in_range(fault_tell(story_task), 0, 20);
	}
	assert_in_range(fault_tell(story_shares), 50, 500);
	assert_in_range(fault_tell(story_auth), 3, 20);
	assert_in_range(fault_tell(story_answer), 0, 20);
	assert_int_equal(secret_info().used, before);
}

/* Without a slot for the root nothing is taken, and the message is lost: the caller starts anew. */
static void no_room_for_the_root(void **state)
{
	AUTO(pair_close) int fd[2];
	struct secret *all[SECRETS] = { NULL };
	struct call_memory *m = NULL;
	struct call_task back;
	struct call_answer a;
	struct secret *value = NULL;
	size_t n = 0;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fd), 0);
	while (secret_new(SEALER_ROOT_LEN, &all[n]) == KMS_OK)
		n++;
	assert_int_equal(call_take(fd[1], &back, &m), KMS_E_KEYS_FULL);
	assert_int_equal(call_receive(fd[0], &a), KMS_E_KEYS_FULL);
	assert_int_equal(auth_read(auth_path, &value), KMS_E_KEYS_FULL);
	while (n > 0)
		secret_free(&all[--n]);
}

static int set_up(void **state)
{
	static const char line[] = "0123456789abcdef0123456789abcdef";
	int fd = mkstemp(auth_path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, line, sizeof(line) - 1), sizeof(line) - 1);
	assert_int_equal(close(fd), 0);
	return secret_new(SEALER_ROOT_LEN, &root) == KMS_OK ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	secret_free(&root);
	return unlink(auth_path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_call_may_fail),
		cmocka_unit_test(no_room_for_the_root),
	};

	CHECK(secret_init(SECRETS, true) == KMS_OK);
	int failed = cmocka_run_group_tests(tests, set_up, tear_down);
	secret_done();
	return failed;
}
