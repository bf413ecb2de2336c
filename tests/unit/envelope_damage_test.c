/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What kms/client/envelope.c and kms/client/writer.c must refuse: each byte changed, each cut,
 * chunks that moved, another's key, sinks and sources that fail.
 */
#include "kms/client/kms.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "kms/base/base.h"
#include "kms/base/types.h"
#include "kms/crypto/chunk.h"
#include "tests/unit/memory_file.h"

/* Opens, unlocks and reads all of it; OK only if the end was there. */
static enum kms_code read_all(struct memory_file *m, struct kms_error *err)
{
	AUTO(kms_envelope_free) struct kms_envelope *e = NULL;
	const struct kms_source from = memory_source(m);
	uint8_t p[CHUNK_PLAIN + 100];
	uint64_t done = 0;
	size_t n = 1;

	enum kms_code code = kms_envelope_open(&from, &e, err);
	if (code == KMS_CODE_OK)
		code = kms_envelope_unlock(e, memory_key(), err);
	while (code == KMS_CODE_OK && n > 0) {
		code = kms_envelope_read(e, p, sizeof(p), &n, err);
		for (size_t i = 0; code == KMS_CODE_OK && i < n; i++)
			assert_int_equal(p[i], memory_plain(done + i));
		done += n;
	}
	return code;
}

static void every_byte_counts(void **state)
{
	AUTO(memory_done) struct memory_file m = { .p = NULL };
	struct kms_error err;

	(void)state;
	memory_encrypt(&m, 300, 300);
	size_t bound = memory_bound(&m);
	size_t head = memory_header(&m);
	for (size_t at = 0; at < m.n; at++) {
		m.p[at] ^= 0x10;
		enum kms_code code = read_all(&m, &err);
		/* The wrapped key may be another's wrapping of the same data key. */
		bool exempt = at >= bound + 2 && at < bound + 2 + MEMORY_WRAPPED;
		if (exempt)
			assert_int_equal(code, KMS_CODE_OK);
		else if (at < 6)
			assert_true(code == KMS_CODE_BAD_REQUEST || code == KMS_CODE_INTEGRITY);
		else
			assert_int_equal(code, KMS_CODE_INTEGRITY);
		if (at >= head + CHUNK_HEAD_LEN)
			assert_non_null(strstr(err.detail, "chunk 0"));
		m.p[at] ^= 0x10;
	}
	assert_int_equal(read_all(&m, NULL), KMS_CODE_OK);
}

static void every_cut_is_found(void **state)
{
	AUTO(memory_done) struct memory_file m = { .p = NULL };

	(void)state;
	memory_encrypt(&m, 300, 300);
	size_t whole = m.n;
	for (m.n = 0; m.n < whole; m.n++) {
		struct kms_error err;
		assert_int_equal(read_all(&m, &err), KMS_CODE_INTEGRITY);
		size_t chunk = memory_header(&m) + CHUNK_HEAD_LEN;
		if (m.n < chunk + CHUNK_TAG)
			assert_string_equal(err.name, err_name(KMS_E_CUT_OFF));
		else
			assert_non_null(strstr(err.detail, "cut off or changed"));
	}
}

static void a_cut_between_chunks_is_named(void **state)
{
	AUTO(memory_done) struct memory_file m = { .p = NULL };
	struct kms_error err;
	uint8_t p[4];
	size_t n;

	(void)state;
	memory_encrypt(&m, 3 * CHUNK_PLAIN + 7, 5000);
	for (size_t chunks = 0; chunks <= 3; chunks++) {
		m.n = memory_header(&m) + CHUNK_HEAD_LEN + chunks * CHUNK_SEALED;
		assert_int_equal(read_all(&m, &err), KMS_CODE_INTEGRITY);
		assert_string_equal(err.name, err_name(KMS_E_CUT_OFF));
		/* Nor is a place past the cut taken for the end. */
		AUTO(kms_envelope_free) struct kms_envelope *e = memory_unlock(&m, KMS_CODE_OK);
		uint64_t far = 10 * CHUNK_PLAIN;
		assert_int_equal(kms_envelope_read_at(e, far, p, 4, &n, &err), KMS_CODE_INTEGRITY);
		assert_string_equal(err.name, err_name(KMS_E_CUT_OFF));
	}
}

static void what_stands_behind_the_end_is_refused(void **state)
{
	AUTO(memory_done) struct memory_file m = { .p = NULL };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(memory_sizes); i++) {
		memory_encrypt(&m, memory_sizes[i], 5000);
		memory_append(&m, "x", 1);
		assert_int_equal(read_all(&m, NULL), KMS_CODE_INTEGRITY);
		memory_done(&m);
	}
}

static void chunks_stay_where_they_are(void **state)
{
	AUTO(memory_done) struct memory_file m = { .p = NULL }, other = { .p = NULL };
	uint8_t chunk[CHUNK_SEALED];

	(void)state;
	memory_encrypt(&m, 3 * CHUNK_PLAIN + 7, 5000);
	memory_encrypt(&other, 3 * CHUNK_PLAIN + 7, 5000);
	uint8_t *first = m.p + memory_header(&m) + CHUNK_HEAD_LEN;
	memcpy(chunk, first, CHUNK_SEALED);
	/* Two change places. */
	memcpy(first, first + CHUNK_SEALED, CHUNK_SEALED);
	memcpy(first + CHUNK_SEALED, chunk, CHUNK_SEALED);
	assert_int_equal(read_all(&m, NULL), KMS_CODE_INTEGRITY);
	/* One is there twice. */
	memcpy(first, chunk, CHUNK_SEALED);
	assert_int_equal(read_all(&m, NULL), KMS_CODE_INTEGRITY);
	/* One comes from another file under the same key. */
	size_t second = memory_header(&m) + CHUNK_HEAD_LEN + CHUNK_SEALED;
	memcpy(m.p + second, other.p + second, CHUNK_SEALED);
	assert_int_equal(read_all(&m, NULL), KMS_CODE_INTEGRITY);
	/* One is left out. */
	memmove(first + CHUNK_SEALED, first + 2 * CHUNK_SEALED, CHUNK_SEALED + 7 + CHUNK_TAG);
	m.n -= CHUNK_SEALED;
	assert_int_equal(read_all(&m, NULL), KMS_CODE_INTEGRITY);
}

static void the_chunks_before_a_bad_one_can_be_read(void **state)
{
	AUTO(memory_done) struct memory_file m = { .p = NULL };
	uint8_t p[CHUNK_PLAIN];
	struct kms_error err;
	size_t n;

	(void)state;
	memory_encrypt(&m, 3 * CHUNK_PLAIN, 5000);
	m.p[memory_header(&m) + CHUNK_HEAD_LEN + 2 * CHUNK_SEALED] ^= 1;
	AUTO(kms_envelope_free) struct kms_envelope *e = memory_unlock(&m, KMS_CODE_OK);
	assert_int_equal(kms_envelope_read(e, p, sizeof(p), &n, &err), KMS_CODE_OK);
	assert_int_equal(kms_envelope_read(e, p, sizeof(p), &n, &err), KMS_CODE_OK);
	for (unsigned i = 0; i < 2; i++) {
		memset(p, 0xa5, sizeof(p));
		assert_int_equal(kms_envelope_read(e, p, sizeof(p), &n, &err), KMS_CODE_INTEGRITY);
		assert_string_equal(err.detail, "chunk 2");
		/* Not even the wrong bytes are given out. */
		for (size_t k = 0; k < sizeof(p); k++)
			assert_int_equal(p[k], 0);
	}
}

static void only_the_right_key_opens(void **state)
{
	AUTO(memory_done) struct memory_file m = { .p = NULL };
	AUTO(kms_envelope_free) struct kms_envelope *e = NULL;
	const struct kms_source from = memory_source(&m);
	uint8_t wrong[KEY_BITS_LEN];
	struct kms_error err;
	uint8_t p[8];
	size_t n;

	(void)state;
	memory_encrypt(&m, 8, 8);
	assert_int_equal(kms_envelope_open(&from, &e, NULL), KMS_CODE_OK);
	assert_int_equal(kms_envelope_read(e, p, 8, &n, &err), KMS_CODE_BAD_REQUEST);
	assert_string_equal(err.detail, "the envelope is locked");
	memcpy(wrong, memory_key().p, sizeof(wrong));
	wrong[31] ^= 1;
	assert_int_equal(kms_envelope_unlock(e, kms_bytes_of(wrong, 32), &err), KMS_CODE_INTEGRITY);
	assert_int_equal(
	    kms_envelope_unlock(e, kms_bytes_of(wrong, 31), &err), KMS_CODE_BAD_REQUEST);
	assert_int_equal(kms_envelope_unlock(e, kms_bytes_of(NULL, 0), NULL), KMS_CODE_BAD_REQUEST);
	assert_int_equal(kms_envelope_read(e, p, 8, &n, NULL), KMS_CODE_BAD_REQUEST);
	assert_int_equal(kms_envelope_unlock(e, memory_key(), NULL), KMS_CODE_OK);
	assert_int_equal(kms_envelope_read(e, p, 8, &n, NULL), KMS_CODE_OK);
	assert_int_equal(n, 8);
}

/* ---- Sinks and sources that fail ---------------------------------------------------------- */

static int write_nothing(void *user, const void *p, size_t n)
{
	int *left = user;

	(void)p;
	(void)n;
	return (*left)-- > 0 ? 0 : ENOSPC;
}

static void a_full_disk_is_told_and_ends_the_writer(void **state)
{
	static const uint8_t data[CHUNK_PLAIN];
	const struct kms_envelope_key key = memory_envelope_key();

	(void)state;
	for (int good = 0; good < 3; good++) {
		int left = good;
		const struct kms_sink to = { .write = write_nothing, .user = &left };
		AUTO(kms_writer_free) struct kms_writer *w = NULL;
		struct kms_error err = { .number = KMS_CODE_OK };
		enum kms_code code = kms_writer_open(&key, &to, &w, &err);
		if (code == KMS_CODE_OK)
			code = kms_writer_write(w, data, sizeof(data), &err);
		if (code == KMS_CODE_OK)
			code = kms_writer_finish(w, &err);
		assert_int_equal(code, KMS_CODE_INTERNAL);
		assert_string_equal(err.name, err_name(KMS_E_IO));
		assert_string_equal(err.detail, strerrordesc_np(ENOSPC));
		if (w == NULL)
			continue;
		assert_int_equal(kms_writer_write(w, data, 1, NULL), KMS_CODE_BAD_REQUEST);
		assert_int_equal(kms_writer_finish(w, NULL), KMS_CODE_BAD_REQUEST);
	}
}

static int read_nothing(void *user, uint64_t offset, void *p, size_t n, size_t *out_n)
{
	(void)user;
	(void)offset;
	(void)p;
	(void)n;
	*out_n = 0;
	return EIO;
}

static void a_source_that_fails_is_told(void **state)
{
	const struct kms_source from = { .read_at = read_nothing };
	struct kms_envelope *e = NULL;
	struct kms_error err;

	(void)state;
	assert_int_equal(kms_envelope_open(&from, &e, &err), KMS_CODE_INTERNAL);
	assert_string_equal(err.detail, strerrordesc_np(EIO));
	assert_null(e);
	kms_envelope_free(&e);
}

static void a_writer_wants_a_whole_key(void **state)
{
	int left = 9;
	const struct kms_sink to = { .write = write_nothing, .user = &left };
	struct kms_envelope_key key = memory_envelope_key();
	struct kms_writer *w = NULL;

	(void)state;
	key.plaintext.n = 31;
	assert_int_equal(kms_writer_open(&key, &to, &w, NULL), KMS_CODE_BAD_REQUEST);
	key = memory_envelope_key();
	key.wrapped.n = 0;
	assert_int_equal(kms_writer_open(&key, &to, &w, NULL), KMS_CODE_BAD_REQUEST);
	assert_null(w);
	assert_int_equal(left, 9);
	kms_writer_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_byte_counts),
		cmocka_unit_test(every_cut_is_found),
		cmocka_unit_test(a_cut_between_chunks_is_named),
		cmocka_unit_test(what_stands_behind_the_end_is_refused),
		cmocka_unit_test(chunks_stay_where_they_are),
		cmocka_unit_test(the_chunks_before_a_bad_one_can_be_read),
		cmocka_unit_test(only_the_right_key_opens),
		cmocka_unit_test(a_full_disk_is_told_and_ends_the_writer),
		cmocka_unit_test(a_source_that_fails_is_told),
		cmocka_unit_test(a_writer_wants_a_whole_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
