/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The canonical form of a context. One form for each map: names rise strictly, so order and
 * doubles can't vary; lengths stand before the bytes, so "a"+"bc" is not "ab"+"c".
 */
#include "kms/keys/context.h"

#include <string.h>

#include "kms/base/buf.h"

static bool pair_ok(const struct context_pair *p)
{
	return context_name_valid(p->name) && p->value.n <= CONTEXT_VALUE_MAX;
}

/* Bytewise; a name sorts behind its own beginning. */
static int compare(struct bytes a, struct bytes b)
{
	int c = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);

	if (c != 0)
		return c;
	return (a.n > b.n) - (a.n < b.n);
}

/* Puts a pair in its place among the first n. False if its name is there. At most 16: no tree. */
static bool insert(const struct context_pair **sorted, size_t n, const struct context_pair *p)
{
	for (; n > 0; n--) {
		int c = compare(sorted[n - 1]->name, p->name);
		if (c == 0)
			return false;
		if (c < 0)
			break;
		sorted[n] = sorted[n - 1];
	}
	sorted[n] = p;
	return true;
}

static size_t write_pair(const struct context_pair *p, uint8_t *out)
{
	uint8_t *at = out;

	*at++ = (uint8_t)p->name.n;
	memcpy(at, p->name.p, p->name.n);
	at += p->name.n;
	store_u16(at, (uint16_t)p->value.n);
	at += 2;
	if (p->value.n > 0)
		memcpy(at, p->value.p, p->value.n);
	return 1 + p->name.n + 2 + p->value.n;
}

kms_err context_encode(const struct context_pair *pairs, size_t n,
    uint8_t out[static CONTEXT_CANON_MAX], size_t *out_n)
{
	const struct context_pair *sorted[CONTEXT_MAX_PAIRS];
	size_t used = 1;

	if (n > CONTEXT_MAX_PAIRS)
		return KMS_E_BAD_CONTEXT;
	for (size_t i = 0; i < n; i++) {
		if (!pair_ok(&pairs[i]) || !insert(sorted, i, &pairs[i]))
			return KMS_E_BAD_CONTEXT;
	}

	out[0] = (uint8_t)n;
	for (size_t i = 0; i < n; i++)
		used += write_pair(sorted[i], out + used);
	*out_n = used;
	return KMS_OK;
}

kms_err context_decode(
    struct bytes canon, struct context_pair out[static CONTEXT_MAX_PAIRS], size_t *out_n)
{
	struct reader r = reader_of(canon);
	struct context_pair pairs[CONTEXT_MAX_PAIRS];
	size_t n = read_u8(&r);

	if (n > CONTEXT_MAX_PAIRS)
		return KMS_E_BAD_CONTEXT;
	for (size_t i = 0; i < n; i++) {
		size_t name_n = read_u8(&r);
		pairs[i].name = read_bytes(&r, name_n);
		pairs[i].value = read_var(&r);
		/* A read that failed gave an empty name. */
		if (!pair_ok(&pairs[i]))
			return KMS_E_BAD_CONTEXT;
		if (i > 0 && compare(pairs[i - 1].name, pairs[i].name) >= 0)
			return KMS_E_BAD_CONTEXT;
	}
	if (!reader_done(&r))
		return KMS_E_BAD_CONTEXT;

	memcpy(out, pairs, n * sizeof(pairs[0]));
	*out_n = n;
	return KMS_OK;
}
