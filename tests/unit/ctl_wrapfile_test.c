/* SPDX-License-Identifier: Apache-2.0 */
/* Files of wrapped keys: binary, base64, folded, many; and heads that are none. */
#include "kms/ctl/wrapfile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "kms/base/base64.h"

enum {
	BLOB_LEN = 96
};

/* A blob that looks like one of ours; `fill` tells them apart. */
static void make_blob(uint8_t fill, uint8_t out[static BLOB_LEN])
{
	memset(out, fill, BLOB_LEN);
	out[0] = 1;
	out[1] = ALG_XAES_256_GCM;
	store_u16(out + 2, 0);
	store_u32(out + 20, 7);
}

static void put(struct buf *b, const char *text)
{
	assert_int_equal(buf_put(b, bytes_of_str(text)), KMS_OK);
}

static void put_base64(struct buf *b, const uint8_t *p, size_t n)
{
	assert_int_equal(base64_encode(bytes_of(p, n), b), KMS_OK);
}

static void assert_blob(const struct wrapfile *f, size_t i, const uint8_t blob[static BLOB_LEN])
{
	assert_true(i < f->n);
	assert_int_equal(f->blobs[i].n, BLOB_LEN);
	assert_memory_equal(f->blobs[i].p, blob, BLOB_LEN);
}

static void binary_is_taken_as_it_is(void **state)
{
	AUTO(wrapfile_done) struct wrapfile f = { .n = 0 };
	AUTO(buf_done) struct buf in = { .n = 0 };
	uint8_t blob[BLOB_LEN];

	(void)state;
	make_blob('\n', blob);
	assert_int_equal(buf_put(&in, bytes_of(blob, BLOB_LEN)), KMS_OK);
	assert_int_equal(wrapfile_parse(&in, &f), KMS_OK);
	assert_int_equal(f.n, 1);
	assert_blob(&f, 0, blob);
}

static void base64_is_decoded(void **state)
{
	AUTO(wrapfile_done) struct wrapfile f = { .n = 0 };
	AUTO(buf_done) struct buf in = { .n = 0 };
	uint8_t blob[BLOB_LEN];

	(void)state;
	make_blob(3, blob);
	put(&in, "\n ");
	put_base64(&in, blob, BLOB_LEN);
	put(&in, "\r\n\n");
	assert_int_equal(wrapfile_parse(&in, &f), KMS_OK);
	assert_int_equal(f.n, 1);
	assert_blob(&f, 0, blob);
}

/* As base64(1) writes it: each line by itself would be base64, too. */
static void folded_base64_is_one(void **state)
{
	uint8_t blob[BLOB_LEN];

	(void)state;
	make_blob(200, blob);
	for (size_t width = 3; width < BLOB_LEN; width += 3) {
		AUTO(wrapfile_done) struct wrapfile f = { .n = 0 };
		AUTO(buf_done) struct buf in = { .n = 0 };

		for (size_t at = 0; at < BLOB_LEN; at += width) {
			put_base64(&in, blob + at, at + width < BLOB_LEN ? width : BLOB_LEN - at);
			put(&in, "\n");
		}
		assert_int_equal(wrapfile_parse(&in, &f), KMS_OK);
		assert_int_equal(f.n, 1);
		assert_blob(&f, 0, blob);
	}
}

static void lines_are_many(void **state)
{
	AUTO(wrapfile_done) struct wrapfile f = { .n = 0 };
	AUTO(buf_done) struct buf in = { .n = 0 };
	uint8_t blobs[3][BLOB_LEN];

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		make_blob((uint8_t)(10 + i), blobs[i]);
		put_base64(&in, blobs[i], BLOB_LEN);
		put(&in, i == 1 ? "\n\n" : "\n");
	}
	assert_int_equal(wrapfile_parse(&in, &f), KMS_OK);
	assert_int_equal(f.n, 3);
	for (size_t i = 0; i < 3; i++)
		assert_blob(&f, i, blobs[i]);
}

static void nothing_is_refused(void **state)
{
	static const char *const empty[] = { "", "\n", " \r\n\t\n" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(empty); i++) {
		AUTO(wrapfile_done) struct wrapfile f = { .n = 0 };
		AUTO(buf_done) struct buf in = { .n = 0 };

		put(&in, empty[i]);
		assert_int_equal(wrapfile_parse(&in, &f), KMS_E_BAD_REQUEST);
		assert_int_equal(f.n, 0);
	}
}

/* kmsd is the judge of what is no wrapped key; nothing is guessed into one. */
static void rubbish_stays_rubbish(void **state)
{
	static const char rubbish[] = "this is\nno wrapped key!\n";
	AUTO(wrapfile_done) struct wrapfile f = { .n = 0 };
	AUTO(buf_done) struct buf in = { .n = 0 };

	(void)state;
	put(&in, rubbish);
	assert_int_equal(wrapfile_parse(&in, &f), KMS_OK);
	assert_int_equal(f.n, 1);
	assert_int_equal(f.blobs[0].n, strlen(rubbish));
}

static void one_bad_line_spoils_the_lines(void **state)
{
	AUTO(wrapfile_done) struct wrapfile f = { .n = 0 };
	AUTO(buf_done) struct buf in = { .n = 0 };
	uint8_t blob[BLOB_LEN];

	(void)state;
	make_blob(3, blob);
	put_base64(&in, blob, BLOB_LEN);
	put(&in, "\n*\n");
	size_t n = in.n;
	assert_int_equal(wrapfile_parse(&in, &f), KMS_OK);
	assert_int_equal(f.n, 1);
	assert_int_equal(f.blobs[0].n, n);
}

static void heads_are_read(void **state)
{
	struct wrapped_head h;
	uint8_t blob[BLOB_LEN];

	(void)state;
	make_blob(9, blob);
	assert_int_equal(wrapped_head_read(bytes_of(blob, BLOB_LEN), &h), KMS_OK);
	assert_int_equal(h.format, 1);
	assert_int_equal(h.algorithm, ALG_XAES_256_GCM);
	assert_int_equal(h.version, 7);
	assert_int_equal(h.key.b[0], 9);
}

static void other_heads_are_refused(void **state)
{
	static const struct {
		size_t at;
		uint8_t value;
		kms_err e;
	} changes[] = { { 0, 0, KMS_E_BAD_REQUEST }, { 0, 2, KMS_E_NEWER_FORMAT },
		{ 0, 3, KMS_E_BAD_REQUEST }, { 1, 0, KMS_E_BAD_REQUEST },
		{ 1, ALG_COUNT, KMS_E_BAD_REQUEST }, { 2, 1, KMS_E_BAD_REQUEST },
		{ 3, 0x80, KMS_E_BAD_REQUEST }, { 20, 0, KMS_E_BAD_REQUEST } };
	struct wrapped_head h = { .version = 99 };
	uint8_t blob[BLOB_LEN];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
		make_blob(9, blob);
		blob[changes[i].at] = changes[i].value;
		assert_int_equal(wrapped_head_read(bytes_of(blob, BLOB_LEN), &h), changes[i].e);
	}
	for (size_t n = 0; n < 40; n++) {
		make_blob(9, blob);
		assert_int_equal(wrapped_head_read(bytes_of(blob, n), &h), KMS_E_BAD_REQUEST);
	}
	assert_int_equal(h.version, 99);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(binary_is_taken_as_it_is),
		cmocka_unit_test(base64_is_decoded),
		cmocka_unit_test(folded_base64_is_one),
		cmocka_unit_test(lines_are_many),
		cmocka_unit_test(nothing_is_refused),
		cmocka_unit_test(rubbish_stays_rubbish),
		cmocka_unit_test(one_bad_line_spoils_the_lines),
		cmocka_unit_test(heads_are_read),
		cmocka_unit_test(other_heads_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
