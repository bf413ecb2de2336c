/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Contexts, both ways: canonical bytes that are read give the same bytes when written; pairs that
 * are written come back, whatever their order was.
 */
#include "kms/base/buf.h"
#include "kms/keys/context.h"
#include "tests/fuzz/fuzz.h"

enum {
	PAIRS_ROOM = CONTEXT_MAX_PAIRS + 4
};

static bool has(const struct context_pair *all, size_t n, const struct context_pair *one)
{
	for (size_t i = 0; i < n; i++) {
		if (bytes_equal(all[i].name, one->name) && bytes_equal(all[i].value, one->value))
			return true;
	}
	return false;
}

static void try_canon(struct bytes in)
{
	struct context_pair pairs[CONTEXT_MAX_PAIRS];
	uint8_t canon[CONTEXT_CANON_MAX];
	size_t n, canon_n;

	if (context_decode(in, pairs, &n) != KMS_OK)
		return;
	CHECK(context_encode(pairs, n, canon, &canon_n) == KMS_OK);
	CHECK(bytes_equal(in, bytes_of(canon, canon_n)));
}

static void try_pairs(struct bytes in)
{
	struct reader r = reader_of(in);
	struct context_pair pairs[PAIRS_ROOM], back[CONTEXT_MAX_PAIRS], reversed[PAIRS_ROOM];
	uint8_t canon[CONTEXT_CANON_MAX], again[CONTEXT_CANON_MAX];
	size_t n = 0, back_n, canon_n, again_n;

	for (; n < PAIRS_ROOM && r.in.n > 0 && !r.failed; n++) {
		size_t name_n = read_u8(&r) % (CONTEXT_NAME_MAX + 2);
		size_t value_n = read_u16(&r) % (CONTEXT_VALUE_MAX + 2);
		pairs[n].name = read_bytes(&r, name_n < r.in.n ? name_n : r.in.n);
		pairs[n].value = read_bytes(&r, value_n < r.in.n ? value_n : r.in.n);
	}
	for (size_t i = 0; i < n; i++)
		reversed[i] = pairs[n - 1 - i];
	kms_err e = context_encode(pairs, n, canon, &canon_n);
	CHECK(context_encode(reversed, n, again, &again_n) == e);
	if (e != KMS_OK)
		return;
	CHECK(bytes_equal(bytes_of(canon, canon_n), bytes_of(again, again_n)));
	CHECK(context_decode(bytes_of(canon, canon_n), back, &back_n) == KMS_OK && back_n == n);
	for (size_t i = 0; i < n; i++)
		CHECK(has(back, back_n, &pairs[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	if (fuzz_choice(&p, &n) % 2 == 0)
		try_canon(bytes_of(p, n));
	else
		try_pairs(bytes_of(p, n));
	return 0;
}
