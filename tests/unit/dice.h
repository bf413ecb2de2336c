/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests that try many cases: numbers that look random and come out the same in each run
 * (xorshift64*), so that what failed once fails again.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct dice {
	uint64_t x;
};

static inline struct dice dice_of(uint64_t seed)
{
	return (struct dice){ .x = seed * 2 + 1 };
}

static inline uint64_t dice_roll(struct dice *d)
{
	d->x ^= d->x >> 12;
	d->x ^= d->x << 25;
	d->x ^= d->x >> 27;
	return d->x * UINT64_C(0x2545f4914f6cdd1d);
}

/* 0 to n - 1. */
static inline size_t dice_below(struct dice *d, size_t n)
{
	return (size_t)((dice_roll(d) >> 32) % n);
}

static inline void dice_fill(struct dice *d, uint8_t *out, size_t n)
{
	for (size_t i = 0; i < n; i++)
		out[i] = (uint8_t)(dice_roll(d) >> 40);
}
