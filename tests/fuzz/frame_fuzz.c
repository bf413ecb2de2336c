/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stream of frames that arrives in pieces. Whatever the pieces, the same frames are found, in the
 * same order, and the same refusal ends it.
 */
#include "kms/base/buf.h"
#include "proto/frame.h"
#include "tests/fuzz/fuzz.h"

/* What was found, folded into numbers. */
struct found {
	uint64_t frames, bytes, sum;
	kms_err end;
};

static void note(struct found *f, struct bytes message)
{
	f->frames++;
	f->bytes += message.n;
	for (size_t i = 0; i < message.n; i++)
		f->sum = f->sum * 31 + message.p[i];
}

/* Takes all whole frames from the front of b. */
static void drain(struct buf *b, struct found *f)
{
	while (f->end == KMS_OK) {
		struct bytes message = { 0 };
		size_t used = 0, need = 0;

		f->end = frame_find(buf_bytes(b), &message, &used, &need);
		if (f->end != KMS_OK)
			return;
		if (used == 0) {
			CHECK(need > b->n && need <= FRAME_HEAD + FRAME_MAX);
			return;
		}
		CHECK(used == need && used <= b->n && message.n == used - FRAME_HEAD);
		CHECK(message.n > 0 && message.p == b->p + FRAME_HEAD);
		note(f, message);
		buf_drop(b, used);
	}
}

static struct found in_pieces(struct bytes stream, size_t piece)
{
	AUTO(buf_done) struct buf b = { 0 };
	struct found f = { .end = KMS_OK };

	for (size_t at = 0; at < stream.n && f.end == KMS_OK; at += piece) {
		size_t n = stream.n - at < piece ? stream.n - at : piece;

		CHECK(buf_put(&b, bytes_of(stream.p + at, n)) == KMS_OK);
		drain(&b, &f);
	}
	return f;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	size_t piece = 1 + fuzz_choice(&p, &n) % 64;
	struct found whole = in_pieces(bytes_of(p, n), n > 0 ? n : 1);
	struct found cut = in_pieces(bytes_of(p, n), piece);

	CHECK(whole.frames == cut.frames && whole.bytes == cut.bytes && whole.sum == cut.sum);
	CHECK(whole.end == cut.end);
	return 0;
}
