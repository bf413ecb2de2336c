/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fields of a wrapped key: their places and sizes, and that whatever can't be one of ours is
 * refused in one way, but for a newer format.
 */
#include "kms/keys/wrapped.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "kms/base/buf.h"
#include "tests/unit/damage.h"

static const struct key_id id = { { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 } };

enum {
	ROOM = WRAPPED_OVERHEAD_MAX + PLAINTEXT_MAX + 32
};

/* A blob of the right size for n bytes of plaintext; nothing in it is encrypted. */
static struct bytes blob_of(enum algorithm a, size_t n, uint8_t out[static ROOM])
{
	memset(out, 0xcc, ROOM);
	wrapped_put_head(a, id, 0x01020304, out);
	return bytes_of(out, wrapped_len(a, n));
}

static void is_refused(struct bytes blob, size_t at, void *arg)
{
	struct wrapped w = { .version = 99 };

	(void)at;
	(void)arg;
	assert_int_equal(wrapped_decode(blob, &w), KMS_E_INTEGRITY);
	assert_int_equal(w.version, 99);
}

static void sizes_are_known(void **state)
{
	(void)state;
	assert_int_equal(wrapped_len(ALG_XAES_256_GCM, 32), 96);
	assert_int_equal(wrapped_len(ALG_AES_256_GCM, 32), 84);
	assert_int_equal(wrapped_len(ALG_AES_256_KWP, 32), 64);
	assert_int_equal(wrapped_len(ALG_XAES_256_GCM, 0), WRAPPED_OVERHEAD_MAX);
	for (size_t n = 1; n <= 17; n++)
		assert_int_equal(wrapped_len(ALG_AES_256_KWP, n), 24 + (n + 7) / 8 * 8 + 8);
}

static void the_head_is_known(void **state)
{
	static const uint8_t expected[] = "\x01\x02\x00\x00"
	                                  "\x01\x02\x03\x04\x05\x06\x07\x08"
	                                  "\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10"
	                                  "\x04\x03\x02\x01";
	uint8_t head[WRAPPED_HEAD_LEN];

	(void)state;
	wrapped_put_head(ALG_AES_256_GCM, id, 0x01020304, head);
	assert_memory_equal(head, expected, sizeof(head));
}

static void fields_are_found(void **state)
{
	static const size_t nonce_len[ALG_COUNT] = { 0, 24, 12, 0 };
	static uint8_t b[ROOM];

	(void)state;
	for (unsigned a = ALG_NONE + 1; a < ALG_COUNT; a++) {
		struct bytes blob = blob_of((enum algorithm)a, 32, b);
		struct wrapped w;

		assert_int_equal(wrapped_decode(blob, &w), KMS_OK);
		assert_int_equal(w.algorithm, a);
		assert_memory_equal(w.key.b, id.b, KEY_ID_LEN);
		assert_int_equal(w.version, 0x01020304);
		assert_true(w.head.p == b && w.head.n == WRAPPED_HEAD_LEN);
		assert_int_equal(w.nonce.n, nonce_len[a]);
		assert_true(w.nonce.n == 0 || w.nonce.p == b + WRAPPED_HEAD_LEN);
		assert_true(w.sealed.p == b + WRAPPED_HEAD_LEN + w.nonce.n);
		assert_true(w.sealed.p + w.sealed.n == b + blob.n);
	}
}

static void every_cut_is_seen_as_far_as_it_can(void **state)
{
	static uint8_t b[ROOM];

	(void)state;
	/* With no plaintext every cut goes into a field whose length is known. */
	damage_cuts(blob_of(ALG_XAES_256_GCM, 0, b), is_refused, NULL);
	damage_cuts(blob_of(ALG_AES_256_GCM, 0, b), is_refused, NULL);
	damage_cuts(blob_of(ALG_AES_256_KWP, 1, b), is_refused, NULL);
}

static void kwp_comes_in_semiblocks(void **state)
{
	static uint8_t b[ROOM];
	struct bytes blob = blob_of(ALG_AES_256_KWP, 32, b);

	(void)state;
	for (size_t n = blob.n - 7; n < blob.n + 8; n++) {
		if (n != blob.n)
			is_refused(bytes_of(b, n), n, NULL);
	}
}

static void too_long_blobs_are_refused(void **state)
{
	static uint8_t b[ROOM];

	(void)state;
	for (unsigned a = ALG_NONE + 1; a < ALG_COUNT; a++) {
		struct bytes blob = blob_of((enum algorithm)a, PLAINTEXT_MAX, b);
		struct wrapped w;

		assert_int_equal(wrapped_decode(blob, &w), KMS_OK);
		is_refused(bytes_of(b, blob.n + 8), 0, NULL);
	}
}

static void no_version_zero(void **state)
{
	static uint8_t b[ROOM];
	struct bytes blob = blob_of(ALG_XAES_256_GCM, 32, b);

	(void)state;
	store_u32(b + 20, 0);
	is_refused(blob, 0, NULL);
}

/* Every value of the first four bytes: only one format is newer, and only one is ours. */
static void formats_algorithms_and_flags(void **state)
{
	static uint8_t b[ROOM];
	struct bytes blob = blob_of(ALG_XAES_256_GCM, 32, b);
	struct wrapped w;

	(void)state;
	for (unsigned x = 0; x < 256; x++) {
		kms_err expected = x == WRAPPED_FORMAT        ? KMS_OK
		                   : x == WRAPPED_FORMAT_NEXT ? KMS_E_NEWER_FORMAT
		                                              : KMS_E_INTEGRITY;
		b[0] = (uint8_t)x;
		assert_int_equal(wrapped_decode(blob, &w), expected);
		b[0] = WRAPPED_FORMAT;

		b[1] = (uint8_t)x;
		if (x == ALG_NONE || x >= ALG_COUNT)
			is_refused(blob, x, NULL);
		b[1] = ALG_XAES_256_GCM;

		b[2] = (uint8_t)x;
		assert_int_equal(wrapped_decode(blob, &w), x == 0 ? KMS_OK : KMS_E_INTEGRITY);
		b[2] = 0;
		b[3] = (uint8_t)x;
		assert_int_equal(wrapped_decode(blob, &w), x == 0 ? KMS_OK : KMS_E_INTEGRITY);
		b[3] = 0;
	}
}

/* One flipped bit of the format must not look like a newer blob. */
static void a_flipped_bit_is_never_newer(void **state)
{
	static uint8_t b[ROOM];
	struct bytes blob = blob_of(ALG_AES_256_GCM, 32, b);

	(void)state;
	for (unsigned bit = 0; bit < 32; bit++) {
		struct wrapped w;
		kms_err e;

		b[bit / 8] ^= (uint8_t)(1U << bit % 8);
		e = wrapped_decode(blob, &w);
		b[bit / 8] ^= (uint8_t)(1U << bit % 8);
		assert_true(e == KMS_E_INTEGRITY || (e == KMS_OK && bit / 8 == 1));
	}
}

/* A newer blob may be of any length. */
static void a_newer_blob_is_named(void **state)
{
	static uint8_t b[100] = { WRAPPED_FORMAT_NEXT };
	struct wrapped w;

	(void)state;
	for (size_t n = 1; n <= sizeof(b); n++)
		assert_int_equal(wrapped_decode(bytes_of(b, n), &w), KMS_E_NEWER_FORMAT);
	is_refused(bytes_of(NULL, 0), 0, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_are_known),
		cmocka_unit_test(the_head_is_known),
		cmocka_unit_test(fields_are_found),
		cmocka_unit_test(every_cut_is_seen_as_far_as_it_can),
		cmocka_unit_test(kwp_comes_in_semiblocks),
		cmocka_unit_test(too_long_blobs_are_refused),
		cmocka_unit_test(no_version_zero),
		cmocka_unit_test(formats_algorithms_and_flags),
		cmocka_unit_test(a_flipped_bit_is_never_newer),
		cmocka_unit_test(a_newer_blob_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
