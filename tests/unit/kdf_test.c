/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HKDF against RFC 5869 (SHA-256) and values computed independently (SHA-512 expansion), its
 * length limits, and that each label gives a key of its own.
 */
#include "kms/crypto/kdf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/unit/hex.h"

enum {
	SLOTS = 8,
	SHA256_MOST = 255 * 32,
	SHA512_MOST = 255 * 64,
	INFO_LONG = 5000 /* a header with a full context */
};

/* RFC 5869 appendix A.1 to A.3. */
static const struct {
	const char *ikm, *salt, *info, *okm;
} rfc5869[] = {
	{ "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "000102030405060708090a0b0c",
	    "f0f1f2f3f4f5f6f7f8f9",
	    "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
	    "34007208d5b887185865" },
	{ "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
	  "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"
	  "404142434445464748494a4b4c4d4e4f",
	    "606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f"
	    "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"
	    "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf",
	    "b0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecf"
	    "d0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7e8e9eaebecedeeef"
	    "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
	    "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c"
	    "59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71"
	    "cc30c58179ec3e87c14c01d5c1f3434f1d87" },
	{ "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "", "",
	    "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
	    "9d201395faa4b61a96c8" },
};

static void examples_of_rfc_5869(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rfc5869); i++) {
		AUTO(hex_done) struct hex ikm = hex_of(rfc5869[i].ikm);
		AUTO(hex_done) struct hex salt = hex_of(rfc5869[i].salt);
		AUTO(hex_done) struct hex info = hex_of(rfc5869[i].info);
		AUTO(hex_done) struct hex okm = hex_of(rfc5869[i].okm);
		AUTO(hex_done) struct hex out = hex_room(okm.n);

		assert_int_equal(
		    kdf_sha256(hex_bytes(ikm), hex_bytes(salt), hex_bytes(info), out.n, out.p),
		    KMS_OK);
		assert_memory_equal(out.p, okm.p, okm.n);
	}
}

static void a_derived_secret_has_the_same_bytes(void **state)
{
	(void)state;
	AUTO(hex_done) struct hex ikm = hex_of(rfc5869[0].ikm);
	AUTO(hex_done) struct hex salt = hex_of(rfc5869[0].salt);
	AUTO(hex_done) struct hex info = hex_of(rfc5869[0].info);
	AUTO(hex_done) struct hex okm = hex_of(rfc5869[0].okm);
	AUTO(secret_free) struct secret *key = NULL;
	AUTO(secret_free) struct secret *out = NULL;

	assert_int_equal(secret_from(hex_bytes(ikm), &key), KMS_OK);
	assert_int_equal(kdf_derive(key, hex_bytes(salt), hex_bytes(info), okm.n, &out), KMS_OK);
	assert_true(secret_equal(out, hex_bytes(okm)));
}

/* Computed with another implementation: key 07 * 32, no salt, the label as info. */
static const char label_want[] = "e988b7f680cde1891232037630e540ecaf85ef0f3c1e92f53e2505db36bd9901";

static kms_err seven(struct secret **out)
{
	uint8_t bits[KEY_BITS_LEN];

	memset(bits, 7, sizeof(bits));
	return secret_from(bytes_of(bits, sizeof(bits)), out);
}

static void a_label_gives_a_key(void **state)
{
	(void)state;
	AUTO(hex_done) struct hex want = hex_of(label_want);
	AUTO(secret_free) struct secret *key = NULL;
	AUTO(secret_free) struct secret *out = NULL;
	struct key256 clear;

	assert_int_equal(seven(&key), KMS_OK);
	assert_int_equal(kdf_label(key, "kmsd 1 wrap xaes-256-gcm", &out), KMS_OK);
	assert_true(secret_equal(out, hex_bytes(want)));
	assert_int_equal(kdf_label_clear(key, "kmsd 1 wrap xaes-256-gcm", &clear), KMS_OK);
	assert_true(secret_equal(out, bytes_of(clear.b, sizeof(clear.b))));
}

static void another_label_gives_another_key(void **state)
{
	(void)state;
	AUTO(secret_free) struct secret *key = NULL;
	struct key256 a, b;

	assert_int_equal(seven(&key), KMS_OK);
	assert_int_equal(kdf_label_clear(key, "kmsd 1 wrap xaes-256-gcm", &a), KMS_OK);
	assert_int_equal(kdf_label_clear(key, "kmsd 1 wrap aes-256-gcm", &b), KMS_OK);
	assert_memory_not_equal(a.b, b.b, sizeof(a.b));
}

static void counting_up(uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)i;
}

static void expand_is(size_t prk_n, struct bytes info, const char *want)
{
	AUTO(hex_done) struct hex okm = hex_of(want);
	AUTO(hex_done) struct hex prk = hex_room(prk_n);
	AUTO(hex_done) struct hex out = hex_room(okm.n);

	counting_up(prk.p, prk.n);
	assert_int_equal(kdf_expand_sha512(hex_bytes(prk), info, out.n, out.p), KMS_OK);
	assert_memory_equal(out.p, okm.p, okm.n);
}

/* Computed with another implementation: the key counts up from 00. */
static void expansions_with_sha512(void **state)
{
	(void)state;
	AUTO(hex_done) struct hex info = hex_room(INFO_LONG);

	counting_up(info.p, info.n);
	expand_is(64, bytes_of_str("c2sp"),
	    "cfd2daed3b71ab725dae9618a12064defecefa9d14cd0db4a0e5119c18c34a2c"
	    "085624b4c43b0da6e45bd2be3243e03c878749fd6c582786436416771b8a2b17"
	    "372990aa47dd8e67f0fbfba1");
	expand_is(64, bytes_of(NULL, 0),
	    "d01b766d4671ca874e759a77050d467b6b9d7911fd4f7c7bbf84fd2a0927e9d7"
	    "38f502d75160668b1f036b1e45773822ff98926551972ff55090b77b39fb41c0");
	expand_is(32, hex_bytes(info),
	    "6fccbe2258354689116496eb147a767fd9c3b60c58cf0a55f24604077621f930"
	    "58fd518ff1f3b3ab20b73f7b1e8a300d92c03d89f867077fb90d31692252f5dc"
	    "041250ef0ea2ecd0df12dafb02684820dde6b8c5e5aab470e298f1dd20eb90b6"
	    "670d4b9cb986087b080781a3dd56b237de494a5279f4766a681fe27d498a1382"
	    "0c51");
}

static void no_more_than_255_blocks(void **state)
{
	(void)state;
	AUTO(hex_done) struct hex out = hex_room(SHA512_MOST + 1);
	const struct bytes key = bytes_of_str("key"), none = bytes_of(NULL, 0);

	assert_int_equal(kdf_sha256(key, none, none, SHA256_MOST, out.p), KMS_OK);
	assert_int_equal(kdf_sha256(key, none, none, SHA256_MOST + 1, out.p), KMS_E_CRYPTO);
	assert_int_equal(kdf_expand_sha512(key, none, SHA512_MOST, out.p), KMS_OK);
	assert_int_equal(kdf_expand_sha512(key, none, SHA512_MOST + 1, out.p), KMS_E_CRYPTO);
}

static void nothing_asked_nothing_written(void **state)
{
	(void)state;
	AUTO(hex_done) struct hex out = hex_room(1);
	const struct bytes key = bytes_of_str("key"), none = bytes_of(NULL, 0);

	assert_int_equal(kdf_sha256(key, none, none, 0, out.p), KMS_OK);
	assert_int_equal(out.p[0], 0xa5);
}

static void a_secret_that_is_too_long(void **state)
{
	(void)state;
	AUTO(secret_free) struct secret *key = NULL;
	struct secret *out = NULL;
	const struct bytes none = bytes_of(NULL, 0);

	assert_int_equal(seven(&key), KMS_OK);
	assert_int_equal(kdf_derive(key, none, none, SECRET_MAX + 1, &out), KMS_E_INTERNAL);
	assert_null(out);
}

static void no_room_for_another_secret(void **state)
{
	(void)state;
	struct secret *held[SLOTS];
	struct secret *out = NULL;

	for (size_t i = 0; i < SLOTS; i++)
		assert_int_equal(seven(&held[i]), KMS_OK);
	assert_int_equal(kdf_label(held[0], "label", &out), KMS_E_KEYS_FULL);
	assert_null(out);
	for (size_t i = 0; i < SLOTS; i++)
		secret_free(&held[i]);
}

static int set_up(void **state)
{
	(void)state;
	return secret_init(SLOTS, true) == KMS_OK ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	secret_done();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(examples_of_rfc_5869),
		cmocka_unit_test(a_derived_secret_has_the_same_bytes),
		cmocka_unit_test(a_label_gives_a_key),
		cmocka_unit_test(another_label_gives_another_key),
		cmocka_unit_test(expansions_with_sha512),
		cmocka_unit_test(no_more_than_255_blocks),
		cmocka_unit_test(nothing_asked_nothing_written),
		cmocka_unit_test(a_secret_that_is_too_long),
		cmocka_unit_test(no_room_for_another_secret),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
