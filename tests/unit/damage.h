/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of whatever decodes: the same bytes cut at each length and with each bit flipped, each
 * time in memory of exactly their size, so that a read past their end is seen by the sanitizer.
 */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "kms/base/base.h"
#include "kms/base/types.h"

enum {
	DAMAGE_MAX = 1 << 21 /* bytes; also keeps the compiler from fearing larger ones */
};

/* at: bytes that are left, or the number of the bit that was flipped. */
typedef void damage_check(struct bytes damaged, size_t at, void *arg);

static inline uint8_t *damage_copy(struct bytes x)
{
	CHECK(x.n <= DAMAGE_MAX && (x.n == 0 || x.p != NULL));
	uint8_t *p = malloc(x.n > 0 ? x.n : 1);

	CHECK(p != NULL);
	if (x.n > 0)
		memcpy(p, x.p, x.n);
	return p;
}

/* Cut to 0, 1, 2… bytes; the whole is not shown. */
static inline void damage_cuts(struct bytes whole, damage_check *check, void *arg)
{
	for (size_t n = 0; n < whole.n; n++) {
		uint8_t *p = damage_copy(bytes_of(whole.p, n));

		check(bytes_of(p, n), n, arg);
		free(p);
	}
}

static inline void damage_flips(struct bytes whole, damage_check *check, void *arg)
{
	uint8_t *p = damage_copy(whole);

	for (size_t bit = 0; bit < whole.n * 8; bit++) {
		p[bit / 8] ^= (uint8_t)(1U << bit % 8);
		check(bytes_of(p, whole.n), bit, arg);
		p[bit / 8] ^= (uint8_t)(1U << bit % 8);
	}
	free(p);
}

/* One byte more than there should be. */
static inline void damage_longer(struct bytes whole, damage_check *check, void *arg)
{
	CHECK(whole.n <= DAMAGE_MAX);
	uint8_t *p = malloc(whole.n + 1);

	CHECK(p != NULL);
	memcpy(p, whole.p, whole.n);
	p[whole.n] = 0;
	check(bytes_of(p, whole.n + 1), whole.n + 1, arg);
	free(p);
}
