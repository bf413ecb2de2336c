/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chunks of an encrypted file: the bytes that another implementation (Python's cryptography) made
 * from the description, that a chunk opens in its own place alone, and that no bit may change.
 */
#include "kms/crypto/chunk.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/unit/damage.h"
#include "tests/unit/hex.h"

/* Key 00 01 … 1f, salt 64 65 … 7b, context "call=123". */
static const char commitment[] = "d536bdb69239d537f847df5fa6f939d280cb9a15bb215803781c81bad875da2b";
static const struct {
	uint64_t i;
	const char *plain, *sealed;
} chunks[] = {
	{ 0, "first", "1f6ea6cbbe19afed1b36ad46ef989afb4413f53777" },
	{ 258, "", "2de1ed24867e09c0ee91ae21b1e485f1" },
	{ CHUNK_COUNT_MAX - 1, "last", "5148c64b28f0b1d08c215fef30b51ca5adbeb12e" },
};

static struct chunk *new_chunk(uint8_t first_of_key, uint8_t first_of_salt, const char *context)
{
	uint8_t key[KEY_BITS_LEN], salt[CHUNK_SALT_LEN];
	struct chunk *c = NULL;

	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)(first_of_key + i);
	for (size_t i = 0; i < sizeof(salt); i++)
		salt[i] = (uint8_t)(first_of_salt + i);
	assert_int_equal(chunk_new(key, salt, bytes_of_str(context), &c), KMS_OK);
	return c;
}

static int set_up(void **state)
{
	*state = new_chunk(0, 100, "call=123");
	return 0;
}

static int tear_down(void **state)
{
	struct chunk *c = *state;

	chunk_free(&c);
	assert_null(c);
	chunk_free(&c);
	return 0;
}

static void known_chunks_agree(void **state)
{
	struct chunk *c = *state;
	struct hex expected = hex_of(commitment);

	assert_memory_equal(chunk_commitment(c), expected.p, CHUNK_COMMITMENT_LEN);
	hex_done(&expected);
	for (size_t i = 0; i < ARRAY_LEN(chunks); i++) {
		struct bytes plain = bytes_of_str(chunks[i].plain);
		struct hex sealed = hex_of(chunks[i].sealed);
		struct hex room = hex_room(plain.n + CHUNK_TAG), back = hex_room(plain.n);

		assert_int_equal(chunk_seal(c, chunks[i].i, plain, room.p), KMS_OK);
		assert_memory_equal(room.p, sealed.p, sealed.n);
		assert_int_equal(chunk_open(c, chunks[i].i, hex_bytes(sealed), back.p), KMS_OK);
		assert_memory_equal(back.p, plain.p, plain.n);
		hex_done(&sealed);
		hex_done(&room);
		hex_done(&back);
	}
}

static void a_chunk_opens_in_its_place_alone(void **state)
{
	struct chunk *c = *state;
	uint8_t sealed[4 + CHUNK_TAG], out[4];

	assert_int_equal(chunk_seal(c, 7, bytes_of_str("text"), sealed), KMS_OK);
	for (uint64_t i = 0; i < 300; i++) {
		kms_err e = chunk_open(c, i, bytes_of(sealed, sizeof(sealed)), out);
		assert_int_equal(e, i == 7 ? KMS_OK : KMS_E_INTEGRITY);
	}
}

static void other_files_do_not_open(void **state)
{
	struct chunk *c = *state;
	uint8_t sealed[4 + CHUNK_TAG], out[4];
	struct chunk *others[] = { new_chunk(1, 100, "call=123"), new_chunk(0, 101, "call=123"),
		new_chunk(0, 100, "call=124"), new_chunk(0, 100, "") };

	assert_int_equal(chunk_seal(c, 0, bytes_of_str("text"), sealed), KMS_OK);
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		assert_memory_not_equal(
		    chunk_commitment(c), chunk_commitment(others[i]), CHUNK_COMMITMENT_LEN);
		assert_int_equal(chunk_open(others[i], 0, bytes_of(sealed, sizeof(sealed)), out),
		    KMS_E_INTEGRITY);
		chunk_free(&others[i]);
	}
}

static void numbers_end(void **state)
{
	static const uint64_t beyond[] = { CHUNK_COUNT_MAX, CHUNK_COUNT_MAX + 1, UINT64_MAX };
	struct chunk *c = *state;
	uint8_t sealed[4 + CHUNK_TAG] = { 0 }, out[4];

	for (size_t i = 0; i < ARRAY_LEN(beyond); i++) {
		assert_int_equal(
		    chunk_seal(c, beyond[i], bytes_of_str("text"), sealed), KMS_E_TOO_MANY);
		assert_int_equal(chunk_open(c, beyond[i], bytes_of(sealed, sizeof(sealed)), out),
		    KMS_E_TOO_MANY);
	}
}

static void does_not_open(struct bytes damaged, size_t at, void *arg)
{
	uint8_t out[64];

	(void)at;
	assert_int_equal(chunk_open(arg, 1, damaged, out), KMS_E_INTEGRITY);
}

static void every_cut_and_flip(void **state)
{
	struct chunk *c = *state;
	uint8_t sealed[4 + CHUNK_TAG];
	struct bytes whole = bytes_of(sealed, sizeof(sealed));

	assert_int_equal(chunk_seal(c, 1, bytes_of_str("text"), sealed), KMS_OK);
	damage_cuts(whole, does_not_open, c);
	damage_flips(whole, does_not_open, c);
	damage_longer(whole, does_not_open, c);
}

#define FILE_OF(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FILE_OF(known_chunks_agree),
		FILE_OF(a_chunk_opens_in_its_place_alone),
		FILE_OF(other_files_do_not_open),
		FILE_OF(numbers_end),
		FILE_OF(every_cut_and_flip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
