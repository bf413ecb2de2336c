/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the protocol costs for one issued key: decode of its request and encode of its answer in
 * the keeper, the two other ways in the client. Prints nanoseconds, the best of several rounds.
 */
#include <stdio.h>

#include "kms/base/clock.h"
#include "proto/frame.h"
#include "proto/message.h"

enum {
	ROUNDS = 7,
	TURNS = 300000,
	ARENA_LIMIT = 1 << 20
};

static const uint8_t wrapped[92] = { 1 };
static const uint8_t plain[KEY_BITS_LEN] = { 2 };

struct bench {
	struct request request;
	struct answer answer;
	struct buf in, out;
	struct arena arena;
};

static kms_err turn_request_encode(struct bench *b)
{
	buf_clear(&b->out);
	return request_encode(&b->request, &b->out);
}

static kms_err turn_request_decode(struct bench *b)
{
	struct bytes message = bytes_of(b->in.p + FRAME_HEAD, b->in.n - FRAME_HEAD);
	struct request r;

	TRY(request_decode(message, &b->arena, &r));
	arena_reset(&b->arena);
	return r.op == OP_ISSUE ? KMS_OK : KMS_E_INTERNAL;
}

static kms_err turn_answer_encode(struct bench *b)
{
	buf_clear(&b->out);
	return answer_encode(&b->answer, &b->arena, &b->out);
}

static kms_err turn_answer_decode(struct bench *b)
{
	struct bytes message = bytes_of(b->in.p + FRAME_HEAD, b->in.n - FRAME_HEAD);
	struct answer a;

	TRY(answer_decode(message, &b->arena, &a));
	arena_reset(&b->arena);
	return a.kind == ANSWER_ITEMS ? KMS_OK : KMS_E_INTERNAL;
}

static kms_err measure(const char *name, kms_err (*turn)(struct bench *b), struct bench *b)
{
	uint64_t best = UINT64_MAX;

	for (int round = 0; round < ROUNDS; round++) {
		uint64_t start = clock_mono_us();
		for (int i = 0; i < TURNS; i++)
			TRY(turn(b));
		uint64_t spent = clock_mono_us() - start;
		best = spent < best ? spent : best;
	}
	printf("%-16s %6.1f ns\n", name, (double)best * 1000 / TURNS);
	return KMS_OK;
}

static kms_err run(struct bench *b)
{
	TRY(measure("request encode", turn_request_encode, b));
	TRY(request_encode(&b->request, &b->in));
	TRY(measure("request decode", turn_request_decode, b));
	TRY(measure("answer encode", turn_answer_encode, b));
	buf_clear(&b->in);
	TRY(answer_encode(&b->answer, &b->arena, &b->in));
	return measure("answer decode", turn_answer_decode, b);
}

int main(void)
{
	const struct pair context[] = {
		{ bytes_of_str("call"), bytes_of_str("2026-03-01-000123") },
		{ bytes_of_str("tenant"), bytes_of_str("acme") },
	};
	const struct item_result item = { .wrapped = bytes_of(wrapped, sizeof(wrapped)),
		.plaintext = bytes_of(plain, sizeof(plain)),
		.key = bytes_of_str("rec-2026"),
		.version = 3 };
	struct bench b = {
		.request = { .id = 123456,
		    .op = OP_ISSUE,
		    .key = bytes_of_str("rec-2026"),
		    .subject = bytes_of_str("agent-7"),
		    .count = 1,
		    .context = { context, ARRAY_LEN(context) } },
		.answer = { .id = 123456, .kind = ANSWER_ITEMS, .u.items = { &item, 1 } },
	};

	arena_init(&b.arena, ARENA_LIMIT);
	kms_err e = run(&b);
	if (e != KMS_OK)
		fprintf(stderr, "proto_bench: %s\n", err_text(e));
	buf_done(&b.in);
	buf_done(&b.out);
	arena_done(&b.arena);
	return e == KMS_OK ? 0 : 1;
}
