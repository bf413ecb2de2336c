/* SPDX-License-Identifier: Apache-2.0 */
/* Bech32m: the strings of BIP-350, valid and not; every single mistake is found, and where. */
#include "kms/base/bech32m.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/damage.h"
#include "tests/unit/dice.h"

static const char charset[] = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";

static kms_err decode(const char *text, struct bech32m *out, size_t *out_at)
{
	struct bytes t = bytes_of_str(text);
	uint8_t *exact = damage_copy(t);
	kms_err e = bech32m_decode(bytes_of(exact, t.n), out, out_at);

	free(exact);
	return e;
}

/* ---- What is taken ------------------------------------------------------------------------- */

static const char *const valid[] = {
	"A1LQFN3A",
	"a1lqfn3a",
	"an83characterlonghumanreadablepartthatcontainsthetheexcludedcharactersbioandnumber11sg7hg6",
	"abcdef1l7aum6echk45nj3s0wdvt2fg8x9yrzpqzd3ryx",
	"11llllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllludsr8",
	"split1checkupstagehandshakeupstreamerranterredcaperredlc445v",
	"?1v759aa",
};

static void the_valid_strings_go_and_come(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(valid); i++) {
		AUTO(bech32m_wipe) struct bech32m b = { .n = 0 };
		AUTO(bech32m_text_wipe) struct bech32m_text again;
		size_t at = 77;

		assert_int_equal(decode(valid[i], &b, &at), KMS_OK);
		assert_int_equal(strlen(b.hrp) + 1 + b.n + BECH32M_SUM_LEN, strlen(valid[i]));
		assert_int_equal(bech32m_encode(&b, &again), KMS_OK);
		if (i > 0)
			assert_string_equal(again.s, valid[i]);
		else
			assert_string_equal(again.s, "a1lqfn3a");
	}
}

static void the_parts_are_right(void **state)
{
	struct bech32m b;
	size_t at;

	(void)state;
	assert_int_equal(decode(valid[3], &b, &at), KMS_OK);
	assert_string_equal(b.hrp, "abcdef");
	assert_int_equal(b.n, 32);
	for (size_t i = 0; i < b.n; i++)
		assert_int_equal(b.values[i], 31 - i);
	assert_int_equal(decode(valid[4], &b, &at), KMS_OK);
	assert_string_equal(b.hrp, "1");
	assert_int_equal(b.n, BECH32M_MAX - 2 - BECH32M_SUM_LEN);
}

static void bytes_go_and_come(void **state)
{
	struct dice d = dice_of(1);

	(void)state;
	for (size_t n = 0; n <= 51; n++) {
		struct bech32m b = { .hrp = "kms" }, back;
		struct bech32m_text text;
		uint8_t in[51], out[51];
		size_t at;

		dice_fill(&d, in, sizeof(in));
		assert_int_equal(bech32m_put_bytes(bytes_of(in, n), &b), KMS_OK);
		assert_int_equal(b.n, (n * 8 + 4) / 5);
		kms_err e = bech32m_encode(&b, &text);
		/* 3 + 1 + 80 + 6 */
		assert_int_equal(e, n <= 50 ? KMS_OK : KMS_E_INTERNAL);
		if (e != KMS_OK)
			break;
		assert_int_equal(decode(text.s, &back, &at), KMS_OK);
		assert_int_equal(bech32m_get_bytes(&back, n, out), KMS_OK);
		assert_memory_equal(out, in, n);
	}
}

/* ---- What is not --------------------------------------------------------------------------- */

static void the_invalid_strings_are_refused(void **state)
{
	static const struct {
		const char *text;
		kms_err e;
		size_t at;
	} invalid[] = {
		{ "\x20"
		  "1xj0phk",
		    KMS_E_BAD_REQUEST, 1 },
		{ "\x7f"
		  "1g6xzxy",
		    KMS_E_BAD_REQUEST, 1 },
		{ "\x80"
		  "1vctc34",
		    KMS_E_BAD_REQUEST, 1 },
		{ "an84characterslonghumanreadablepartthatcontainsthetheexcludedcharactersbio"
		  "andnumber11d6pts4",
		    KMS_E_BAD_REQUEST, 0 },
		{ "qyrz8wqd2c9m", KMS_E_BAD_REQUEST, 0 },
		{ "1qyrz8wqd2c9m", KMS_E_BAD_REQUEST, 0 },
		{ "y1b0jsk6g", KMS_E_BAD_REQUEST, 3 },
		{ "lt1igcx5c0", KMS_E_BAD_REQUEST, 4 },
		{ "in1muywd", KMS_E_BAD_REQUEST, 0 },
		{ "mm1crxm3i", KMS_E_BAD_REQUEST, 9 },
		{ "au1s5cgom", KMS_E_BAD_REQUEST, 8 },
		{ "M1VUXWEZ", KMS_E_INTEGRITY, 0 },
		{ "16plkw9", KMS_E_BAD_REQUEST, 0 },
		{ "1p2gdwpf", KMS_E_BAD_REQUEST, 0 },
		/* Bech32's own checksum (BIP-173). */
		{ "A12UEL5L", KMS_E_INTEGRITY, 0 },
		/* Both cases, wherever. */
		{ "a1lqfn3A", KMS_E_BAD_REQUEST, 8 },
		{ "A1lQFN3A", KMS_E_BAD_REQUEST, 3 },
		{ "", KMS_E_BAD_REQUEST, 0 },
		{ "1", KMS_E_BAD_REQUEST, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(invalid); i++) {
		struct bech32m b = { .n = 55 };
		size_t at = 77;
		kms_err e = decode(invalid[i].text, &b, &at);

		assert_int_equal(e, invalid[i].e);
		/* Where a checksum fails in many places the place is by chance, so not told here. */
		if (e != KMS_E_INTEGRITY)
			assert_int_equal(at, invalid[i].at);
		assert_int_equal(b.n, 55);
	}
}

/* Every other character of the alphabet at every place behind the separator. */
static void every_single_mistake_is_located(void **state)
{
	(void)state;
	for (size_t i = 1; i < ARRAY_LEN(valid); i++) {
		struct bech32m_text t = { { 0 } };
		size_t n = strlen(valid[i]);
		size_t from = (size_t)(strrchr(valid[i], '1') - valid[i]) + 1;

		memcpy(t.s, valid[i], n);
		for (size_t place = from; place < n; place++) {
			for (const char *c = charset; *c != '\0'; c++) {
				struct bech32m b;
				size_t at = 77;

				if (*c == valid[i][place])
					continue;
				t.s[place] = *c;
				assert_int_equal(decode(t.s, &b, &at), KMS_E_INTEGRITY);
				assert_int_equal(at, place + 1);
			}
			t.s[place] = valid[i][place];
		}
	}
}

/* Two and three mistakes are never taken for one at another place; four are still noticed. */
static void more_mistakes_are_noticed(void **state)
{
	const char *right = valid[4];
	struct dice d = dice_of(9);

	(void)state;
	for (size_t round = 0; round < 20000; round++) {
		struct bech32m_text t = { { 0 } };
		size_t mistakes = 2 + round % 3, at = 77;
		struct bech32m b;

		memcpy(t.s, right, strlen(right));
		for (size_t made = 0; made < mistakes;) {
			size_t place = 2 + dice_below(&d, strlen(right) - 2);
			char c = charset[dice_below(&d, 32)];

			if (t.s[place] != right[place] || c == right[place])
				continue;
			t.s[place] = c;
			made++;
		}
		assert_int_equal(decode(t.s, &b, &at), KMS_E_INTEGRITY);
		if (mistakes < 4)
			assert_int_equal(at, 0);
	}
}

static void what_cannot_be_is_not_written(void **state)
{
	struct bech32m_text out;
	struct bech32m b = { .hrp = "" };

	(void)state;
	assert_int_equal(bech32m_encode(&b, &out), KMS_E_INTERNAL);
	b = (struct bech32m){ .hrp = "Kms" };
	assert_int_equal(bech32m_encode(&b, &out), KMS_E_INTERNAL);
	b = (struct bech32m){ .hrp = "k s" };
	assert_int_equal(bech32m_encode(&b, &out), KMS_E_INTERNAL);
	b = (struct bech32m){ .hrp = "k\x7fs" };
	assert_int_equal(bech32m_encode(&b, &out), KMS_E_INTERNAL);
	memset(b.hrp, 'k', sizeof(b.hrp));
	assert_int_equal(bech32m_encode(&b, &out), KMS_E_INTERNAL);
	b.hrp[BECH32M_HRP_MAX] = '\0';
	assert_int_equal(bech32m_encode(&b, &out), KMS_OK);
	b.n = 1;
	assert_int_equal(bech32m_encode(&b, &out), KMS_E_INTERNAL);
	b = (struct bech32m){ .hrp = "kms", .n = 2, .values = { 31, 32 } };
	assert_int_equal(bech32m_encode(&b, &out), KMS_E_INTERNAL);
	b = (struct bech32m){ .hrp = "kms", .n = SIZE_MAX };
	assert_int_equal(bech32m_encode(&b, &out), KMS_E_INTERNAL);
}

static void bytes_of_another_length_are_refused(void **state)
{
	static const uint8_t large[BECH32M_MAX] = { 0 };
	struct bech32m b = { .hrp = "kms" };
	uint8_t out[4] = { 1, 2, 3, 4 };

	(void)state;
	assert_int_equal(bech32m_put_bytes(bytes_of(large, 57), &b), KMS_E_INTERNAL);
	assert_int_equal(bech32m_put_bytes(bytes_of("abc", 3), &b), KMS_OK);
	assert_int_equal(bech32m_get_bytes(&b, 2, out), KMS_E_BAD_REQUEST);
	assert_int_equal(bech32m_get_bytes(&b, 4, out), KMS_E_BAD_REQUEST);
	assert_int_equal(out[0], 1);
	/* 3 bytes in 5 values leave one bit, which must be zero. */
	b.values[4] |= 1;
	assert_int_equal(bech32m_get_bytes(&b, 3, out), KMS_E_BAD_REQUEST);
	assert_memory_equal(out, "\0\0\0\4", 4);
}

static void wiping_leaves_zeros(void **state)
{
	static const struct bech32m none;
	static const struct bech32m_text nothing;
	struct bech32m b = { .hrp = "kms", .values = { 1, 2, 3 }, .n = 3 };
	struct bech32m_text t;

	(void)state;
	assert_int_equal(bech32m_encode(&b, &t), KMS_OK);
	bech32m_wipe(&b);
	bech32m_text_wipe(&t);
	assert_memory_equal(&b, &none, sizeof(b));
	assert_memory_equal(&t, &nothing, sizeof(t));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_valid_strings_go_and_come),
		cmocka_unit_test(the_parts_are_right),
		cmocka_unit_test(bytes_go_and_come),
		cmocka_unit_test(the_invalid_strings_are_refused),
		cmocka_unit_test(every_single_mistake_is_located),
		cmocka_unit_test(more_mistakes_are_noticed),
		cmocka_unit_test(what_cannot_be_is_not_written),
		cmocka_unit_test(bytes_of_another_length_are_refused),
		cmocka_unit_test(wiping_leaves_zeros),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
