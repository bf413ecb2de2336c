/* SPDX-License-Identifier: Apache-2.0 */
/* AES key wrap against RFC 5649 section 6 and RFC 3394 section 4, and everything it must refuse. */
#include "kms/crypto/kwp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/unit/hex.h"
#include "tests/unit/secrets.h"

#define KEY_16  "000102030405060708090a0b0c0d0e0f"
#define KEY_24  KEY_16 "1011121314151617"
#define KEY_32  KEY_24 "18191a1b1c1d1e1f"
#define DATA_16 "00112233445566778899aabbccddeeff"
#define DATA_24 DATA_16 "0001020304050607"
#define DATA_32 DATA_24 "08090a0b0c0d0e0f"

static const struct vector {
	enum kwp_kind kind;
	const char *key, *plain, *wrapped;
} vectors[] = {
	{ KWP_PADDED, "5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8",
	    "c37b7e6492584340bed12207808941155068f738",
	    "138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a" },
	{ KWP_PADDED, "5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8", "466f7250617369",
	    "afbeb0f07dfbf5419200f2ccb50bb24f" },
	{ KWP_PLAIN, KEY_16, DATA_16, "1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5" },
	{ KWP_PLAIN, KEY_24, DATA_16, "96778b25ae6ca435f92b5b97c050aed2468ab8a17ad84e5d" },
	{ KWP_PLAIN, KEY_32, DATA_16, "64e8c3f9ce0f5ba263e9777905818a2a93c8191e7d6e8ae7" },
	{ KWP_PLAIN, KEY_24, DATA_24,
	    "031d33264e15d33268f24ec260743edce1c6c7ddee725a936ba814915c6762d2" },
	{ KWP_PLAIN, KEY_32, DATA_24,
	    "a8f9bc1612c68b3ff6e6f4fbe30e71e4769c8b80a32cb8958cd5d17d6b254da1" },
	{ KWP_PLAIN, KEY_32, DATA_32,
	    "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21" },
};

static struct secret *secret_hex(const char *text)
{
	AUTO(hex_done) struct hex h = hex_of(text);
	struct secret *s;

	assert_int_equal(secret_from(hex_bytes(h), &s), KMS_OK);
	return s;
}

static void is_zero(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_int_equal(p[i], 0);
}

static void vectors_of_both_rfcs(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
		const struct vector *v = &vectors[i];
		AUTO(secret_free) struct secret *key = secret_hex(v->key);
		AUTO(hex_done) struct hex plain = hex_of(v->plain);
		AUTO(hex_done) struct hex wrapped = hex_of(v->wrapped);
		AUTO(hex_done) struct hex out = hex_room(kwp_len(plain.n));
		size_t n;

		assert_int_equal(out.n, wrapped.n);
		assert_int_equal(kwp_wrap(v->kind, key, hex_bytes(plain), out.p), KMS_OK);
		assert_memory_equal(out.p, wrapped.p, wrapped.n);
		assert_int_equal(kwp_unwrap(v->kind, key, hex_bytes(wrapped), out.p, &n), KMS_OK);
		assert_int_equal(n, plain.n);
		assert_memory_equal(out.p, plain.p, n);
	}
}

static void lengths_round_up_to_eight(void **state)
{
	(void)state;
	assert_int_equal(kwp_len(1), 16);
	assert_int_equal(kwp_len(8), 16);
	assert_int_equal(kwp_len(9), 24);
	assert_int_equal(kwp_len(32), 40);
}

static void every_length_comes_back(void **state)
{
	(void)state;
	AUTO(secret_free) struct secret *key = secret_hex(KEY_32);

	for (size_t len = 1; len <= 65; len++) {
		AUTO(hex_done) struct hex plain = hex_room(len);
		AUTO(hex_done) struct hex wrapped = hex_room(kwp_len(len));
		AUTO(hex_done) struct hex out = hex_room(wrapped.n);
		size_t n;

		assert_int_equal(kwp_wrap(KWP_PADDED, key, hex_bytes(plain), wrapped.p), KMS_OK);
		assert_int_equal(
		    kwp_unwrap(KWP_PADDED, key, hex_bytes(wrapped), out.p, &n), KMS_OK);
		assert_int_equal(n, len);
		assert_memory_equal(out.p, plain.p, len);
	}
}

static void the_longest_plaintext(void **state)
{
	(void)state;
	AUTO(secret_free) struct secret *key = secret_hex(KEY_32);
	AUTO(hex_done) struct hex plain = hex_room(KWP_PLAIN_MAX + 1);
	AUTO(hex_done) struct hex out = hex_room(kwp_len(KWP_PLAIN_MAX + 1));
	struct bytes whole = bytes_of(plain.p, KWP_PLAIN_MAX);

	assert_int_equal(kwp_wrap(KWP_PADDED, key, whole, out.p), KMS_OK);
	assert_int_equal(kwp_wrap(KWP_PLAIN, key, whole, out.p), KMS_OK);
	assert_int_equal(kwp_wrap(KWP_PADDED, key, hex_bytes(plain), out.p), KMS_E_BAD_REQUEST);
}

static void every_flipped_bit_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
		const struct vector *v = &vectors[i];
		AUTO(secret_free) struct secret *key = secret_hex(v->key);
		AUTO(hex_done) struct hex wrapped = hex_of(v->wrapped);
		AUTO(hex_done) struct hex out = hex_room(wrapped.n);

		for (size_t bit = 0; bit < wrapped.n * 8; bit++) {
			size_t n = 4711;

			wrapped.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
			memset(out.p, 0xa5, out.n);
			assert_int_equal(kwp_unwrap(v->kind, key, hex_bytes(wrapped), out.p, &n),
			    KMS_E_INTEGRITY);
			assert_int_equal(n, 4711);
			is_zero(out.p, out.n);
			wrapped.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
	}
}

static void another_key_is_refused(void **state)
{
	(void)state;
	AUTO(secret_free) struct secret *key = secret_hex(KEY_32);
	AUTO(hex_done) struct hex wrapped = hex_of(vectors[0].wrapped);
	AUTO(hex_done) struct hex out = hex_room(wrapped.n);
	size_t n;

	assert_int_equal(
	    kwp_unwrap(KWP_PADDED, key, hex_bytes(wrapped), out.p, &n), KMS_E_INTEGRITY);
}

/* RFC 3394 and RFC 5649 have different check values, so one can't pass for the other. */
static void the_kinds_are_not_mixed(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
		const struct vector *v = &vectors[i];
		enum kwp_kind other = v->kind == KWP_PADDED ? KWP_PLAIN : KWP_PADDED;
		AUTO(secret_free) struct secret *key = secret_hex(v->key);
		AUTO(hex_done) struct hex wrapped = hex_of(v->wrapped);
		AUTO(hex_done) struct hex out = hex_room(wrapped.n);
		size_t n;

		assert_int_equal(
		    kwp_unwrap(other, key, hex_bytes(wrapped), out.p, &n), KMS_E_INTEGRITY);
	}
}

static void plain_lengths_that_a_kind_cannot_take(void **state)
{
	(void)state;
	AUTO(secret_free) struct secret *key = secret_hex(KEY_32);
	static const size_t bad[] = { 0, 1, 7, 8, 9, 15, 17, 31 };
	AUTO(hex_done) struct hex plain = hex_room(32);
	AUTO(hex_done) struct hex out = hex_room(kwp_len(plain.n));

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(
		    kwp_wrap(KWP_PLAIN, key, bytes_of(plain.p, bad[i]), out.p), KMS_E_BAD_REQUEST);
	assert_int_equal(kwp_wrap(KWP_PADDED, key, bytes_of(plain.p, 0), out.p), KMS_E_BAD_REQUEST);
}

static void wrapped_lengths_that_cannot_be(void **state)
{
	(void)state;
	AUTO(secret_free) struct secret *key = secret_hex(KEY_32);
	static const size_t bad[] = { 0, 1, 7, 8, 9, 15, 17, 23, 33, KWP_PLAIN_MAX + 16 };
	AUTO(hex_done) struct hex in = hex_room(KWP_PLAIN_MAX + 16);
	AUTO(hex_done) struct hex out = hex_room(in.n);
	size_t n;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		const struct bytes x = bytes_of(in.p, bad[i]);

		assert_int_equal(kwp_unwrap(KWP_PADDED, key, x, out.p, &n), KMS_E_INTEGRITY);
		assert_int_equal(kwp_unwrap(KWP_PLAIN, key, x, out.p, &n), KMS_E_INTEGRITY);
	}
	assert_int_equal(
	    kwp_unwrap(KWP_PLAIN, key, bytes_of(in.p, 16), out.p, &n), KMS_E_INTEGRITY);
}

static void key_lengths_that_aes_does_not_have(void **state)
{
	(void)state;
	static const size_t bad[] = { 0, 1, 8, 15, 17, 40, 64 };
	uint8_t out[24];

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		AUTO(secret_free) struct secret *key = NULL;
		size_t n;

		assert_int_equal(secret_new(bad[i], &key), KMS_OK);
		assert_int_equal(
		    kwp_wrap(KWP_PADDED, key, bytes_of_str("12345678"), out), KMS_E_BAD_ALGORITHM);
		assert_int_equal(
		    kwp_unwrap(KWP_PADDED, key, bytes_of_str("1234567812345678"), out, &n),
		    KMS_E_BAD_ALGORITHM);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors_of_both_rfcs),
		cmocka_unit_test(lengths_round_up_to_eight),
		cmocka_unit_test(every_length_comes_back),
		cmocka_unit_test(the_longest_plaintext),
		cmocka_unit_test(every_flipped_bit_is_refused),
		cmocka_unit_test(another_key_is_refused),
		cmocka_unit_test(the_kinds_are_not_mixed),
		cmocka_unit_test(plain_lengths_that_a_kind_cannot_take),
		cmocka_unit_test(wrapped_lengths_that_cannot_be),
		cmocka_unit_test(key_lengths_that_aes_does_not_have),
	};

	return cmocka_run_group_tests(tests, secrets_begin, secrets_end);
}
