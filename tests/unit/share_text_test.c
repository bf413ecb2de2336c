/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The line that people keep: it reads however it is spaced, every wrong character is noticed and
 * named, and what was never a share is told from a share that was mistyped.
 */
#include "kms/seal/share_text.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "kms/base/bech32m.h"
#include "tests/unit/damage.h"
#include "tests/unit/shares_vector.h"

enum {
	SECRETS = 16,
	PAYLOAD = 40
};

static const char charset[] = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L";

static kms_err decode(struct bytes typed, struct share *out, struct share_slip *slip)
{
	uint8_t *exact = damage_copy(typed);
	kms_err e = share_text_decode(bytes_of(exact, typed.n), out, slip);

	free(exact);
	return e;
}

/* Reads to the second share of the vector. */
static void reads(const char *typed)
{
	AUTO(share_done) struct share s = { .value = NULL };
	AUTO(share_text_wipe) struct share_text again;
	struct share_slip slip = { 9, 9 };

	assert_int_equal(decode(bytes_of_str(typed), &s, &slip), KMS_OK);
	assert_int_equal(slip.at, 0);
	assert_int_equal(slip.typed, SHARE_TEXT_LEN);
	assert_true(s.k == VECTOR_K && s.n == VECTOR_N && s.x == 2);
	assert_memory_equal(s.set, "\x7b\x9d\x4a\x6f", SHARE_SET_LEN);
	assert_int_equal(share_text_encode(&s, &again), KMS_OK);
	assert_string_equal(again.s, vector_texts[1]);
}

static void refused(const char *typed, kms_err e, size_t at)
{
	struct share s = { .k = 77 };
	struct share_slip slip = { 99, 99 };

	assert_int_equal(decode(bytes_of_str(typed), &s, &slip), e);
	assert_int_equal(slip.at, at);
	assert_int_equal(s.k, 77);
	assert_null(s.value);
}

/* ---- What reads ---------------------------------------------------------------------------- */

static void shares_go_and_come(void **state)
{
	(void)state;
	assert_int_equal(strlen(vector_texts[1]), SHARE_TEXT_LEN);
	reads(vector_texts[1]);
}

static void small_letters_are_as_good(void **state)
{
	char small[SHARE_TEXT_LEN + 1] = { 0 };

	(void)state;
	for (size_t i = 0; i < SHARE_TEXT_LEN; i++)
		small[i] = (char)tolower((unsigned char)vector_texts[1][i]);
	reads(small);
}

static void separators_do_not_count(void **state)
{
	static const char *const between[] = { " ", "-", " - ", "\n", "\r\n\t" };

	(void)state;
	for (size_t b = 0; b < ARRAY_LEN(between); b++) {
		char typed[SHARE_TYPED_MAX] = " ";

		for (size_t i = 0; i < SHARE_TEXT_LEN; i++) {
			size_t n = strlen(typed);

			typed[n++] = vector_texts[1][i];
			if (i % 4 == 3)
				memcpy(typed + n, between[b], strlen(between[b]));
		}
		reads(typed);
	}
}

/* ---- What was mistyped --------------------------------------------------------------------- */

/* A small letter among capitals is wrong by itself; in the beginning the second may be named. */
static void wrong_at(const char *typed, size_t i)
{
	struct share s;
	struct share_slip slip;

	assert_int_equal(decode(bytes_of_str(typed), &s, &slip), KMS_E_SHARE_TYPO);
	assert_true(slip.at == i + 1 || (i == 0 && islower(typed[0]) && slip.at == 2));
}

static int capital(int c)
{
	return c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c;
}

/* All of the printable ones, the alphabet's and others, but those that don't count. */
static void each_is_wrong_at(size_t i)
{
	char typed[SHARE_TEXT_LEN + 1] = { 0 };

	memcpy(typed, vector_texts[1], SHARE_TEXT_LEN);
	for (int c = ' ' + 1; c < 0x7f; c++) {
		if (c == '-' || capital(c) == vector_texts[1][i])
			continue;
		typed[i] = (char)c;
		wrong_at(typed, i);
	}
}

static void every_wrong_character_is_named(void **state)
{
	(void)state;
	for (size_t i = 0; i < SHARE_TEXT_LEN; i++)
		each_is_wrong_at(i);
}

static void the_number_is_that_without_separators(void **state)
{
	(void)state;
	/* Z instead of S, at the end of the fourth group. */
	refused("KMS1-Q9AE-6JN0-QGPZ-9L0J-LL03-TQHF-KU3E-05DJ-MJLZ-XYVZ-NCQT-EXEQ-CDFK-XTQ2-KDSX-"
	        "TZTL-6UTW-8X",
	    KMS_E_SHARE_TYPO, 16);
}

static void both_cases_are_mistyped(void **state)
{
	char typed[SHARE_TEXT_LEN + 1] = { 0 };

	(void)state;
	memcpy(typed, vector_texts[1], SHARE_TEXT_LEN);
	typed[9] = 'j';
	assert_int_equal(vector_texts[1][9], 'J');
	refused(typed, KMS_E_SHARE_TYPO, 10);
}

static void missing_and_doubled_characters_are_counted(void **state)
{
	struct share s;
	struct share_slip slip;

	(void)state;
	for (size_t i = 4; i < SHARE_TEXT_LEN; i++) {
		char less[SHARE_TEXT_LEN + 2] = { 0 }, more[SHARE_TEXT_LEN + 2] = { 0 };

		memcpy(less, vector_texts[1], i);
		memcpy(less + i, vector_texts[1] + i + 1, SHARE_TEXT_LEN - i - 1);
		refused(less, KMS_E_SHARE_TYPO, 0);
		memcpy(more, vector_texts[1], i + 1);
		memcpy(more + i + 1, vector_texts[1] + i, SHARE_TEXT_LEN - i);
		refused(more, KMS_E_SHARE_TYPO, 0);
		assert_int_equal(decode(bytes_of_str(more), &s, &slip), KMS_E_SHARE_TYPO);
		assert_int_equal(slip.typed, SHARE_TEXT_LEN + 1);
	}
	for (size_t n = 4; n < SHARE_TEXT_LEN; n++) {
		assert_int_equal(decode(bytes_of(vector_texts[1], n), &s, &slip), KMS_E_SHARE_TYPO);
		assert_int_equal(slip.typed, n);
	}
}

static void two_swapped_are_noticed(void **state)
{
	(void)state;
	for (size_t i = 4; i + 1 < SHARE_TEXT_LEN; i++) {
		char typed[SHARE_TEXT_LEN + 1] = { 0 };

		memcpy(typed, vector_texts[1], SHARE_TEXT_LEN);
		if (typed[i] == typed[i + 1])
			continue;
		typed[i] = vector_texts[1][i + 1];
		typed[i + 1] = vector_texts[1][i];
		refused(typed, KMS_E_SHARE_TYPO, 0);
	}
}

/* ---- What is no share ---------------------------------------------------------------------- */

static void other_things_are_no_shares(void **state)
{
	static const char *const others[] = { "", "K", "KMS", " - ", "hello",
		"LMS2Q9AE6JN0QGPSR5KY2FMX7L925NW74MAXK85TZ2ELJYVAAURTH9VYTNKGGU286NNE26GCDE",
		"bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0", "kmsctl unseal",
		"-----BEGIN PRIVATE KEY-----" };
	static const uint8_t begin[] = { 'k', 'm', 's', '1' };
	static uint8_t large[SHARE_TYPED_MAX + 1];
	struct share s;
	struct share_slip slip;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		refused(others[i], KMS_E_SHARE_FORM, 0);
	memset(large, ' ', sizeof(large));
	memcpy(large, vector_texts[1], SHARE_TEXT_LEN);
	assert_int_equal(decode(bytes_of(large, sizeof(large)), &s, &slip), KMS_E_SHARE_FORM);
	assert_int_equal(decode(bytes_of(large, SHARE_TYPED_MAX), &s, &slip), KMS_OK);
	share_done(&s);
	/* Far too long, but it begins like one. */
	memset(large, 'q', SHARE_TYPED_MAX);
	memcpy(large, begin, sizeof(begin));
	assert_int_equal(decode(bytes_of(large, SHARE_TYPED_MAX), &s, &slip), KMS_E_SHARE_TYPO);
	assert_int_equal(slip.typed, SHARE_TYPED_MAX);
}

/* A line whose checksum holds, around any bytes. */
static void refused_payload(const uint8_t *p, size_t n, kms_err e)
{
	struct bech32m b = { .hrp = "kms" };
	struct bech32m_text text;

	assert_int_equal(bech32m_put_bytes(bytes_of(p, n), &b), KMS_OK);
	assert_int_equal(bech32m_encode(&b, &text), KMS_OK);
	refused(text.s, e, 0);
}

static void newer_shares_are_named(void **state)
{
	static const uint8_t newer[PAYLOAD] = { SHARE_TEXT_VERSION + 1 }, newest[50] = { 255 };

	(void)state;
	refused_payload(newer, sizeof(newer), KMS_E_NEWER_FORMAT);
	/* Whatever its length. */
	refused_payload(newer, 2, KMS_E_NEWER_FORMAT);
	refused_payload(newest, sizeof(newest), KMS_E_NEWER_FORMAT);
}

static void impossible_shares_are_none(void **state)
{
	static const uint8_t bad[][3] = { { 0, 0, 0 }, { 1, 1, 1 }, { 1, 3, 1 }, { 3, 2, 1 },
		{ 2, 17, 1 }, { 2, 3, 0 }, { 2, 3, 4 }, { 255, 255, 255 } };
	uint8_t p[PAYLOAD] = { 0, 1, 2, 3, 4, 2, 3, 1 };

	(void)state;
	refused_payload(p, sizeof(p), KMS_E_SHARE_FORM);
	refused_payload(p, 0, KMS_E_SHARE_FORM);
	p[0] = SHARE_TEXT_VERSION;
	refused_payload(p, sizeof(p) - 1, KMS_E_SHARE_FORM);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		memcpy(p + 5, bad[i], 3);
		refused_payload(p, sizeof(p), KMS_E_SHARE_FORM);
	}
}

static void impossible_shares_are_not_written(void **state)
{
	AUTO(secret_free) struct secret *value = NULL;
	AUTO(secret_free) struct secret *small = NULL;
	struct share_text out = { "untouched" };

	(void)state;
	assert_int_equal(secret_new(SHARE_VALUE_LEN, &value), KMS_OK);
	assert_int_equal(secret_new(SHARE_VALUE_LEN - 1, &small), KMS_OK);
	const struct share bad[] = {
		{ .k = 1, .n = 3, .x = 1, .value = value },
		{ .k = 4, .n = 3, .x = 1, .value = value },
		{ .k = 2, .n = 17, .x = 1, .value = value },
		{ .k = 2, .n = 3, .x = 0, .value = value },
		{ .k = 2, .n = 3, .x = 4, .value = value },
		{ .k = 2, .n = 3, .x = 1, .value = small },
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(share_text_encode(&bad[i], &out), KMS_E_INTERNAL);
	assert_string_equal(out.s, "untouched");
	share_text_wipe(&out);
	assert_int_equal(out.s[0], '\0');
}

/* Without room for the value nothing is handed out. */
static void a_full_region_is_told(void **state)
{
	struct secret *filler[SECRETS] = { NULL };

	(void)state;
	for (size_t i = 0; i < SECRETS; i++)
		assert_int_equal(secret_new(1, &filler[i]), KMS_OK);
	refused(vector_texts[1], KMS_E_KEYS_FULL, 0);
	for (size_t i = 0; i < SECRETS; i++)
		secret_free(&filler[i]);
}

static void the_alphabet_is_used(void **state)
{
	(void)state;
	for (size_t i = 4; i < SHARE_TEXT_LEN; i++)
		assert_non_null(strchr(charset, vector_texts[0][i]));
}

static int nothing_left(void **state)
{
	(void)state;
	return secret_info().used == 0 ? 0 : -1;
}

#define STORY(f) cmocka_unit_test_teardown(f, nothing_left)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(shares_go_and_come),
		STORY(small_letters_are_as_good),
		STORY(separators_do_not_count),
		STORY(every_wrong_character_is_named),
		STORY(the_number_is_that_without_separators),
		STORY(both_cases_are_mistyped),
		STORY(missing_and_doubled_characters_are_counted),
		STORY(two_swapped_are_noticed),
		STORY(other_things_are_no_shares),
		STORY(newer_shares_are_named),
		STORY(impossible_shares_are_none),
		STORY(impossible_shares_are_not_written),
		STORY(a_full_region_is_told),
		STORY(the_alphabet_is_used),
	};

	CHECK(secret_init(SECRETS, true) == KMS_OK);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	secret_done();
	return failed;
}
