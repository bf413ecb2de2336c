/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Base64 without tables that a secret would index: clear keys pass through here, so values and
 * characters are turned into each other by comparison.
 */
#include "kms/base/base64.h"

#include "kms/base/secret.h"

enum {
	GROUP_IN = 3,
	GROUP_OUT = 4,
	NOT_A_DIGIT = 64
};

/* All ones where lo <= x <= hi, else zero. */
static unsigned between(unsigned x, unsigned lo, unsigned hi)
{
	return ((lo - 1 - x) & (x - hi - 1)) >> 31 != 0 ? ~0U : 0U;
}

static uint8_t digit_of(unsigned value)
{
	unsigned c = (between(value, 0, 25) & (value + 'A')) |
	             (between(value, 26, 51) & (value - 26 + 'a')) |
	             (between(value, 52, 61) & (value - 52 + '0')) |
	             (between(value, 62, 62) & '+') | (between(value, 63, 63) & '/');

	return (uint8_t)c;
}

static unsigned value_of(uint8_t digit)
{
	unsigned c = digit;
	unsigned known = between(c, 'A', 'Z') | between(c, 'a', 'z') | between(c, '0', '9') |
	                 between(c, '+', '+') | between(c, '/', '/');
	unsigned value = (between(c, 'A', 'Z') & (c - 'A')) |
	                 (between(c, 'a', 'z') & (c - 'a' + 26)) |
	                 (between(c, '0', '9') & (c - '0' + 52)) | (between(c, '+', '+') & 62) |
	                 (between(c, '/', '/') & 63);

	return (known & value) | (~known & NOT_A_DIGIT);
}

static void encode_group(const uint8_t *in, size_t n, uint8_t out[static GROUP_OUT])
{
	unsigned x = (unsigned)in[0] << 16;

	if (n > 1)
		x |= (unsigned)in[1] << 8;
	if (n > 2)
		x |= in[2];
	out[0] = digit_of(x >> 18);
	out[1] = digit_of(x >> 12 & 63);
	out[2] = n > 1 ? digit_of(x >> 6 & 63) : '=';
	out[3] = n > 2 ? digit_of(x & 63) : '=';
}

kms_err base64_encode(struct bytes in, struct buf *out)
{
	TRY(buf_reserve(out, (in.n + GROUP_IN - 1) / GROUP_IN * GROUP_OUT));
	for (size_t i = 0; i < in.n; i += GROUP_IN) {
		encode_group(in.p + i, in.n - i, out->p + out->n);
		out->n += GROUP_OUT;
	}
	return KMS_OK;
}

static bool is_space(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* One group of four; *out_n is how many bytes it stands for. */
static bool decode_group(
    const uint8_t digits[static GROUP_OUT], uint8_t out[static GROUP_IN], size_t *out_n)
{
	unsigned padding = 0, x = 0;

	if (digits[3] == '=')
		padding = digits[2] == '=' ? 2 : 1;
	for (size_t i = 0; i < GROUP_OUT; i++) {
		unsigned v = i < GROUP_OUT - padding ? value_of(digits[i]) : 0;

		if (v == NOT_A_DIGIT)
			return false;
		x = x << 6 | v;
	}
	for (size_t i = 0; i < GROUP_IN; i++)
		out[i] = (uint8_t)(x >> (16 - 8 * i));
	*out_n = GROUP_IN - padding;
	return (x & ((1U << 8 * padding) - 1)) == 0;
}

static bool decode(struct bytes in, uint8_t *out, size_t *out_n)
{
	uint8_t digits[GROUP_OUT], bytes[GROUP_IN];
	size_t have = 0, last = GROUP_IN, n = 0;
	bool good = true;

	for (size_t i = 0; i < in.n && good; i++) {
		if (is_space(in.p[i]))
			continue;
		digits[have++] = in.p[i];
		if (have < GROUP_OUT)
			continue;
		/* Nothing follows a padded group. */
		good = last == GROUP_IN && decode_group(digits, bytes, &last);
		for (size_t k = 0; good && k < last; k++)
			out[n++] = bytes[k];
		have = 0;
	}
	wipe(digits, sizeof(digits));
	wipe(bytes, sizeof(bytes));
	*out_n = n;
	return good && have == 0;
}

kms_err base64_decode(struct bytes in, struct buf *out)
{
	size_t n;

	TRY(buf_reserve(out, in.n / GROUP_OUT * GROUP_IN));
	if (!decode(in, out->p + out->n, &n)) {
		wipe(out->p + out->n, in.n / GROUP_OUT * GROUP_IN);
		return KMS_E_BAD_REQUEST;
	}
	out->n += n;
	return KMS_OK;
}
