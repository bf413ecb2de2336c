/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shamir's sharing without tables: a lookup by a secret byte would show in the cache which line it
 * touched. All branches are on k, n and x.
 */
#include "kms/crypto/shamir.h"

#include <string.h>

#include "kms/crypto/rand.h"

enum {
	POLYNOMIAL = 0x11b, /* x^8 + x^4 + x^3 + x + 1 */
	BYTE_BITS = 8
};

/* All ones if the bit is set. The compiler must not know the value, or it may branch on it. */
static unsigned mask_of(unsigned bits, unsigned bit)
{
	unsigned one = bits >> bit & 1;

	__asm__ volatile("" : "+r"(one));
	return 0U - one;
}

/* A product of polynomials, then its high bits taken off from above, one by one. */
uint8_t gf256_mul(uint8_t a, uint8_t b)
{
	unsigned product = 0;

	for (unsigned i = 0; i < BYTE_BITS; i++)
		product ^= mask_of(b, i) & ((unsigned)a << i);
	for (unsigned i = 2 * BYTE_BITS - 2; i >= BYTE_BITS; i--)
		product ^= mask_of(product, i) & ((unsigned)POLYNOMIAL << (i - BYTE_BITS));
	return (uint8_t)product;
}

/* a^254, since a^255 is 1 for all but 0: 254 has the bits 1 to 7. */
uint8_t gf256_inverse(uint8_t a)
{
	uint8_t power = a, out = 1;

	for (unsigned i = 1; i < BYTE_BITS; i++) {
		power = gf256_mul(power, power);
		out = gf256_mul(out, power);
	}
	return out;
}

bool shamir_possible(size_t k, size_t n)
{
	return k >= SHAMIR_MIN && k <= n && n <= SHAMIR_MAX;
}

/* Owners of up to SHAMIR_MAX secrets. */
struct row {
	struct secret *s[SHAMIR_MAX];
};

static void row_done(struct row *r)
{
	for (size_t i = 0; i < SHAMIR_MAX; i++)
		secret_free(&r->s[i]);
}

static kms_err row_fill(size_t n, struct row *r)
{
	for (size_t i = 0; i < n; i++)
		TRY(secret_new(SHAMIR_LEN, &r->s[i]));
	return KMS_OK;
}

/* y = y * x + c, for each byte: a step of Horner's rule. */
static void step(uint8_t *y, uint8_t x, struct bytes c)
{
	for (size_t i = 0; i < SHAMIR_LEN; i++)
		y[i] = gf256_mul(y[i], x) ^ c.p[i];
}

/* high: the coefficients of x^1 to x^(k-1); that of x^0 is the secret. */
static void evaluate(
    const struct secret *secret, const struct row *high, size_t k, uint8_t x, struct secret *out)
{
	uint8_t *y = secret_fill(out);

	for (size_t i = k - 1; i > 0; i--)
		step(y, x, secret_bytes(high->s[i - 1]));
	step(y, x, secret_bytes(secret));
}

kms_err shamir_split(const struct secret *secret, size_t k, size_t n, struct secret **out)
{
	AUTO(row_done) struct row high = { { NULL } };
	AUTO(row_done) struct row shares = { { NULL } };

	if (!shamir_possible(k, n))
		return KMS_E_SHARE_NUMBERS;
	if (secret_len(secret) != SHAMIR_LEN)
		return KMS_E_INTERNAL;
	TRY(row_fill(k - 1, &high));
	/* Zeros are as good as any: k - 1 shares must fit every secret. */
	for (size_t i = 0; i + 1 < k; i++)
		TRY(rand_bytes(secret_fill(high.s[i]), SHAMIR_LEN));
	TRY(row_fill(n, &shares));
	for (size_t i = 0; i < n; i++)
		evaluate(secret, &high, k, (uint8_t)(i + 1), shares.s[i]);
	for (size_t i = 0; i < n; i++)
		out[i] = MOVE(shares.s[i]);
	return KMS_OK;
}

static kms_err check_points(const struct shamir_point *points, size_t k)
{
	if (!shamir_possible(k, k))
		return KMS_E_SHARE_NUMBERS;
	for (size_t i = 0; i < k; i++) {
		if (points[i].x == 0 || points[i].x > SHAMIR_MAX)
			return KMS_E_BAD_REQUEST;
		if (secret_len(points[i].y) != SHAMIR_LEN)
			return KMS_E_INTERNAL;
		for (size_t j = 0; j < i; j++) {
			if (points[j].x == points[i].x)
				return KMS_E_SHARE_TWICE;
		}
	}
	return KMS_OK;
}

/* Lagrange's weight of point i at 0: the product of x_j / (x_j - x_i); minus is xor here. */
static uint8_t weight_of(const struct shamir_point *points, size_t k, size_t i)
{
	uint8_t over = 1, under = 1;

	for (size_t j = 0; j < k; j++) {
		if (j == i)
			continue;
		over = gf256_mul(over, points[j].x);
		under = gf256_mul(under, points[j].x ^ points[i].x);
	}
	return gf256_mul(over, gf256_inverse(under));
}

kms_err shamir_combine(const struct shamir_point *points, size_t k, struct secret **out)
{
	AUTO(secret_free) struct secret *sum = NULL;

	TRY(check_points(points, k));
	TRY(secret_new(SHAMIR_LEN, &sum));
	uint8_t *s = secret_fill(sum);
	for (size_t i = 0; i < k; i++) {
		const uint8_t *y = secret_bytes(points[i].y).p;
		uint8_t weight = weight_of(points, k, i);

		for (size_t b = 0; b < SHAMIR_LEN; b++)
			s[b] ^= gf256_mul(y[b], weight);
	}
	*out = MOVE(sum);
	return KMS_OK;
}
