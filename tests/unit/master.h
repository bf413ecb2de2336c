/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests that need master keys: one with an active version and known bits. secret_init must
 * have been called.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "kms/base/buf.h"
#include "kms/keys/key.h"

/* 32 bytes that no other number has. */
static inline struct secret *master_bits(uint8_t number)
{
	struct secret *s = NULL;

	assert_int_equal(secret_new(KEY_BITS_LEN, &s), KMS_OK);
	for (size_t i = 0; i < KEY_BITS_LEN; i++)
		secret_fill(s)[i] = (uint8_t)(i ^ number);
	return s;
}

static inline struct key_id master_id(uint32_t number)
{
	struct key_id id = { { 0x1d } };

	store_u32(id.b + 1, number);
	return id;
}

/* One more version, active, with bits. */
static inline struct key_version *master_version(struct key *k)
{
	struct key_version *v;

	assert_int_equal(key_add_version(k, &v), KMS_OK);
	v->state = STATE_ACTIVE;
	v->bits = master_bits((uint8_t)(k->id.b[1] * 16 + v->number));
	return v;
}

/* The caller's, or a ring's. */
static inline struct key *master_new(const char *name, uint32_t number, enum algorithm a)
{
	struct key *k = NULL;

	assert_int_equal(key_new(&k), KMS_OK);
	k->id = master_id(number);
	k->algorithm = a;
	(void)snprintf(k->name, sizeof(k->name), "%s", name);
	(void)master_version(k);
	return k;
}
