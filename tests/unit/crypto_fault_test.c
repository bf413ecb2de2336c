/* SPDX-License-Identifier: Apache-2.0 */
/* What kms/crypto does when OpenSSL or the system fails, at each call in turn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "kms/crypto/aead.h"
#include "kms/crypto/chunk.h"
#include "kms/crypto/hash.h"
#include "kms/crypto/kdf.h"
#include "kms/crypto/kwp.h"
#include "kms/crypto/rand.h"
#include "tests/unit/ossl_fault.h"

static const char text[] = "attack at dawn, attack at dawn";

static struct secret *key;

/* Nothing of the clear text may be left where a failure left something. */
static void shows_nothing(const uint8_t *out, size_t n)
{
	for (size_t i = 0; i + 8 <= n; i++)
		assert_memory_not_equal(out + i, text, 8);
}

static kms_err story_hash(void)
{
	uint8_t out[SHA256_LEN];
	const struct bytes parts[] = { bytes_of_str("a"), bytes_of_str("b") };

	return hash_sha256(parts, ARRAY_LEN(parts), out);
}

static kms_err story_mac(void)
{
	AUTO(mac_free) struct mac *m = NULL;
	AUTO(mac_free) struct mac *longer = NULL;
	AUTO(mac_free) struct mac *of_long_key = NULL;
	static const uint8_t long_key[200]; /* longer than a block: it is hashed first */
	uint8_t out[SHA512_LEN];
	const struct bytes parts[] = { bytes_of_str("a"), bytes_of_str("b") };

	TRY(mac_new(key, &m));
	TRY(mac_compute(m, parts, ARRAY_LEN(parts), out));
	TRY(mac_new_clear(bytes_of(long_key, sizeof(long_key)), &of_long_key));
	TRY(mac_new_sha512(bytes_of_str("key"), &longer));
	return mac_compute(longer, parts, ARRAY_LEN(parts), out);
}

static kms_err story_kdf(void)
{
	AUTO(secret_free) struct secret *s = NULL;
	struct key256 clear;
	uint8_t out[100];

	TRY(kdf_label(key, "label", &s));
	TRY(kdf_label_clear(key, "label", &clear));
	return kdf_expand_sha512(bytes_of_str("key"), bytes_of_str("info"), sizeof(out), out);
}

static kms_err seal_and_open(enum algorithm a)
{
	AUTO(aead_free) struct aead *k = NULL;
	static const uint8_t nonce[AEAD_NONCE_MAX];
	const struct bytes aad[2] = { bytes_of_str("head"), bytes_of_str("context") };
	const struct bytes plain = bytes_of(text, sizeof(text));
	uint8_t sealed[sizeof(text) + AEAD_TAG_LEN] = { 0 }, out[sizeof(text)] = { 0 };

	TRY(aead_new(a, key, &k));
	kms_err e = aead_seal(k, nonce, aad, plain, sealed);
	shows_nothing(sealed, sizeof(sealed));
	TRY(e);
	e = aead_open(k, nonce, aad, bytes_of(sealed, sizeof(sealed)), out);
	if (e != KMS_OK)
		shows_nothing(out, sizeof(out));
	return e;
}

static kms_err story_xaes(void)
{
	return seal_and_open(ALG_XAES_256_GCM);
}

static kms_err story_gcm(void)
{
	return seal_and_open(ALG_AES_256_GCM);
}

static kms_err story_kwp(void)
{
	const struct bytes plain = bytes_of(text, sizeof(text));
	uint8_t wrapped[64] = { 0 }, out[64] = { 0 };
	size_t n = kwp_len(sizeof(text));

	kms_err e = kwp_wrap(KWP_PADDED, key, plain, wrapped);
	shows_nothing(wrapped, sizeof(wrapped));
	TRY(e);
	e = kwp_unwrap(KWP_PADDED, key, bytes_of(wrapped, n), out, &n);
	if (e != KMS_OK)
		shows_nothing(out, sizeof(out));
	return e;
}

static kms_err story_chunk(void)
{
	AUTO(chunk_free) struct chunk *c = NULL;
	static const uint8_t clear[KEY_BITS_LEN], salt[CHUNK_SALT_LEN], long_context[256];
	uint8_t sealed[sizeof(text) + CHUNK_TAG] = { 0 }, out[sizeof(text)] = { 0 };

	TRY(chunk_new(clear, salt, bytes_of(long_context, sizeof(long_context)), &c));
	kms_err e = chunk_seal(c, 0, bytes_of(text, sizeof(text)), sealed);
	shows_nothing(sealed, sizeof(sealed));
	TRY(e);
	return chunk_open(c, 0, bytes_of(sealed, sizeof(sealed)), out);
}

static kms_err story_rand(void)
{
	AUTO(rand_block_free) struct rand_block *r = NULL;
	uint8_t out[8192];

	TRY(rand_block_new(&r));
	TRY(rand_draw(r, out, 56));
	TRY(rand_draw(r, out, 4000));
	TRY(rand_draw(r, out, 4000));
	return rand_draw(r, out, sizeof(out));
}

/* A block whose refill failed gives nothing until one succeeds. */
static void a_failed_refill_leaves_nothing_to_draw(void **state)
{
	(void)state;
	AUTO(rand_block_free) struct rand_block *r = NULL;
	uint8_t out[4000];

	assert_int_equal(rand_block_new(&r), KMS_OK);
	assert_int_equal(rand_draw(r, out, sizeof(out)), KMS_OK);
	fault_in = 1;
	assert_int_equal(rand_draw(r, out, sizeof(out)), KMS_E_CRYPTO);
	fault_in = 1;
	assert_int_equal(rand_draw(r, out, 1), KMS_E_CRYPTO);
	assert_int_equal(rand_draw(r, out, 1), KMS_OK);
}

/* A whole story makes at least so many calls that can fail. */
static void every_call_may_fail(void **state)
{
	(void)state;
	assert_in_range(fault_tell(story_hash), 4, 100);
	assert_in_range(fault_tell(story_mac), 8, 100);
	assert_in_range(fault_tell(story_kdf), 20, 100);
	assert_in_range(fault_tell(story_xaes), 18, 100);
	assert_in_range(fault_tell(story_gcm), 14, 100);
	assert_in_range(fault_tell(story_kwp), 8, 100);
	assert_in_range(fault_tell(story_chunk), 10, 100);
	assert_in_range(fault_tell(story_rand), 3, 100);
}

static int set_up(void **state)
{
	(void)state;
	if (secret_init(8, true) != KMS_OK || secret_new(KEY_BITS_LEN, &key) != KMS_OK)
		return -1;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	secret_free(&key);
	secret_done();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_call_may_fail),
		cmocka_unit_test(a_failed_refill_leaves_nothing_to_draw),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
