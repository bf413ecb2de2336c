/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ECDSA both ways: what is signed verifies, the same bits are the same key, and nothing else
 * verifies. Wycheproof's cases are in vectors_test.c. Also kms/crypto/ecdsa_sign.c's test.
 */
#include "kms/crypto/ecdsa.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/unit/hex.h"
#include "tests/unit/secrets.h"
#include "tests/unit/signer.h"

/* Of bits that are all 0x11, computed by Python's cryptography from HKDF's scalar. */
static const char known_x_y[] = "ec5c8dd5fa4f875397c077db5e237a542f9240f21506b05af8e5813b3a02e538"
                                "7dcf5009cf624ffdf991dbaca548bdd5b1f71237ace828faaa480517920ebaea";

static const struct bytes message = { (const uint8_t *)"a checkpoint\n", 13 };

static void what_is_signed_verifies(void **state)
{
	(void)state;
	AUTO(signer_done) struct signer s = signer_new("k", 0x11);

	for (int i = 0; i < 50; i++) {
		AUTO(buf_done) struct buf sig = { 0 };
		assert_int_equal(ecdsa_sign(s.private, message, &sig), KMS_OK);
		assert_in_range(sig.n, 8, ECDSA_SIG_MAX);
		assert_int_equal(ecdsa_verify(s.public, message, buf_bytes(&sig)), KMS_OK);
	}
}

static void the_same_bits_are_the_same_key(void **state)
{
	(void)state;
	AUTO(signer_done) struct signer a = signer_new("k", 0x11);
	AUTO(signer_done) struct signer b = signer_new("k", 0x11);
	AUTO(signer_done) struct signer c = signer_new("k", 0x12);
	AUTO(hex_done) struct hex want = hex_of(known_x_y);

	assert_memory_equal(a.key.spki, b.key.spki, ECDSA_SPKI_LEN);
	assert_memory_not_equal(a.key.spki, c.key.spki, ECDSA_SPKI_LEN);
	assert_memory_equal(a.key.spki + ECDSA_SPKI_LEN - want.n, want.p, want.n);
}

static void another_message_or_key_does_not_verify(void **state)
{
	(void)state;
	AUTO(signer_done) struct signer a = signer_new("k", 0x11);
	AUTO(signer_done) struct signer b = signer_new("k", 0x12);
	AUTO(buf_done) struct buf sig = { 0 };

	assert_int_equal(ecdsa_sign(a.private, message, &sig), KMS_OK);
	assert_int_equal(ecdsa_verify(b.public, message, buf_bytes(&sig)), KMS_E_INTEGRITY);
	assert_int_equal(
	    ecdsa_verify(a.public, bytes_of(message.p, 12), buf_bytes(&sig)), KMS_E_INTEGRITY);
	assert_int_equal(
	    ecdsa_verify(a.public, message, bytes_of(sig.p, sig.n - 1)), KMS_E_INTEGRITY);
	assert_int_equal(ecdsa_verify(a.public, message, (struct bytes){ 0 }), KMS_E_INTEGRITY);
	for (size_t i = 0; i < sig.n; i++) {
		sig.p[i] ^= 1;
		assert_int_equal(ecdsa_verify(a.public, message, buf_bytes(&sig)), KMS_E_INTEGRITY);
		sig.p[i] ^= 1;
	}
	assert_int_equal(buf_put_u8(&sig, 0), KMS_OK);
	assert_int_equal(ecdsa_verify(a.public, message, buf_bytes(&sig)), KMS_E_INTEGRITY);
}

static void what_is_no_public_key(void **state)
{
	(void)state;
	AUTO(signer_done) struct signer s = signer_new("k", 0x11);
	AUTO(ecdsa_public_free) struct ecdsa_public *k = NULL;
	uint8_t spki[ECDSA_SPKI_LEN + 1] = { 0 };

	memcpy(spki, s.key.spki, ECDSA_SPKI_LEN);
	for (size_t n = 0; n <= sizeof(spki); n++) {
		kms_err e = ecdsa_public_new(bytes_of(spki, n), &k);
		assert_int_equal(e, n == ECDSA_SPKI_LEN ? KMS_OK : KMS_E_BAD_REQUEST);
		ecdsa_public_free(&k);
	}
	/* Another curve, a compressed point, a point that is not on the curve. */
	for (size_t i = 0; i < ECDSA_SPKI_LEN; i++) {
		spki[i] ^= 1;
		assert_int_equal(
		    ecdsa_public_new(bytes_of(spki, ECDSA_SPKI_LEN), &k), KMS_E_BAD_REQUEST);
		assert_null(k);
		spki[i] ^= 1;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_signed_verifies),
		cmocka_unit_test(the_same_bits_are_the_same_key),
		cmocka_unit_test(another_message_or_key_does_not_verify),
		cmocka_unit_test(what_is_no_public_key),
	};

	return cmocka_run_group_tests(tests, secrets_begin, secrets_end);
}
