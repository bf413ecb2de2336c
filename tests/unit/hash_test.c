/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SHA-256 against the examples of FIPS 180-4, HMAC against RFC 4231, and what a kept state must
 * not carry from one message to the next.
 */
#include "kms/crypto/hash.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/unit/hex.h"
#include "tests/unit/secrets.h"

enum {
	MILLION = 1000000,
	THREADS = 4,
	HASHES_EACH = 1000
};

static void is_hex(const uint8_t *got, size_t n, const char *want)
{
	AUTO(hex_done) struct hex h = hex_of(want);

	assert_int_equal(h.n, n);
	assert_memory_equal(got, h.p, n);
}

static void sha256_is(struct bytes in, const char *want)
{
	uint8_t out[SHA256_LEN];

	assert_int_equal(hash_sha256(&in, 1, out), KMS_OK);
	is_hex(out, sizeof(out), want);
}

static void sha256_examples_of_the_standard(void **state)
{
	(void)state;
	sha256_is(
	    bytes_of_str(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	sha256_is(bytes_of_str("abc"),
	    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	sha256_is(bytes_of_str("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
	    "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

static void sha256_of_a_million_letters(void **state)
{
	(void)state;
	AUTO(hex_done) struct hex a = hex_room(MILLION);

	memset(a.p, 'a', a.n);
	sha256_is(hex_bytes(a), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void parts_are_one_message(void **state)
{
	(void)state;
	const struct bytes parts[] = { bytes_of_str("a"), { NULL, 0 }, bytes_of_str("bc") };
	uint8_t out[SHA256_LEN];

	assert_int_equal(hash_sha256(parts, ARRAY_LEN(parts), out), KMS_OK);
	is_hex(
	    out, sizeof(out), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	assert_int_equal(hash_sha256(NULL, 0, out), KMS_OK);
	is_hex(
	    out, sizeof(out), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void *hash_many(void *arg)
{
	uint8_t out[SHA256_LEN];
	const struct bytes in = bytes_of_str("abc");
	size_t *wrong = arg;

	for (int i = 0; i < HASHES_EACH; i++) {
		if (hash_sha256(&in, 1, out) != KMS_OK || out[0] != 0xba || out[31] != 0xad)
			(*wrong)++;
	}
	return NULL;
}

static void any_thread_may_hash(void **state)
{
	(void)state;
	pthread_t threads[THREADS];
	size_t wrong[THREADS] = { 0 };

	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, hash_many, &wrong[i]), 0);
	for (size_t i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(wrong[i], 0);
	}
}

/* RFC 4231 sections 4.2 to 4.4, 4.7 and 4.8. */
static const struct {
	const char *key, *data, *sha256, *sha512;
} rfc4231[] = {
	{ "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "4869205468657265",
	    "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
	    "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde"
	    "daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854" },
	{ "4a656665", "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
	    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
	    "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
	    "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737" },
	{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	    "dddddddddddddddddddddddddddddddddddddddddddddddddd"
	    "dddddddddddddddddddddddddddddddddddddddddddddddddd",
	    "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
	    "fa73b0089d56a284efb0f0756c890be9b1b5dbdd8ee81a3655f83e33b2279d39"
	    "bf3e848279a722c806b485a47e67c807b946a337bee8942674278859e13292fb" },
};

static void hmac_examples_of_rfc_4231(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rfc4231); i++) {
		AUTO(hex_done) struct hex key = hex_of(rfc4231[i].key);
		AUTO(hex_done) struct hex data = hex_of(rfc4231[i].data);
		AUTO(mac_free) struct mac *m = NULL;
		AUTO(mac_free) struct mac *longer = NULL;
		const struct bytes part = hex_bytes(data);
		uint8_t out[SHA512_LEN];

		assert_int_equal(mac_new_clear(hex_bytes(key), &m), KMS_OK);
		assert_int_equal(mac_compute(m, &part, 1, out), KMS_OK);
		is_hex(out, SHA256_LEN, rfc4231[i].sha256);
		assert_int_equal(mac_new_sha512(hex_bytes(key), &longer), KMS_OK);
		assert_int_equal(mac_compute(longer, &part, 1, out), KMS_OK);
		is_hex(out, SHA512_LEN, rfc4231[i].sha512);
	}
}

/* RFC 4231 section 4.7: the key is longer than a block, so it is hashed first. */
static void a_long_key_is_hashed(void **state)
{
	(void)state;
	AUTO(hex_done) struct hex key = hex_room(131);
	AUTO(mac_free) struct mac *m = NULL;
	const struct bytes parts[] = { bytes_of_str("Test Using Larger Than "),
		bytes_of_str("Block-Size Key - Hash Key First") };
	uint8_t out[SHA256_LEN];

	memset(key.p, 0xaa, key.n);
	assert_int_equal(mac_new_clear(hex_bytes(key), &m), KMS_OK);
	assert_int_equal(mac_compute(m, parts, 2, out), KMS_OK);
	is_hex(
	    out, sizeof(out), "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

static void an_empty_key_is_one_of_zeros(void **state)
{
	(void)state;
	AUTO(mac_free) struct mac *empty = NULL;
	AUTO(mac_free) struct mac *zeros = NULL;
	static const uint8_t zero_key[SHA256_LEN];
	uint8_t a[SHA256_LEN], b[SHA256_LEN];

	assert_int_equal(mac_new_clear(bytes_of(NULL, 0), &empty), KMS_OK);
	assert_int_equal(mac_new_clear(bytes_of(zero_key, sizeof(zero_key)), &zeros), KMS_OK);
	assert_int_equal(mac_compute(empty, NULL, 0, a), KMS_OK);
	assert_int_equal(mac_compute(zeros, NULL, 0, b), KMS_OK);
	assert_memory_equal(a, b, sizeof(a));
}

static void a_state_carries_nothing_over(void **state)
{
	(void)state;
	AUTO(mac_free) struct mac *m = NULL;
	const struct bytes one = bytes_of_str("one"), two = bytes_of_str("two");
	uint8_t first[SHA256_LEN], other[SHA256_LEN], again[SHA256_LEN];

	assert_int_equal(mac_new_clear(bytes_of_str("key"), &m), KMS_OK);
	assert_int_equal(mac_compute(m, &one, 1, first), KMS_OK);
	assert_int_equal(mac_compute(m, &two, 1, other), KMS_OK);
	assert_int_equal(mac_compute(m, &one, 1, again), KMS_OK);
	assert_memory_equal(first, again, sizeof(first));
	assert_memory_not_equal(first, other, sizeof(first));
}

static void a_secret_keys_as_its_bytes_do(void **state)
{
	(void)state;
	AUTO(mac_free) struct mac *a = NULL;
	AUTO(mac_free) struct mac *b = NULL;
	AUTO(secret_free) struct secret *s = NULL;
	uint8_t x[SHA256_LEN], y[SHA256_LEN];
	const struct bytes data = bytes_of_str("data");

	assert_int_equal(secret_from(bytes_of_str("Jefe"), &s), KMS_OK);
	assert_int_equal(mac_new(s, &a), KMS_OK);
	assert_int_equal(mac_new_clear(bytes_of_str("Jefe"), &b), KMS_OK);
	assert_int_equal(mac_compute(a, &data, 1, x), KMS_OK);
	assert_int_equal(mac_compute(b, &data, 1, y), KMS_OK);
	assert_memory_equal(x, y, sizeof(x));
}

static void another_key_or_byte_gives_another_tag(void **state)
{
	(void)state;
	AUTO(mac_free) struct mac *a = NULL;
	AUTO(mac_free) struct mac *b = NULL;
	const struct bytes data = bytes_of_str("data"), other = bytes_of_str("datb");
	uint8_t x[SHA256_LEN], y[SHA256_LEN];

	assert_int_equal(mac_new_clear(bytes_of_str("key"), &a), KMS_OK);
	assert_int_equal(mac_new_clear(bytes_of_str("kez"), &b), KMS_OK);
	assert_int_equal(mac_compute(a, &data, 1, x), KMS_OK);
	assert_int_equal(mac_compute(b, &data, 1, y), KMS_OK);
	assert_memory_not_equal(x, y, sizeof(x));
	assert_int_equal(mac_compute(a, &other, 1, y), KMS_OK);
	assert_memory_not_equal(x, y, sizeof(x));
}

static void free_takes_null(void **state)
{
	(void)state;
	struct mac *m = NULL;

	mac_free(&m);
	assert_null(m);
	assert_int_equal(mac_new_clear(bytes_of_str("key"), &m), KMS_OK);
	mac_free(&m);
	assert_null(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sha256_examples_of_the_standard),
		cmocka_unit_test(sha256_of_a_million_letters),
		cmocka_unit_test(parts_are_one_message),
		cmocka_unit_test(any_thread_may_hash),
		cmocka_unit_test(hmac_examples_of_rfc_4231),
		cmocka_unit_test(a_long_key_is_hashed),
		cmocka_unit_test(an_empty_key_is_one_of_zeros),
		cmocka_unit_test(a_state_carries_nothing_over),
		cmocka_unit_test(a_secret_keys_as_its_bytes_do),
		cmocka_unit_test(another_key_or_byte_gives_another_tag),
		cmocka_unit_test(free_takes_null),
	};

	return cmocka_run_group_tests(tests, secrets_begin, secrets_end);
}
