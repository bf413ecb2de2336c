/* SPDX-License-Identifier: Apache-2.0 */
/* The blob of a PKCS#11 slot: what is written is read, and nothing else is. */
#include "pkcs11/token_blob.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/damage.h"

enum {
	SECRETS = 4
};

static const uint8_t instance[INSTANCE_ID_LEN] = { 1, 2, 3 };

static struct token_blob some_blob(enum sealer_mechanism m)
{
	struct token_blob b = { .token_label = "kms",
		.token_serial = "0a1b",
		.key_label = "kms-root",
		.key_id = { { 7, 8, 9 }, 3 },
		.sign_id = { { 1 }, OBJECT_ID_LEN },
		.seal.mechanism = m };

	memset(b.spki, 0x30, sizeof(b.spki));
	memset(b.seal.iv, 0x11, seal_iv_len(m));
	memset(b.seal.data, 0x22, seal_data_len(m));
	memset(b.check, 0x33, sizeof(b.check));
	return b;
}

static void comes_back(const struct token_blob *b)
{
	AUTO(buf_done) struct buf out = { 0 };
	AUTO(buf_done) struct buf again = { 0 };
	struct token_blob read;

	assert_int_equal(token_blob_encode(b, &out), KMS_OK);
	assert_true(out.n <= SEALER_BLOB_MAX);
	assert_int_equal(token_blob_decode(buf_bytes(&out), &read), KMS_OK);
	assert_memory_equal(&read.seal, &b->seal, sizeof(read.seal));
	assert_int_equal(token_blob_encode(&read, &again), KMS_OK);
	assert_true(bytes_equal(buf_bytes(&out), buf_bytes(&again)));
}

static void blobs_come_back(void **state)
{
	(void)state;
	struct token_blob b = some_blob(SEALER_AES_GCM);

	comes_back(&b);
	b = some_blob(SEALER_AES_CBC);
	comes_back(&b);
	b.sign_id.n = 0;
	b.key_id.n = 0;
	b.token_serial[0] = b.token_label[0] = '\0';
	comes_back(&b);
	b.key_id.n = OBJECT_ID_MAX;
	memset(b.token_label, 'l', SEALER_LABEL_MAX);
	memset(b.token_serial, 's', SEALER_SERIAL_MAX);
	memset(b.key_label, 'k', NAME_MAX_LEN);
	comes_back(&b);
}

static void is_refused(struct bytes damaged, size_t at, void *arg)
{
	struct token_blob b;

	(void)at;
	(void)arg;
	assert_int_equal(token_blob_decode(damaged, &b), KMS_E_INTEGRITY);
}

/* What is read at all is another blob than before. */
static void is_another(struct bytes damaged, size_t at, void *arg)
{
	AUTO(buf_done) struct buf again = { 0 };
	struct token_blob b;
	kms_err e = token_blob_decode(damaged, &b);

	(void)at;
	(void)arg;
	assert_true(e == KMS_OK || e == KMS_E_INTEGRITY || e == KMS_E_NEWER_FORMAT);
	if (e != KMS_OK)
		return;
	assert_int_equal(token_blob_encode(&b, &again), KMS_OK);
	assert_true(bytes_equal(buf_bytes(&again), damaged));
}

static void damage_is_noticed(void **state)
{
	(void)state;
	AUTO(buf_done) struct buf out = { 0 };
	const struct token_blob b = some_blob(SEALER_AES_GCM);

	assert_int_equal(token_blob_encode(&b, &out), KMS_OK);
	damage_cuts(buf_bytes(&out), is_refused, NULL);
	damage_longer(buf_bytes(&out), is_refused, NULL);
	damage_flips(buf_bytes(&out), is_another, NULL);
}

static void what_is_newer_is_told(void **state)
{
	(void)state;
	AUTO(buf_done) struct buf out = { 0 };
	const struct token_blob b = some_blob(SEALER_AES_GCM);
	struct token_blob read;

	assert_int_equal(token_blob_encode(&b, &out), KMS_OK);
	out.p[0] = 2;
	assert_int_equal(token_blob_decode(buf_bytes(&out), &read), KMS_E_NEWER_FORMAT);
	out.p[0] = 0;
	assert_int_equal(token_blob_decode(buf_bytes(&out), &read), KMS_E_INTEGRITY);
	out.p[0] = 1;
	out.p[1] = 3;
	assert_int_equal(token_blob_decode(buf_bytes(&out), &read), KMS_E_NEWER_FORMAT);
	out.p[1] = 0;
	assert_int_equal(token_blob_decode(buf_bytes(&out), &read), KMS_E_INTEGRITY);
}

static void check_of(const struct token_blob *b, const uint8_t *inst, uint8_t first, uint8_t *out)
{
	AUTO(secret_free) struct secret *root = NULL;

	assert_int_equal(secret_new(SEALER_ROOT_LEN, &root), KMS_OK);
	secret_fill(root)[0] = first;
	assert_int_equal(token_blob_check(b, root, inst, out), KMS_OK);
}

/* The root, the instance, and every field that stands before it; the AAD has all but the root. */
static void the_check_covers_all(void **state)
{
	(void)state;
	static const uint8_t other[INSTANCE_ID_LEN] = { 1, 2, 4 };
	struct token_blob b = some_blob(SEALER_AES_CBC);
	uint8_t x[SHA256_LEN], y[SHA256_LEN];

	check_of(&b, instance, 1, x);
	check_of(&b, instance, 1, y);
	assert_memory_equal(x, y, sizeof(x));
	check_of(&b, instance, 2, y);
	assert_memory_not_equal(x, y, sizeof(x));
	check_of(&b, other, 1, y);
	assert_memory_not_equal(x, y, sizeof(x));
	b.seal.iv[15] ^= 1;
	check_of(&b, instance, 1, y);
	assert_memory_not_equal(x, y, sizeof(x));
	b = some_blob(SEALER_AES_CBC);
	b.spki[5] ^= 1;
	check_of(&b, instance, 1, y);
	assert_memory_not_equal(x, y, sizeof(x));
}

static void the_aad_covers_head_and_instance(void **state)
{
	(void)state;
	static const uint8_t other[INSTANCE_ID_LEN] = { 1, 2, 4 };
	struct token_blob b = some_blob(SEALER_AES_GCM);
	uint8_t x[SHA256_LEN], y[SHA256_LEN];

	assert_int_equal(token_blob_aad(&b, instance, x), KMS_OK);
	assert_int_equal(token_blob_aad(&b, other, y), KMS_OK);
	assert_memory_not_equal(x, y, sizeof(x));
	b.seal.data[0] ^= 1;
	assert_int_equal(token_blob_aad(&b, instance, y), KMS_OK);
	assert_memory_equal(x, y, sizeof(x));
	b.key_id.b[0] ^= 1;
	assert_int_equal(token_blob_aad(&b, instance, y), KMS_OK);
	assert_memory_not_equal(x, y, sizeof(x));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blobs_come_back),
		cmocka_unit_test(damage_is_noticed),
		cmocka_unit_test(what_is_newer_is_told),
		cmocka_unit_test(the_check_covers_all),
		cmocka_unit_test(the_aad_covers_head_and_instance),
	};

	CHECK(secret_init(SECRETS, true) == KMS_OK);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	secret_done();
	return failed;
}
