/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shamir's sharing: the field's axioms, a split that was computed by other means (tables of
 * logarithms, in another language), every k and n, and what must not open.
 */
#include "kms/crypto/shamir.h"

#include <openssl/rand.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/dice.h"
#include "tests/unit/hex.h"

enum {
	SECRETS = 80
};

/* "Random" bytes for split: fixed ones first, then dice; or a failure at the n-th draw. */
static struct {
	const char *fixed[2];
	size_t drawn;
	size_t fail_at;
	struct dice dice;
} source;

/* In OpenSSL's place, for our own code alone. */
__attribute__((visibility("hidden"))) int RAND_priv_bytes(unsigned char *out, int n)
{
	size_t i = source.drawn++;

	if (source.fail_at > 0 && source.drawn == source.fail_at)
		return 0;
	if (i >= ARRAY_LEN(source.fixed) || source.fixed[i] == NULL) {
		dice_fill(&source.dice, out, (size_t)n);
		return 1;
	}
	struct hex h = hex_of(source.fixed[i]);
	assert_int_equal(h.n, n);
	memcpy(out, h.p, h.n);
	hex_done(&h);
	return 1;
}

static int fresh(void **state)
{
	(void)state;
	memset(&source, 0, sizeof(source));
	source.dice = dice_of(7);
	return 0;
}

static int nothing_left(void **state)
{
	(void)state;
	return secret_info().used == 0 ? 0 : -1;
}

struct set {
	struct secret *s[SHAMIR_MAX];
};

static void set_done(struct set *s)
{
	for (size_t i = 0; i < SHAMIR_MAX; i++)
		secret_free(&s->s[i]);
}

/* 0x40, 0x41… 0x5f */
static struct secret *some_secret(void)
{
	struct secret *s = NULL;

	assert_int_equal(secret_new(SHAMIR_LEN, &s), KMS_OK);
	for (size_t i = 0; i < SHAMIR_LEN; i++)
		secret_fill(s)[i] = (uint8_t)(0x40 + i);
	return s;
}

static struct shamir_point point(const struct set *s, size_t x)
{
	return (struct shamir_point){ (uint8_t)x, s->s[x - 1] };
}

/* ---- The field ----------------------------------------------------------------------------- */

/* Russian peasants' multiplication with branches, as FIPS 197 section 4.2.1 tells it. */
static uint8_t slow_mul(uint8_t a, uint8_t b)
{
	uint8_t sum = 0;

	for (; b != 0; b >>= 1) {
		if (b & 1)
			sum ^= a;
		a = (uint8_t)(a & 0x80 ? (a << 1) ^ 0x1b : a << 1);
	}
	return sum;
}

static void every_product_is_right(void **state)
{
	(void)state;
	assert_int_equal(gf256_mul(0x57, 0x83), 0xc1); /* FIPS 197 section 4.2 */
	assert_int_equal(gf256_mul(0x57, 0x13), 0xfe); /* section 4.2.1 */
	for (unsigned a = 0; a < 256; a++) {
		for (unsigned b = 0; b < 256; b++)
			assert_int_equal(
			    gf256_mul((uint8_t)a, (uint8_t)b), slow_mul((uint8_t)a, (uint8_t)b));
	}
}

static void every_inverse_is_right(void **state)
{
	bool seen[256] = { false };

	(void)state;
	assert_int_equal(gf256_inverse(0), 0);
	assert_int_equal(gf256_inverse(0x53), 0xca);
	for (unsigned a = 1; a < 256; a++) {
		uint8_t inverse = gf256_inverse((uint8_t)a);

		assert_int_equal(gf256_mul((uint8_t)a, inverse), 1);
		assert_int_equal(gf256_inverse(inverse), a);
		assert_false(seen[inverse]);
		seen[inverse] = true;
	}
}

static void it_is_a_field(void **state)
{
	struct dice d = dice_of(3);

	(void)state;
	for (unsigned a = 0; a < 256; a++) {
		assert_int_equal(gf256_mul((uint8_t)a, 1), a);
		assert_int_equal(gf256_mul((uint8_t)a, 0), 0);
	}
	for (size_t i = 0; i < 50000; i++) {
		uint8_t a = (uint8_t)dice_below(&d, 256);
		uint8_t b = (uint8_t)dice_below(&d, 256);
		uint8_t c = (uint8_t)dice_below(&d, 256);

		assert_int_equal(gf256_mul(a, b), gf256_mul(b, a));
		assert_int_equal(gf256_mul(a, b ^ c), gf256_mul(a, b) ^ gf256_mul(a, c));
		assert_int_equal(gf256_mul(a, gf256_mul(b, c)), gf256_mul(gf256_mul(a, b), c));
	}
}

/* ---- Split and combine --------------------------------------------------------------------- */

/* Coefficients: SHA-256 of "coefficient 1" and "coefficient 2". */
static void a_split_is_known(void **state)
{
	static const char *const expected[] = {
		"c5b5f9fe2f5f9c0bef61c5d72ec92e04c5fff97fae159c542a4b7a5b6050b4c8",
		"874c16e049424314899b85189b66c330a1e78fd1cb6504d16122553eb271bf58",
		"02b8ad5d225899582eb30a84f9e2a37b344924fd3125ced21330753e8e7c55cf",
		"a08e0e3b1f87d2e0b7c8ca36b5fb603884cf8509aac3ab7673c8631ef5dd3f99",
		"257ab586749d08ac10e045aad77f007311612e255083617501da431ec9d0d50e",
	};
	AUTO(secret_free) struct secret *secret = some_secret();
	AUTO(set_done) struct set shares = { { NULL } };

	(void)state;
	source.fixed[0] = "55283d6bc29fe9146817ac7d1e79f01cb5fd93fe1b8162cada85469c0504e769";
	source.fixed[1] = "d0dc86d6a9853358cf3f23e17cfd9057205338d2e1c1a8c9a897669c39090dfe";
	assert_int_equal(shamir_split(secret, 3, 5, shares.s), KMS_OK);
	assert_int_equal(source.drawn, 2);
	for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
		struct hex h = hex_of(expected[i]);

		assert_true(secret_equal(shares.s[i], hex_bytes(h)));
		hex_done(&h);
	}
	assert_null(shares.s[ARRAY_LEN(expected)]);
}

static void opens(const struct set *shares, const size_t *x, size_t k)
{
	AUTO(secret_free) struct secret *wanted = some_secret();
	AUTO(secret_free) struct secret *got = NULL;
	struct shamir_point points[SHAMIR_MAX];

	for (size_t i = 0; i < k; i++)
		points[i] = point(shares, x[i]);
	assert_int_equal(shamir_combine(points, k, &got), KMS_OK);
	assert_true(secret_equal(got, secret_bytes(wanted)));
}

/* The first k, the last k, and some in any order. */
static void every_k_and_n(void **state)
{
	struct dice d = dice_of(5);

	(void)state;
	for (size_t n = SHAMIR_MIN; n <= SHAMIR_MAX; n++) {
		for (size_t k = SHAMIR_MIN; k <= n; k++) {
			AUTO(secret_free) struct secret *secret = some_secret();
			AUTO(set_done) struct set shares = { { NULL } };
			size_t x[SHAMIR_MAX];

			assert_int_equal(shamir_split(secret, k, n, shares.s), KMS_OK);
			for (size_t i = 0; i < n; i++)
				x[i] = i + 1;
			opens(&shares, x, k);
			opens(&shares, x + n - k, k);
			for (size_t i = 0; i < n; i++) {
				size_t j = i + dice_below(&d, n - i), kept = x[i];

				x[i] = x[j];
				x[j] = kept;
			}
			opens(&shares, x, k);
		}
	}
}

static void two_splits_differ(void **state)
{
	AUTO(secret_free) struct secret *secret = some_secret();
	AUTO(set_done) struct set one = { { NULL } };
	AUTO(set_done) struct set other = { { NULL } };

	(void)state;
	assert_int_equal(shamir_split(secret, 2, 2, one.s), KMS_OK);
	assert_int_equal(shamir_split(secret, 2, 2, other.s), KMS_OK);
	assert_false(secret_equal(one.s[0], secret_bytes(other.s[0])));
}

/* ---- What does not open -------------------------------------------------------------------- */

static void gives_something_else(const struct shamir_point *points, size_t k)
{
	AUTO(secret_free) struct secret *wanted = some_secret();
	AUTO(secret_free) struct secret *got = NULL;

	assert_int_equal(shamir_combine(points, k, &got), KMS_OK);
	assert_false(secret_equal(got, secret_bytes(wanted)));
}

static void one_share_less_does_not_open(void **state)
{
	(void)state;
	for (size_t k = SHAMIR_MIN + 1; k <= SHAMIR_MAX; k++) {
		AUTO(secret_free) struct secret *secret = some_secret();
		AUTO(set_done) struct set shares = { { NULL } };
		struct shamir_point points[SHAMIR_MAX];

		assert_int_equal(shamir_split(secret, k, k, shares.s), KMS_OK);
		for (size_t i = 0; i < k; i++)
			points[i] = point(&shares, i + 1);
		gives_something_else(points, k - 1);
		gives_something_else(points + 1, k - 1);
	}
}

/* k - 1 shares fit every secret: for each value of its first byte there is a last share. */
static void fewer_tell_nothing(void **state)
{
	AUTO(secret_free) struct secret *secret = some_secret();
	AUTO(set_done) struct set shares = { { NULL } };
	bool seen[256] = { false };

	(void)state;
	assert_int_equal(shamir_split(secret, 3, 3, shares.s), KMS_OK);
	for (unsigned value = 0; value < 256; value++) {
		AUTO(secret_free) struct secret *got = NULL;
		const struct shamir_point points[] = { point(&shares, 1), point(&shares, 2),
			point(&shares, 3) };

		secret_fill(shares.s[2])[0] = (uint8_t)value;
		assert_int_equal(shamir_combine(points, 3, &got), KMS_OK);
		uint8_t first = secret_bytes(got).p[0];
		assert_false(seen[first]);
		seen[first] = true;
	}
}

static void another_number_or_value_does_not_open(void **state)
{
	AUTO(secret_free) struct secret *secret = some_secret();
	AUTO(set_done) struct set shares = { { NULL } };

	(void)state;
	assert_int_equal(shamir_split(secret, 2, 3, shares.s), KMS_OK);
	struct shamir_point points[] = { point(&shares, 1), point(&shares, 2) };
	points[1].x = 3;
	gives_something_else(points, 2);
	points[1].x = 2;
	for (size_t i = 0; i < SHAMIR_LEN; i++) {
		secret_fill(shares.s[1])[i] ^= 0x10;
		gives_something_else(points, 2);
		secret_fill(shares.s[1])[i] ^= 0x10;
	}
}

static void bad_numbers_are_refused(void **state)
{
	static const size_t bad[][2] = { { 0, 0 }, { 0, 5 }, { 1, 1 }, { 1, 5 }, { 3, 2 },
		{ 16, 15 }, { 2, 17 }, { 17, 17 }, { SIZE_MAX, SIZE_MAX }, { 2, SIZE_MAX } };
	AUTO(secret_free) struct secret *secret = some_secret();
	AUTO(set_done) struct set shares = { { NULL } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_false(shamir_possible(bad[i][0], bad[i][1]));
		assert_int_equal(
		    shamir_split(secret, bad[i][0], bad[i][1], shares.s), KMS_E_SHARE_NUMBERS);
	}
	assert_int_equal(source.drawn, 0);
	assert_null(shares.s[0]);
	assert_true(shamir_possible(2, 2) && shamir_possible(16, 16));
}

static void bad_points_are_refused(void **state)
{
	AUTO(secret_free) struct secret *secret = some_secret();
	AUTO(set_done) struct set shares = { { NULL } };
	struct secret *got = NULL;

	(void)state;
	assert_int_equal(shamir_split(secret, 3, 3, shares.s), KMS_OK);
	struct shamir_point points[] = { point(&shares, 1), point(&shares, 2), point(&shares, 3) };
	assert_int_equal(shamir_combine(points, 0, &got), KMS_E_SHARE_NUMBERS);
	assert_int_equal(shamir_combine(points, 1, &got), KMS_E_SHARE_NUMBERS);
	assert_int_equal(shamir_combine(points, SHAMIR_MAX + 1, &got), KMS_E_SHARE_NUMBERS);
	points[2].x = 0;
	assert_int_equal(shamir_combine(points, 3, &got), KMS_E_BAD_REQUEST);
	points[2].x = SHAMIR_MAX + 1;
	assert_int_equal(shamir_combine(points, 3, &got), KMS_E_BAD_REQUEST);
	for (uint8_t x = 1; x < 3; x++) {
		points[2].x = x;
		assert_int_equal(shamir_combine(points, 3, &got), KMS_E_SHARE_TWICE);
	}
	assert_null(got);
}

static void other_lengths_are_refused(void **state)
{
	AUTO(secret_free) struct secret *small = NULL;
	AUTO(secret_free) struct secret *large = NULL;
	struct secret *out[2] = { NULL };

	(void)state;
	assert_int_equal(secret_new(SHAMIR_LEN - 1, &small), KMS_OK);
	assert_int_equal(secret_new(SHAMIR_LEN + 1, &large), KMS_OK);
	assert_int_equal(shamir_split(small, 2, 2, out), KMS_E_INTERNAL);
	assert_int_equal(shamir_split(large, 2, 2, out), KMS_E_INTERNAL);
	const struct shamir_point points[] = { { 1, small }, { 2, large } };
	assert_int_equal(shamir_combine(points, 2, out), KMS_E_INTERNAL);
	assert_null(out[0]);
}

/* Nothing is handed out and nothing is left when randomness or room runs out half way. */
static void failures_leave_nothing(void **state)
{
	AUTO(secret_free) struct secret *secret = some_secret();
	AUTO(set_done) struct set shares = { { NULL } };
	struct secret *filler[SECRETS] = { NULL };
	size_t n = 0;

	(void)state;
	for (source.fail_at = 1; source.fail_at <= 3; source.fail_at++) {
		source.drawn = 0;
		assert_int_equal(shamir_split(secret, 4, 5, shares.s), KMS_E_CRYPTO);
		assert_null(shares.s[0]);
		assert_int_equal(secret_info().used, 1);
	}
	source.fail_at = 0;
	while (secret_info().used < SECRETS)
		assert_int_equal(secret_new(SHAMIR_LEN, &filler[n++]), KMS_OK);
	for (; secret_info().used > SECRETS - 8; n--) {
		assert_int_equal(shamir_split(secret, 4, 5, shares.s), KMS_E_KEYS_FULL);
		assert_null(shares.s[0]);
		secret_free(&filler[n - 1]);
	}
	assert_int_equal(shamir_split(secret, 4, 5, shares.s), KMS_OK);
	for (; n > 0; n--)
		secret_free(&filler[n - 1]);
}

#define STORY(f) cmocka_unit_test_setup_teardown(f, fresh, nothing_left)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(every_product_is_right),
		STORY(every_inverse_is_right),
		STORY(it_is_a_field),
		STORY(a_split_is_known),
		STORY(every_k_and_n),
		STORY(two_splits_differ),
		STORY(one_share_less_does_not_open),
		STORY(fewer_tell_nothing),
		STORY(another_number_or_value_does_not_open),
		STORY(bad_numbers_are_refused),
		STORY(bad_points_are_refused),
		STORY(other_lengths_are_refused),
		STORY(failures_leave_nothing),
	};

	CHECK(secret_init(SECRETS, true) == KMS_OK);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	secret_done();
	return failed;
}
