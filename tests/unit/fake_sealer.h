/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hardware for tests of the helper's loop: writes down what it is asked and answers what the test
 * told it to. Include it in one file of a test; one thread.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "kms/seal/sealer.h"

enum {
	FAKE_CODE = 0x9a2 /* the library's own code of each failure */
};

/* What it was asked, and what it is to answer. */
static struct fake {
	kms_err open_err, err;
	unsigned opened, closed;
	struct sealer_params params;
	struct bytes blob, message;
	uint8_t blob_copy[64], message_copy[64];
	bool moved;
	uint64_t target;
	uint8_t root_first;
} fake;

struct sealer {
	int dummy;
};

static inline kms_err fake_open(const struct sealer_params *p, struct sealer **out)
{
	static struct sealer one;

	fake.params = *p;
	if (fake.open_err != KMS_OK)
		return fake.open_err;
	fake.opened++;
	*out = &one;
	return KMS_OK;
}

static inline void fake_close(struct sealer **s)
{
	fake.closed += *s != NULL;
	*s = NULL;
}

static inline void note_blob(struct bytes blob)
{
	assert_true(blob.n <= sizeof(fake.blob_copy));
	memcpy(fake.blob_copy, blob.p, blob.n);
	fake.blob = bytes_of(fake.blob_copy, blob.n);
}

static inline kms_err fake_seal(struct sealer *s, const struct secret *root, struct bytes before,
    struct buf *out_blob, uint64_t *out_counter)
{
	(void)s;
	note_blob(before);
	fake.root_first = secret_bytes(root).p[0];
	*out_counter = 41;
	TRY(buf_put(out_blob, bytes_of_str("sealed")));
	return fake.err;
}

static inline kms_err fake_unseal(struct sealer *s, struct bytes blob, struct secret **out_root)
{
	(void)s;
	note_blob(blob);
	TRY(secret_new(SEALER_ROOT_LEN, out_root));
	memset(secret_fill(*out_root), 0x5c, SEALER_ROOT_LEN);
	return fake.err;
}

static inline kms_err fake_counter(
    struct sealer *s, struct bytes blob, const struct sealer_move *move, uint64_t *out_value)
{
	(void)s;
	note_blob(blob);
	fake.moved = move != NULL;
	fake.target = move != NULL ? move->target : 0;
	*out_value = 42;
	return fake.err;
}

static inline kms_err fake_sign(
    struct sealer *s, struct bytes blob, struct bytes message, struct buf *out_sig)
{
	(void)s;
	note_blob(blob);
	memcpy(fake.message_copy, message.p, message.n);
	fake.message = bytes_of(fake.message_copy, message.n);
	TRY(buf_put(out_sig, bytes_of_str("signature")));
	return fake.err;
}

static inline kms_err fake_public(struct sealer *s, struct bytes blob, struct buf *out_spki)
{
	(void)s;
	note_blob(blob);
	TRY(buf_put(out_spki, bytes_of_str("public")));
	return fake.err;
}

static inline kms_err fake_random(struct sealer *s, uint8_t *out, size_t n)
{
	(void)s;
	memset(out, 0x3d, n);
	return fake.err;
}

static inline kms_err fake_describe(struct sealer *s, struct buf *out_text)
{
	(void)s;
	TRY(buf_put(out_text, bytes_of_str("a fake")));
	return fake.err;
}

static inline uint32_t fake_code(const struct sealer *s)
{
	(void)s;
	return fake.err == KMS_OK ? 0 : FAKE_CODE;
}

static const struct sealer_kind fake_kind = {
	.name = "fake",
	.open = fake_open,
	.close = fake_close,
	.seal = fake_seal,
	.unseal = fake_unseal,
	.counter = fake_counter,
	.sign = fake_sign,
	.public_key = fake_public,
	.random = fake_random,
	.describe = fake_describe,
	.last_code = fake_code,
};
