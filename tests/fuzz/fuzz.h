/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the fuzz targets share: the entry that libFuzzer calls, and memory that is made once. A
 * target aborts (CHECK) where a promise is broken; the sanitizers see the rest.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "kms/base/base.h"
#include "kms/base/secret.h"
#include "kms/base/types.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* The first byte says which of several things is tried; the rest is what it is tried with. */
static inline uint8_t fuzz_choice(const uint8_t **p, size_t *n)
{
	if (*n == 0)
		return 0;
	(*n)--;
	return *(*p)++;
}

/* 32 bytes, made with the first input and kept. */
static inline const struct secret *fuzz_secret(void)
{
	static struct secret *s;

	if (s == NULL) {
		CHECK(secret_init(64, true) == KMS_OK);
		CHECK(secret_new(KEY_BITS_LEN, &s) == KMS_OK);
		for (size_t i = 0; i < KEY_BITS_LEN; i++)
			secret_fill(s)[i] = (uint8_t)i;
	}
	return s;
}
