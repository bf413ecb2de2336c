/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests that carry published vectors: bytes from hexadecimal text, in memory of exactly their
 * size, so that a read past their end is seen by the sanitizer.
 */
#pragma once

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "kms/base/base.h"
#include "kms/base/types.h"

struct hex {
	uint8_t *p;
	size_t n;
};

static inline uint8_t hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = strchr(digits, c);

	CHECK(c != '\0' && at != NULL);
	return (uint8_t)(at - digits);
}

/* Lower case, no spaces; anything else ends the test. */
static inline struct hex hex_of(const char *text)
{
	struct hex h = { .n = strlen(text) / 2 };

	CHECK(strlen(text) % 2 == 0);
	h.p = malloc(h.n > 0 ? h.n : 1);
	CHECK(h.p != NULL);
	for (size_t i = 0; i < h.n; i++)
		h.p[i] = (uint8_t)(hex_digit(text[2 * i]) << 4 | hex_digit(text[2 * i + 1]));
	return h;
}

static inline void hex_done(struct hex *h)
{
	free(h->p);
	*h = (struct hex){ .p = NULL };
}

static inline struct bytes hex_bytes(struct hex h)
{
	return bytes_of(h.p, h.n);
}

/* Room of exactly n bytes, filled with something that no test expects. */
static inline struct hex hex_room(size_t n)
{
	struct hex h = { .p = malloc(n > 0 ? n : 1), .n = n };

	CHECK(h.p != NULL);
	memset(h.p, 0xa5, n > 0 ? n : 1);
	return h;
}
