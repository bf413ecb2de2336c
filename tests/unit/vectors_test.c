/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Published vectors in bulk: the accumulated test of C2SP XAES-256-GCM, always, and the files of
 * Wycheproof where they are: in $KMS_VECTORS, else in ../shared/vectors beside the source folder.
 * Prints how many cases of each file were run. Vectors that a standard prints are in the modules'
 * own tests.
 */
#include <json-c/json.h>
#include <limits.h>
#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "kms/crypto/aead.h"
#include "kms/crypto/ecdsa.h"
#include "kms/crypto/hash.h"
#include "kms/crypto/kdf.h"
#include "kms/crypto/kwp.h"
#include "tests/unit/hex.h"
#include "tests/unit/secrets.h"

/* What a file says about a case. "acceptable" leaves it to us. */
enum verdict {
	VALID,
	INVALID,
	ACCEPTABLE
};

/* Runs one case; false if it is not one for us (another key size, another nonce length). */
typedef bool run_case(struct json_object *group, struct json_object *test);

static struct json_object *field(struct json_object *o, const char *name)
{
	struct json_object *x = NULL;

	assert_true(json_object_object_get_ex(o, name, &x));
	return x;
}

static struct hex hex_field(struct json_object *o, const char *name)
{
	return hex_of(json_object_get_string(field(o, name)));
}

static size_t number(struct json_object *o, const char *name)
{
	return (size_t)json_object_get_int64(field(o, name));
}

static enum verdict verdict(struct json_object *test)
{
	const char *result = json_object_get_string(field(test, "result"));

	if (strcmp(result, "valid") == 0)
		return VALID;
	return strcmp(result, "invalid") == 0 ? INVALID : ACCEPTABLE;
}

static void json_done(struct json_object **o)
{
	(void)json_object_put(*o);
}

/* The path of a file, or false where there is none; then it has said so. */
static bool find(const char *name, char out[static PATH_MAX])
{
	const char *dir = getenv("KMS_VECTORS");
	char beside[PATH_MAX];

	if (dir == NULL) {
		const char *end = strrchr(__FILE__, '/');
		int here = end == NULL ? 0 : (int)(end - __FILE__ + 1);

		(void)snprintf(
		    beside, sizeof(beside), "%.*s../../../shared/vectors", here, __FILE__);
		dir = beside;
	}
	int n = snprintf(out, PATH_MAX, "%s/wycheproof/%s", dir, name);
	assert_in_range(n, 1, PATH_MAX - 1);
	if (access(out, R_OK) == 0)
		return true;
	print_message("skipped: no vector files at %s\n", out);
	return false;
}

static size_t run_group(struct json_object *group, run_case *run)
{
	struct json_object *tests = field(group, "tests");
	size_t n = json_object_array_length(tests), ran = 0;

	for (size_t i = 0; i < n; i++) {
		struct json_object *test = json_object_array_get_idx(tests, i);

		ran += run(group, test);
	}
	return ran;
}

static void run_file(const char *name, run_case *run, size_t at_least)
{
	char path[PATH_MAX];
	size_t ran = 0;

	if (!find(name, path))
		skip();
	AUTO(json_done) struct json_object *file = json_object_from_file(path);
	assert_non_null(file);
	struct json_object *groups = field(file, "testGroups");
	for (size_t i = 0; i < json_object_array_length(groups); i++)
		ran += run_group(json_object_array_get_idx(groups, i), run);
	print_message("%s: %zu of %zu cases\n", name, ran, number(file, "numberOfTests"));
	assert_true(ran >= at_least);
}

static bool run_gcm(struct json_object *group, struct json_object *test)
{
	if (number(group, "keySize") != 256 || number(group, "ivSize") != 96)
		return false;
	AUTO(hex_done) struct hex key = hex_field(test, "key");
	AUTO(hex_done) struct hex nonce = hex_field(test, "iv");
	AUTO(hex_done) struct hex aad = hex_field(test, "aad");
	AUTO(hex_done) struct hex plain = hex_field(test, "msg");
	AUTO(hex_done) struct hex text = hex_field(test, "ct");
	AUTO(hex_done) struct hex tag = hex_field(test, "tag");
	AUTO(hex_done) struct hex sealed = hex_room(text.n + tag.n);
	AUTO(hex_done) struct hex out = hex_room(sealed.n);
	AUTO(aead_free) struct aead *k = NULL;
	const struct bytes parts[2] = { hex_bytes(aad), { NULL, 0 } };

	memcpy(sealed.p, text.p, text.n);
	memcpy(sealed.p + text.n, tag.p, tag.n);
	assert_int_equal(aead_new_clear(ALG_AES_256_GCM, key.p, &k), KMS_OK);
	kms_err e = aead_open(k, nonce.p, parts, hex_bytes(sealed), out.p);
	if (verdict(test) == INVALID) {
		assert_int_equal(e, KMS_E_INTEGRITY);
		return true;
	}
	assert_int_equal(e, KMS_OK);
	assert_memory_equal(out.p, plain.p, plain.n);
	assert_int_equal(aead_seal(k, nonce.p, parts, hex_bytes(plain), out.p), KMS_OK);
	assert_memory_equal(out.p, sealed.p, sealed.n);
	return true;
}

static bool run_wrap(enum kwp_kind kind, struct json_object *test)
{
	AUTO(hex_done) struct hex key_bytes = hex_field(test, "key");
	AUTO(hex_done) struct hex plain = hex_field(test, "msg");
	AUTO(hex_done) struct hex wrapped = hex_field(test, "ct");
	AUTO(hex_done) struct hex out = hex_room(wrapped.n);
	AUTO(hex_done) struct hex again = hex_room(kwp_len(plain.n));
	AUTO(secret_free) struct secret *key = NULL;
	size_t n = 0;

	assert_int_equal(secret_from(hex_bytes(key_bytes), &key), KMS_OK);
	kms_err e = kwp_unwrap(kind, key, hex_bytes(wrapped), out.p, &n);
	/* "acceptable" are keys of 8 bytes under RFC 3394, which has no such form. */
	if (verdict(test) != VALID) {
		assert_int_equal(e, KMS_E_INTEGRITY);
		return true;
	}
	assert_int_equal(e, KMS_OK);
	assert_int_equal(n, plain.n);
	assert_memory_equal(out.p, plain.p, plain.n);
	assert_int_equal(again.n, wrapped.n);
	assert_int_equal(kwp_wrap(kind, key, hex_bytes(plain), again.p), KMS_OK);
	assert_memory_equal(again.p, wrapped.p, wrapped.n);
	return true;
}

static bool run_kwp(struct json_object *group, struct json_object *test)
{
	(void)group;
	return run_wrap(KWP_PADDED, test);
}

static bool run_kw(struct json_object *group, struct json_object *test)
{
	(void)group;
	return run_wrap(KWP_PLAIN, test);
}

static bool run_hkdf(struct json_object *group, struct json_object *test)
{
	(void)group;
	AUTO(hex_done) struct hex ikm = hex_field(test, "ikm");
	AUTO(hex_done) struct hex salt = hex_field(test, "salt");
	AUTO(hex_done) struct hex info = hex_field(test, "info");
	AUTO(hex_done) struct hex okm = hex_field(test, "okm");
	AUTO(hex_done) struct hex out = hex_room(number(test, "size"));
	kms_err e = kdf_sha256(hex_bytes(ikm), hex_bytes(salt), hex_bytes(info), out.n, out.p);

	if (verdict(test) == INVALID) {
		assert_int_equal(e, KMS_E_CRYPTO);
		return true;
	}
	assert_int_equal(e, KMS_OK);
	assert_int_equal(out.n, okm.n);
	assert_memory_equal(out.p, okm.p, okm.n);
	return true;
}

static bool run_hmac(struct json_object *group, struct json_object *test)
{
	(void)group;
	AUTO(hex_done) struct hex key = hex_field(test, "key");
	AUTO(hex_done) struct hex message = hex_field(test, "msg");
	AUTO(hex_done) struct hex tag = hex_field(test, "tag");
	AUTO(mac_free) struct mac *m = NULL;
	const struct bytes part = hex_bytes(message);
	uint8_t out[SHA256_LEN];

	assert_in_range(tag.n, 16, sizeof(out));
	assert_int_equal(mac_new_clear(hex_bytes(key), &m), KMS_OK);
	assert_int_equal(mac_compute(m, &part, 1, out), KMS_OK);
	assert_int_equal(equal_ct(out, tag.p, tag.n), verdict(test) == VALID);
	return true;
}

static bool run_ecdsa(struct json_object *group, struct json_object *test)
{
	AUTO(hex_done) struct hex spki = hex_field(group, "publicKeyDer");
	AUTO(hex_done) struct hex message = hex_field(test, "msg");
	AUTO(hex_done) struct hex sig = hex_field(test, "sig");
	AUTO(ecdsa_public_free) struct ecdsa_public *k = NULL;

	assert_int_equal(ecdsa_public_new(hex_bytes(spki), &k), KMS_OK);
	assert_int_equal(ecdsa_verify(k, hex_bytes(message), hex_bytes(sig)),
	    verdict(test) == VALID ? KMS_OK : KMS_E_INTEGRITY);
	return true;
}

static void wycheproof_ecdsa_p256(void **state)
{
	(void)state;
	run_file("ecdsa_secp256r1_sha256_test.json", run_ecdsa, 480);
}

static void wycheproof_aes_gcm(void **state)
{
	(void)state;
	run_file("aes_gcm_test.json", run_gcm, 60);
}

static void wycheproof_aes_kwp(void **state)
{
	(void)state;
	run_file("aes_kwp_test.json", run_kwp, 250);
}

static void wycheproof_aes_kw(void **state)
{
	(void)state;
	run_file("aes_wrap_test.json", run_kw, 160);
}

static void wycheproof_hkdf_sha256(void **state)
{
	(void)state;
	run_file("hkdf_sha256_test.json", run_hkdf, 80);
}

static void wycheproof_hmac_sha256(void **state)
{
	(void)state;
	run_file("hmac_sha256_test.json", run_hmac, 170);
}

enum {
	ROUNDS = 10000,
	ROUND_MAX = 32 + 24 + 2 * 256, /* bytes of the stream that a round may take */
	TEXT_MAX = 255
};

static void md_ctx_free(EVP_MD_CTX **c)
{
	EVP_MD_CTX_free(*c);
}

/* The stream that SHAKE-128 of nothing gives. */
static struct hex stream(size_t n)
{
	AUTO(md_ctx_free) EVP_MD_CTX *c = EVP_MD_CTX_new();
	struct hex h = hex_room(n);

	assert_int_equal(EVP_DigestInit_ex(c, EVP_shake128(), NULL), 1);
	assert_int_equal(EVP_DigestFinalXOF(c, h.p, h.n), 1);
	return h;
}

/* Takes a length of one byte and as many bytes. */
static struct bytes take_text(const uint8_t **at)
{
	size_t n = *(*at)++;
	struct bytes x = bytes_of(*at, n);

	*at += n;
	return x;
}

/* C2SP XAES-256-GCM, "Accumulated randomized tests". */
static void xaes_accumulated(void **state)
{
	(void)state;
	AUTO(hex_done)
	struct hex want =
	    hex_of("e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939");
	AUTO(hex_done) struct hex in = stream((size_t)ROUNDS * ROUND_MAX);
	AUTO(md_ctx_free) EVP_MD_CTX *hash = EVP_MD_CTX_new();
	const uint8_t *at = in.p;
	uint8_t out[TEXT_MAX + AEAD_TAG_LEN], back[TEXT_MAX], sum[32];

	assert_int_equal(EVP_DigestInit_ex(hash, EVP_shake128(), NULL), 1);
	for (int i = 0; i < ROUNDS; i++) {
		AUTO(aead_free) struct aead *k = NULL;
		const uint8_t *key = at, *nonce = at + 32;
		at += 32 + 24;
		struct bytes plain = take_text(&at);
		const struct bytes aad[2] = { take_text(&at), { NULL, 0 } };
		const struct bytes sealed = bytes_of(out, plain.n + AEAD_TAG_LEN);

		assert_int_equal(aead_new_clear(ALG_XAES_256_GCM, key, &k), KMS_OK);
		assert_int_equal(aead_seal(k, nonce, aad, plain, out), KMS_OK);
		assert_int_equal(EVP_DigestUpdate(hash, sealed.p, sealed.n), 1);
		assert_int_equal(aead_open(k, nonce, aad, sealed, back), KMS_OK);
		assert_memory_equal(back, plain.p, plain.n);
	}
	assert_int_equal(EVP_DigestFinalXOF(hash, sum, sizeof(sum)), 1);
	assert_memory_equal(sum, want.p, want.n);
	print_message("XAES-256-GCM accumulated: %d rounds\n", ROUNDS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(xaes_accumulated),
		cmocka_unit_test(wycheproof_aes_gcm),
		cmocka_unit_test(wycheproof_aes_kwp),
		cmocka_unit_test(wycheproof_aes_kw),
		cmocka_unit_test(wycheproof_hkdf_sha256),
		cmocka_unit_test(wycheproof_hmac_sha256),
		cmocka_unit_test(wycheproof_ecdsa_p256),
	};

	return cmocka_run_group_tests(tests, secrets_begin, secrets_end);
}
