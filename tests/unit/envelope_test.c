/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Envelopes in memory, written by kms/client/writer.c and read by kms/client/envelope.c: sizes
 * around a chunk, reading from anywhere and how little that touches. Damage: envelope_damage_test.c.
 * Whole files and kmsd: files_test.c.
 */
#include "kms/client/kms.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "kms/base/base.h"
#include "kms/base/types.h"
#include "kms/crypto/chunk.h"
#include "tests/unit/hex.h"
#include "tests/unit/memory_file.h"

/* ---- What was written comes back ---------------------------------------------------------- */

static void assert_reads(struct memory_file *m, size_t size, size_t piece)
{
	AUTO(kms_envelope_free) struct kms_envelope *e = memory_unlock(m, KMS_CODE_OK);
	uint8_t *p = malloc(piece);
	size_t done = 0;
	size_t n = 1;

	while (n > 0) {
		assert_int_equal(kms_envelope_read(e, p, piece, &n, NULL), KMS_CODE_OK);
		assert_true(n == piece || done + n == size);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(p[i], memory_plain(done + i));
		done += n;
	}
	assert_int_equal(done, size);
	free(p);
}

static void every_size_comes_back_in_pieces_of_every_size(void **state)
{
	static const size_t pieces[] = { 1000, CHUNK_PLAIN - 1, CHUNK_PLAIN, CHUNK_PLAIN + 1,
		4 * CHUNK_PLAIN };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(memory_sizes); i++) {
		for (size_t in = 0; in < ARRAY_LEN(pieces); in++) {
			AUTO(memory_done) struct memory_file m = { .p = NULL };
			memory_encrypt(&m, memory_sizes[i], pieces[in]);
			/* One tag for each chunk; the last is there even if it is empty. */
			size_t chunks = memory_sizes[i] / CHUNK_PLAIN + 1;
			assert_int_equal(m.n, memory_header(&m) + CHUNK_HEAD_LEN + memory_sizes[i] +
			                          chunks * CHUNK_TAG);
			for (size_t out = 0; out < ARRAY_LEN(pieces); out++)
				assert_reads(&m, memory_sizes[i], pieces[out]);
		}
	}
}

static void single_bytes_come_back(void **state)
{
	AUTO(memory_done) struct memory_file m = { .p = NULL };

	(void)state;
	memory_encrypt(&m, 2000, 1);
	assert_reads(&m, 2000, 1);
}

static void any_place_can_be_read(void **state)
{
	static const size_t lengths[] = { 0, 1, 100, CHUNK_PLAIN, 2 * CHUNK_PLAIN + 1 };
	static const size_t size = 3 * CHUNK_PLAIN + 7;
	AUTO(memory_done) struct memory_file m = { .p = NULL };
	uint8_t p[2 * CHUNK_PLAIN + 1];
	size_t n;

	(void)state;
	memory_encrypt(&m, size, 5000);
	AUTO(kms_envelope_free) struct kms_envelope *e = memory_unlock(&m, KMS_CODE_OK);
	for (size_t at = 0; at < size + 3 * CHUNK_PLAIN; at += 1777) {
		for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
			size_t left = at < size ? size - at : 0;
			size_t want = lengths[i] < left ? lengths[i] : left;
			enum kms_code code = kms_envelope_read_at(e, at, p, lengths[i], &n, NULL);
			assert_int_equal(code, KMS_CODE_OK);
			assert_int_equal(n, want);
			for (size_t k = 0; k < n; k++)
				assert_int_equal(p[k], memory_plain(at + k));
		}
	}
	/* Reading in order goes on where it was: at the beginning. */
	assert_int_equal(kms_envelope_read(e, p, 1, &n, NULL), KMS_CODE_OK);
	assert_int_equal(p[0], memory_plain(0));
}

static void far_offsets_are_past_the_end(void **state)
{
	static const uint64_t offsets[] = { 1, CHUNK_PLAIN, UINT64_C(1) << 40,
		(CHUNK_COUNT_MAX - 1) * CHUNK_PLAIN, CHUNK_COUNT_MAX * CHUNK_PLAIN, UINT64_MAX };
	uint8_t p[4];
	size_t n;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(memory_sizes); i++) {
		for (size_t k = 0; k < ARRAY_LEN(offsets); k++) {
			AUTO(memory_done) struct memory_file m = { .p = NULL };
			memory_encrypt(&m, memory_sizes[i], 5000);
			AUTO(kms_envelope_free)
			struct kms_envelope *e = memory_unlock(&m, KMS_CODE_OK);
			uint64_t at = offsets[k] > UINT64_MAX - memory_sizes[i]
			                  ? offsets[k]
			                  : memory_sizes[i] + offsets[k] - 1;
			enum kms_code code = kms_envelope_read_at(e, at, p, sizeof(p), &n, NULL);
			assert_int_equal(code, KMS_CODE_OK);
			assert_int_equal(n, 0);
		}
	}
}

static void a_seek_reads_the_chunks_it_needs_alone(void **state)
{
	AUTO(memory_done) struct memory_file m = { .p = NULL };
	uint8_t p[CHUNK_PLAIN];
	size_t n;

	(void)state;
	memory_encrypt(&m, 100 * CHUNK_PLAIN, CHUNK_PLAIN);
	AUTO(kms_envelope_free) struct kms_envelope *e = memory_unlock(&m, KMS_CODE_OK);
	m.bytes_read = 0;
	assert_int_equal(kms_envelope_read_at(e, 50 * CHUNK_PLAIN + 9, p, 9, &n, NULL), 0);
	assert_int_equal(m.bytes_read, CHUNK_SEALED);
	/* The chunk is held. */
	assert_int_equal(kms_envelope_read_at(e, 50 * CHUNK_PLAIN + 99, p, 99, &n, NULL), 0);
	assert_int_equal(m.bytes_read, CHUNK_SEALED);
	/* Over a border: one more. */
	assert_int_equal(kms_envelope_read_at(e, 51 * CHUNK_PLAIN - 9, p, 18, &n, NULL), 0);
	assert_int_equal(m.bytes_read, 2 * CHUNK_SEALED);
	/* The end: bytes here and there, and the last chunk. */
	assert_int_equal(kms_envelope_read_at(e, UINT64_C(1) << 50, p, 1, &n, NULL), 0);
	assert_int_equal(n, 0);
	assert_true(m.bytes_read < 3 * CHUNK_SEALED);
}

/* Makes a source that gives a few bytes at a time. */
static int read_crumbs(void *user, uint64_t offset, void *p, size_t n, size_t *out_n)
{
	return memory_read_at(user, offset, p, n < 7 ? n : 7, out_n);
}

static void short_reads_are_put_together(void **state)
{
	AUTO(memory_done) struct memory_file m = { .p = NULL };
	const struct kms_source from = { .read_at = read_crumbs, .user = &m };
	AUTO(kms_envelope_free) struct kms_envelope *e = NULL;
	uint8_t p[2 * CHUNK_PLAIN];
	size_t n;

	(void)state;
	memory_encrypt(&m, CHUNK_PLAIN + 5, 5000);
	assert_int_equal(kms_envelope_open(&from, &e, NULL), KMS_CODE_OK);
	assert_int_equal(kms_envelope_unlock(e, memory_key(), NULL), KMS_CODE_OK);
	assert_int_equal(kms_envelope_read(e, p, sizeof(p), &n, NULL), KMS_CODE_OK);
	assert_int_equal(n, CHUNK_PLAIN + 5);
}

static void two_files_share_nothing(void **state)
{
	AUTO(memory_done) struct memory_file a = { .p = NULL }, b = { .p = NULL };

	(void)state;
	memory_encrypt(&a, 100, 100);
	memory_encrypt(&b, 100, 100);
	size_t at = memory_header(&a);
	assert_memory_equal(a.p, b.p, at);
	assert_memory_not_equal(a.p + at, b.p + at, CHUNK_SALT_LEN);
	assert_memory_not_equal(
	    a.p + at + CHUNK_SALT_LEN, b.p + at + CHUNK_SALT_LEN, CHUNK_COMMITMENT_LEN);
	assert_memory_not_equal(a.p + at + CHUNK_HEAD_LEN, b.p + at + CHUNK_HEAD_LEN, 100);
}

/* The example at the end of docs/envelope.md, which another implementation made. */
static void the_example_of_the_document_opens(void **state)
{
	static const char start[] = "4b4d534601009a0003726563010463616c6c020034328000" /* bound */
	                            "0300010203";
	static const char end[] = "a22cbf2313d9712145d0914a3ccb289bd9ad63c8ce52df66c53fe95841c6cfac"
	                          "1be4d5b66992423b772c866d8646f683f689948fbf";
	AUTO(hex_done) struct hex head = hex_of(start), tail = hex_of(end);
	AUTO(memory_done) struct memory_file m = { .p = NULL };
	AUTO(kms_envelope_free) struct kms_envelope *e = NULL;
	const struct kms_source from = memory_source(&m);
	uint8_t room[125] = { 0 }, salt[CHUNK_SALT_LEN], key[KEY_BITS_LEN], p[8];
	size_t n;

	(void)state;
	memset(salt, 0xa5, sizeof(salt));
	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)i;
	memory_append(&m, head.p, head.n);
	memory_append(&m, room, sizeof(room));
	memory_append(&m, salt, sizeof(salt));
	memory_append(&m, tail.p, tail.n);
	assert_int_equal(kms_envelope_open(&from, &e, NULL), KMS_CODE_OK);
	assert_int_equal(kms_envelope_unlock(e, kms_bytes_of(key, 32), NULL), KMS_CODE_OK);
	assert_int_equal(kms_envelope_read(e, p, sizeof(p), &n, NULL), KMS_CODE_OK);
	assert_int_equal(n, 5);
	assert_memory_equal(p, "hello", 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_size_comes_back_in_pieces_of_every_size),
		cmocka_unit_test(single_bytes_come_back),
		cmocka_unit_test(any_place_can_be_read),
		cmocka_unit_test(far_offsets_are_past_the_end),
		cmocka_unit_test(a_seek_reads_the_chunks_it_needs_alone),
		cmocka_unit_test(short_reads_are_put_together),
		cmocka_unit_test(two_files_share_nothing),
		cmocka_unit_test(the_example_of_the_document_opens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
