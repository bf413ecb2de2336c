/* SPDX-License-Identifier: Apache-2.0 */
/* Base64 both ways: the vectors of RFC 4648, and what a strict reader refuses. */
#include "kms/base/base64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const struct {
	const char *plain, *text;
} vectors[] = {
	{ "f", "Zg==" },
	{ "fo", "Zm8=" },
	{ "foo", "Zm9v" },
	{ "foob", "Zm9vYg==" },
	{ "fooba", "Zm9vYmE=" },
	{ "foobar", "Zm9vYmFy" },
	{ "\xfb\xff\xfe", "+//+" },
};

static void assert_decodes(const char *text, struct bytes plain)
{
	AUTO(buf_done) struct buf out = { .n = 0 };

	assert_int_equal(base64_decode(bytes_of_str(text), &out), KMS_OK);
	assert_true(bytes_equal(buf_bytes(&out), plain));
}

static void assert_refused(const char *text)
{
	AUTO(buf_done) struct buf out = { .n = 0 };

	assert_int_equal(buf_put(&out, bytes_of_str("kept")), KMS_OK);
	assert_int_equal(base64_decode(bytes_of_str(text), &out), KMS_E_BAD_REQUEST);
	assert_true(bytes_equal(buf_bytes(&out), bytes_of_str("kept")));
}

static void vectors_go_both_ways(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
		AUTO(buf_done) struct buf out = { .n = 0 };

		assert_int_equal(base64_encode(bytes_of_str(vectors[i].plain), &out), KMS_OK);
		assert_true(bytes_equal(buf_bytes(&out), bytes_of_str(vectors[i].text)));
		assert_decodes(vectors[i].text, bytes_of_str(vectors[i].plain));
	}
}

static void nothing_is_nothing(void **state)
{
	AUTO(buf_done) struct buf out = { .n = 0 };

	(void)state;
	assert_int_equal(base64_encode(bytes_of(NULL, 0), &out), KMS_OK);
	assert_int_equal(out.n, 0);
	assert_decodes("", bytes_of(NULL, 0));
	assert_decodes(" \r\n\t", bytes_of(NULL, 0));
}

static void every_byte_survives(void **state)
{
	uint8_t all[256 + 1];

	(void)state;
	for (size_t i = 0; i < sizeof(all); i++)
		all[i] = (uint8_t)i;
	for (size_t n = 0; n <= sizeof(all); n++) {
		AUTO(buf_done) struct buf text = { .n = 0 }, back = { .n = 0 };

		assert_int_equal(base64_encode(bytes_of(all, n), &text), KMS_OK);
		assert_int_equal(base64_decode(buf_bytes(&text), &back), KMS_OK);
		assert_true(bytes_equal(buf_bytes(&back), bytes_of(all, n)));
	}
}

static void white_space_is_skipped(void **state)
{
	(void)state;
	assert_decodes("Zm9v\nYmFy\n", bytes_of_str("foobar"));
	assert_decodes("  Z m\t9 v\r\n", bytes_of_str("foo"));
}

static void it_appends(void **state)
{
	AUTO(buf_done) struct buf out = { .n = 0 };

	(void)state;
	assert_int_equal(base64_decode(bytes_of_str("Zm9v"), &out), KMS_OK);
	assert_int_equal(base64_decode(bytes_of_str("YmFy"), &out), KMS_OK);
	assert_true(bytes_equal(buf_bytes(&out), bytes_of_str("foobar")));
}

static void other_characters_are_refused(void **state)
{
	(void)state;
	assert_refused("Zm9-");
	assert_refused("Zm9_");
	assert_refused("Zm9v!");
	assert_refused("Zm9\xc3\xa4");
	assert_refused("\x01\x02\x03\x04");
	for (int c = 1; c < 256; c++) {
		char text[] = { 'Z', 'm', '9', (char)c, '\0' };
		static const char digits[] =
		    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";

		if (strchr(digits, c) == NULL)
			assert_refused(text);
	}
}

static void cut_groups_are_refused(void **state)
{
	(void)state;
	assert_refused("Z");
	assert_refused("Zg");
	assert_refused("Zg=");
	assert_refused("Zm9vY");
	assert_refused("Zm9vYg=");
}

static void wrong_padding_is_refused(void **state)
{
	(void)state;
	assert_refused("====");
	assert_refused("Z===");
	assert_refused("Zg=v");
	assert_refused("=m9v");
	assert_refused("Zg==Zg==");
	assert_refused("Zm8=Zm9v");
}

/* Two texts must not stand for the same bytes. */
static void bits_left_over_are_refused(void **state)
{
	(void)state;
	assert_refused("Zh==");
	assert_refused("Zm9=");
	assert_refused("Zm+=");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors_go_both_ways),
		cmocka_unit_test(nothing_is_nothing),
		cmocka_unit_test(every_byte_survives),
		cmocka_unit_test(white_space_is_skipped),
		cmocka_unit_test(it_appends),
		cmocka_unit_test(other_characters_are_refused),
		cmocka_unit_test(cut_groups_are_refused),
		cmocka_unit_test(wrong_padding_is_refused),
		cmocka_unit_test(bits_left_over_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
