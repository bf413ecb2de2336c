/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of libkms: the same context for caller and wire, and the exact request of a call. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/unit/canned.h"

static const struct kms_pair public_pairs[] = { { "call", { (const uint8_t *)"42", 2 } },
	{ "agent", { (const uint8_t *)"7", 1 } } };
static const struct kms_context context = { public_pairs, 2 };
static const struct pair wire_pairs[] = { { TEXT("call"), TEXT("42") },
	{ TEXT("agent"), TEXT("7") } };

/*
 * What the call must have sent, byte for byte; message_test holds the encoder itself against
 * protoc-c. `change`: with a fresh idempotency key.
 */
static inline void assert_sent(const struct fake *f, struct request want, bool change)
{
	AUTO(buf_done) struct buf frame = { .p = NULL };
	struct arena a;
	struct request got;

	arena_init(&a, FAKE_ARENA);
	assert_int_equal(request_decode(buf_bytes(&f->last), &a, &got), KMS_OK);
	assert_int_equal(got.idempotency_key.n, change ? IDEMPOTENCY_LEN : 0);
	assert_true(got.id != 0);
	want.id = got.id;
	want.idempotency_key = got.idempotency_key;
	assert_int_equal(request_encode(&want, &frame), KMS_OK);
	assert_int_equal(frame.n, FRAME_HEAD + f->last.n);
	assert_memory_equal(frame.p + FRAME_HEAD, f->last.p, f->last.n);
	arena_done(&a);
}

/* Evaluates a call that fills r, and holds its request against the fields given. */
#define SENDS(call, change, ...)                                                                   \
	do {                                                                                       \
		struct kms_result *r = NULL;                                                       \
		assert_int_equal((call), KMS_CODE_OK);                                             \
		assert_sent(f, (struct request){ __VA_ARGS__ }, (change));                         \
		kms_result_free(&r);                                                               \
	} while (0)
