/* SPDX-License-Identifier: Apache-2.0 */
/*
 * XAES-256-GCM against the vectors of C2SP, AES-256-GCM against those of its specification, every
 * kind of damage, and that expanded keys are gone when a context is freed.
 */
#include "kms/crypto/aead.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/hex.h"
#include "tests/unit/secrets.h"

#ifdef __has_feature
#define TEST_HAS_FEATURE(x) __has_feature(x)
#else
#define TEST_HAS_FEATURE(x) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) ||                               \
    TEST_HAS_FEATURE(address_sanitizer) || TEST_HAS_FEATURE(thread_sanitizer) ||                   \
    TEST_HAS_FEATURE(memory_sanitizer)
enum {
	HAS_SHADOW = 1 /* freed memory is kept aside, and the map is too large to search */
};
#else
enum {
	HAS_SHADOW = 0
};
#endif

#define KEY_ONES   "0101010101010101010101010101010101010101010101010101010101010101"
#define KEY_THREES "0303030303030303030303030303030303030303030303030303030303030303"
#define KEY_ZEROS  "0000000000000000000000000000000000000000000000000000000000000000"
#define KEY_SPEC   "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308"
#define A_TO_X     "4142434445464748494a4b4c4d4e4f505152535455565758"
#define PLAIN_XAES "584145532d3235362d47434d"
#define PLAIN_SPEC                                                                                 \
	"d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e24" \
	"49a6b525b16aedf5aa0de657ba637b39"

/* C2SP XAES-256-GCM (the first has the top bit of L clear, the second has it set), and the test
 * cases 13, 14 and 16 of the GCM specification. */
static const struct vector {
	enum algorithm algorithm;
	const char *key, *nonce, *aad, *plain, *sealed;
} vectors[] = {
	{ ALG_XAES_256_GCM, KEY_ONES, A_TO_X, "", PLAIN_XAES,
	    "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271" },
	{ ALG_XAES_256_GCM, KEY_THREES, A_TO_X, "633273702e6f72672f584145532d3235362d47434d",
	    PLAIN_XAES, "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d" },
	{ ALG_AES_256_GCM, KEY_ZEROS, "000000000000000000000000", "", "",
	    "530f8afbc74536b9a963b4f1c4cb738b" },
	{ ALG_AES_256_GCM, KEY_ZEROS, "000000000000000000000000", "",
	    "00000000000000000000000000000000",
	    "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919" },
	{ ALG_AES_256_GCM, KEY_SPEC, "cafebabefacedbaddecaf888",
	    "feedfacedeadbeeffeedfacedeadbeefabaddad2", PLAIN_SPEC,
	    "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
	    "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
	    "76fc6ece0f4e1768cddf8853bb2d551b" },
};

/* A vector's bytes, and room of the exact size. */
struct box {
	struct hex key, nonce, aad, plain, sealed, room;
	struct aead *k;
};

static void box_done(struct box *b)
{
	hex_done(&b->key);
	hex_done(&b->nonce);
	hex_done(&b->aad);
	hex_done(&b->plain);
	hex_done(&b->sealed);
	hex_done(&b->room);
	aead_free(&b->k);
}

static struct box box_of(const struct vector *v)
{
	struct box b = {
		.key = hex_of(v->key),
		.nonce = hex_of(v->nonce),
		.aad = hex_of(v->aad),
		.plain = hex_of(v->plain),
		.sealed = hex_of(v->sealed),
	};

	b.room = hex_room(b.sealed.n);
	assert_int_equal(b.nonce.n, aead_nonce_len(v->algorithm));
	assert_int_equal(b.sealed.n, b.plain.n + AEAD_TAG_LEN);
	assert_int_equal(aead_new_clear(v->algorithm, b.key.p, &b.k), KMS_OK);
	return b;
}

/* The additional data, split after its first n bytes. */
#define SPLIT(b, cut)                                                                              \
	((const struct bytes[2]){ { (b).aad.p, (cut) }, { (b).aad.p + (cut), (b).aad.n - (cut) } })

static kms_err box_open(struct box *b)
{
	return aead_open(b->k, b->nonce.p, SPLIT(*b, 0), hex_bytes(b->sealed), b->room.p);
}

static void is_zero(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_int_equal(p[i], 0);
}

static void published_vectors(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
		AUTO(box_done) struct box b = box_of(&vectors[i]);

		assert_int_equal(
		    aead_seal(b.k, b.nonce.p, SPLIT(b, 0), hex_bytes(b.plain), b.room.p), KMS_OK);
		assert_memory_equal(b.room.p, b.sealed.p, b.sealed.n);
		assert_int_equal(box_open(&b), KMS_OK);
		assert_memory_equal(b.room.p, b.plain.p, b.plain.n);
	}
}

static void two_parts_of_data_are_one(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
		AUTO(box_done) struct box b = box_of(&vectors[i]);

		for (size_t at = 0; at <= b.aad.n; at++) {
			assert_int_equal(
			    aead_seal(b.k, b.nonce.p, SPLIT(b, at), hex_bytes(b.plain), b.room.p),
			    KMS_OK);
			assert_memory_equal(b.room.p, b.sealed.p, b.sealed.n);
		}
	}
}

static void it_works_in_place(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
		AUTO(box_done) struct box b = box_of(&vectors[i]);
		const struct bytes plain = bytes_of(b.room.p, b.plain.n);

		memcpy(b.room.p, b.plain.p, b.plain.n);
		assert_int_equal(aead_seal(b.k, b.nonce.p, SPLIT(b, 0), plain, b.room.p), KMS_OK);
		assert_memory_equal(b.room.p, b.sealed.p, b.sealed.n);
		assert_int_equal(
		    aead_open(b.k, b.nonce.p, SPLIT(b, 0), hex_bytes(b.room), b.room.p), KMS_OK);
		assert_memory_equal(b.room.p, b.plain.p, b.plain.n);
	}
}

static void a_secret_expands_as_its_bytes_do(void **state)
{
	(void)state;
	AUTO(box_done) struct box b = box_of(&vectors[0]);
	AUTO(secret_free) struct secret *s = NULL;

	aead_free(&b.k);
	assert_int_equal(secret_from(hex_bytes(b.key), &s), KMS_OK);
	assert_int_equal(aead_new(ALG_XAES_256_GCM, s, &b.k), KMS_OK);
	assert_int_equal(box_open(&b), KMS_OK);
}

static void refused(struct box *b)
{
	memset(b->room.p, 0xa5, b->room.n);
	assert_int_equal(box_open(b), KMS_E_INTEGRITY);
	is_zero(b->room.p, b->plain.n);
}

static void every_flipped_bit_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
		AUTO(box_done) struct box b = box_of(&vectors[i]);
		const struct hex parts[] = { b.sealed, b.nonce, b.aad };

		for (size_t part = 0; part < ARRAY_LEN(parts); part++) {
			for (size_t bit = 0; bit < parts[part].n * 8; bit++) {
				parts[part].p[bit / 8] ^= (uint8_t)(1 << bit % 8);
				refused(&b);
				parts[part].p[bit / 8] ^= (uint8_t)(1 << bit % 8);
			}
		}
		/* A refusal leaves nothing behind in the context. */
		assert_int_equal(box_open(&b), KMS_OK);
	}
}

static void another_key_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
		AUTO(box_done) struct box b = box_of(&vectors[i]);

		aead_free(&b.k);
		b.key.p[31] ^= 1;
		assert_int_equal(aead_new_clear(vectors[i].algorithm, b.key.p, &b.k), KMS_OK);
		refused(&b);
	}
}

static void what_is_cut_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
		AUTO(box_done) struct box b = box_of(&vectors[i]);

		for (size_t n = 0; n < b.sealed.n; n++) {
			const struct bytes cut = bytes_of(b.sealed.p, n);

			assert_int_equal(
			    aead_open(b.k, b.nonce.p, SPLIT(b, 0), cut, b.room.p), KMS_E_INTEGRITY);
		}
	}
}

/* The lengths alone are looked at: there are no such bytes. */
static void absurd_lengths_are_refused(void **state)
{
	(void)state;
	AUTO(box_done) struct box b = box_of(&vectors[0]);
	const struct bytes huge = bytes_of(b.plain.p, (size_t)AEAD_DATA_MAX + AEAD_TAG_LEN + 1);
	const struct bytes none[2] = { { NULL, 0 }, { NULL, 0 } };
	const struct bytes first[2] = { huge, { NULL, 0 } };
	const struct bytes second[2] = { { NULL, 0 }, huge };

	assert_int_equal(aead_seal(b.k, b.nonce.p, none, huge, b.room.p), KMS_E_CRYPTO);
	assert_int_equal(aead_open(b.k, b.nonce.p, none, huge, b.room.p), KMS_E_INTEGRITY);
	assert_int_equal(
	    aead_seal(b.k, b.nonce.p, first, hex_bytes(b.plain), b.room.p), KMS_E_CRYPTO);
	is_zero(b.room.p, b.room.n);
	assert_int_equal(
	    aead_open(b.k, b.nonce.p, second, hex_bytes(b.sealed), b.room.p), KMS_E_CRYPTO);
}

static void algorithms_that_are_no_aead(void **state)
{
	(void)state;
	static const uint8_t key[32];
	static const enum algorithm bad[] = { ALG_NONE, ALG_AES_256_KWP, ALG_COUNT };
	struct aead *k = NULL;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(aead_nonce_len(bad[i]), 0);
		assert_int_equal(aead_new_clear(bad[i], key, &k), KMS_E_BAD_ALGORITHM);
		assert_null(k);
	}
}

static void keys_have_32_bytes(void **state)
{
	(void)state;
	static const size_t bad[] = { 0, 16, 31, 33, 64 };
	struct aead *k = NULL;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		AUTO(secret_free) struct secret *s = NULL;

		assert_int_equal(secret_new(bad[i], &s), KMS_OK);
		assert_int_equal(aead_new(ALG_XAES_256_GCM, s, &k), KMS_E_BAD_ALGORITHM);
		assert_null(k);
	}
}

/* How often `want`, complemented, stands in the heap. */
static size_t heap_count(const uint8_t not_want[static 32])
{
	AUTO(hex_done) struct hex copy = { .p = NULL };
	unsigned long from = 0, to = 0;
	char line[256];
	FILE *maps = fopen("/proc/self/maps", "re");
	int mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	size_t found = 0;

	assert_non_null(maps);
	while (to == 0 && fgets(line, sizeof(line), maps) != NULL) {
		if (strstr(line, "[heap]") != NULL)
			assert_int_equal(sscanf(line, "%lx-%lx", &from, &to), 2);
	}
	assert_int_equal(fclose(maps), 0);
	copy = hex_room(to - from);
	assert_int_equal(pread(mem, copy.p, copy.n, (off_t)from), copy.n);
	assert_int_equal(close(mem), 0);
	for (size_t i = 0; i + 32 <= copy.n; i++) {
		size_t same = 0;

		while (same < 32 && (copy.p[i + same] ^ not_want[same]) == 0xff)
			same++;
		found += same == 32;
	}
	wipe(copy.p, copy.n);
	return found;
}

/* A key schedule begins with the key itself, so that is what to look for. */
static void free_wipes_the_expanded_key(void **state)
{
	(void)state;
	static const enum algorithm both[] = { ALG_XAES_256_GCM, ALG_AES_256_GCM };

	if (HAS_SHADOW)
		skip();
	for (size_t i = 0; i < ARRAY_LEN(both); i++) {
		struct key256 key;
		uint8_t not_key[32];
		struct aead *k = NULL;

		for (size_t n = 0; n < sizeof(key.b); n++) {
			key.b[n] = (uint8_t)(n * 37 + i + 5);
			not_key[n] = key.b[n] ^ 0xff;
		}
		assert_int_equal(aead_new_clear(both[i], key.b, &k), KMS_OK);
		key_wipe(&key);
		assert_int_not_equal(heap_count(not_key), 0);
		aead_free(&k);
		assert_int_equal(heap_count(not_key), 0);
	}
}

static void free_takes_null(void **state)
{
	(void)state;
	struct aead *k = NULL;

	aead_free(&k);
	assert_null(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(published_vectors),
		cmocka_unit_test(two_parts_of_data_are_one),
		cmocka_unit_test(it_works_in_place),
		cmocka_unit_test(a_secret_expands_as_its_bytes_do),
		cmocka_unit_test(every_flipped_bit_is_refused),
		cmocka_unit_test(another_key_is_refused),
		cmocka_unit_test(what_is_cut_is_refused),
		cmocka_unit_test(absurd_lengths_are_refused),
		cmocka_unit_test(algorithms_that_are_no_aead),
		cmocka_unit_test(keys_have_32_bytes),
		cmocka_unit_test(free_wipes_the_expanded_key),
		cmocka_unit_test(free_takes_null),
	};

	return cmocka_run_group_tests(tests, secrets_begin, secrets_end);
}
