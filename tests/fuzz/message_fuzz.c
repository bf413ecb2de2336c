/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests and answers. What is read is written, read again and written again: the same bytes.
 * (Not the first bytes: a peer may write unknown fields and longer numbers, and the words of an
 * error are ours.) The limits hold whatever was sent.
 */
#include "kms/base/buf.h"
#include "proto/frame.h"
#include "proto/message.h"
#include "tests/fuzz/fuzz.h"

enum {
	ARENA_LIMIT = 1 << 18
};

static struct bytes message_of(const struct buf *frame)
{
	CHECK(frame->n >= FRAME_HEAD && load_u32(frame->p) == frame->n - FRAME_HEAD);
	return bytes_of(frame->p + FRAME_HEAD, frame->n - FRAME_HEAD);
}

static void limits_hold(const struct request *r)
{
	CHECK(r->context.n <= CONTEXT_MAX_PAIRS && r->item_count <= BATCH_MAX);
	for (size_t i = 0; i < r->item_count; i++) {
		CHECK(r->items[i].context.n <= CONTEXT_MAX_PAIRS);
		CHECK(r->items[i].new_context.n <= CONTEXT_MAX_PAIRS);
	}
}

static bool refusal_known(kms_err e)
{
	return e == KMS_E_BAD_FRAME || e == KMS_E_NO_MEMORY || e == KMS_E_BATCH_TOO_BIG ||
	       e == KMS_E_BAD_CONTEXT;
}

static void try_request(struct bytes message, struct arena *a)
{
	AUTO(buf_done) struct buf once = { 0 };
	AUTO(buf_done) struct buf twice = { 0 };
	struct request r;
	kms_err e = request_decode(message, a, &r);

	CHECK(e == KMS_OK || refusal_known(e));
	if (e != KMS_OK)
		return;
	limits_hold(&r);
	CHECK(request_encode(&r, &once) == KMS_OK);
	/* No zeros and no unknown fields: ours is never the longer one. */
	CHECK(message_of(&once).n <= message.n);
	if (message_of(&once).n == 0)
		return;
	CHECK(request_decode(message_of(&once), a, &r) == KMS_OK);
	CHECK(request_encode(&r, &twice) == KMS_OK);
	CHECK(bytes_equal(buf_bytes(&once), buf_bytes(&twice)));
}

static void try_answer(struct bytes message, struct arena *a)
{
	AUTO(buf_done) struct buf once = { 0 };
	AUTO(buf_done) struct buf twice = { 0 };
	struct answer ans;
	kms_err e = answer_decode(message, a, &ans);

	CHECK(e == KMS_OK || e == KMS_E_BAD_FRAME || e == KMS_E_NO_MEMORY);
	if (e != KMS_OK)
		return;
	e = answer_encode(&ans, NULL, &once);
	/* An error's words may be longer than those that came. */
	CHECK(e == KMS_OK || e == KMS_E_ANSWER_TOO_BIG);
	if (e != KMS_OK)
		return;
	CHECK(answer_decode(message_of(&once), a, &ans) == KMS_OK);
	CHECK(answer_encode(&ans, NULL, &twice) == KMS_OK);
	CHECK(bytes_equal(buf_bytes(&once), buf_bytes(&twice)));
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	AUTO(arena_done) struct arena a;
	uint8_t choice = fuzz_choice(&p, &n);

	arena_init(&a, choice < 128 ? ARENA_LIMIT : 4 * ARENA_LIMIT);
	if (choice % 2 == 0)
		try_request(bytes_of(p, n), &a);
	else
		try_answer(bytes_of(p, n), &a);
	CHECK(a.used <= a.limit);
	return 0;
}
