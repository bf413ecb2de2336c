/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of the calls share: the two ends of a helper's socket, a root and a task. Include
 * it in one file of a test.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "kms/seal/call.h"

struct line {
	int keeper, helper;
};

static inline int set_up(void **state)
{
	struct line *l = calloc(1, sizeof(*l));
	int fd[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fd), 0);
	*l = (struct line){ .keeper = fd[0], .helper = fd[1] };
	*state = l;
	return 0;
}

static inline int tear_down(void **state)
{
	struct line *l = *state;

	(void)close(l->keeper);
	(void)close(l->helper);
	assert_int_equal(secret_info().used, 0);
	free(l);
	return 0;
}

static inline struct secret *root_of(uint8_t value)
{
	struct secret *s = NULL;

	assert_int_equal(secret_new(SEALER_ROOT_LEN, &s), KMS_OK);
	memset(secret_fill(s), value, SEALER_ROOT_LEN);
	return s;
}

static inline struct call_task some_task(enum call_op op)
{
	return (struct call_task){
		.op = op,
		.kind = "tpm",
		.params = { .tcti = "swtpm:path=/run/s",
		    .auth_file = "/etc/kms/auth",
		    .pcr_mask = 0x80,
		    .token = { .module = "/m.so",
		        .label = "kms",
		        .serial = "0a1b",
		        .pin_file = "/etc/kms/pin",
		        .key = "kms-root",
		        .environment = "A=1\nB=2",
		        .mechanism = SEALER_AES_CBC,
		        .make_key = true },
		    .instance = { 1, 2, 3 } },
		.blob = bytes_of_str("blob"),
		.data = bytes_of_str("data to sign"),
		.n = 32,
		.target = 0x0102030405060708,
	};
}

#define LINE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
