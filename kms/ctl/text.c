/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8 read strictly (RFC 3629), and which of its characters may reach a terminal. */
#include "kms/ctl/text.h"

#include <stdio.h>
#include <string.h>

enum {
	WORD_MAX = 31,
	FAR_AWAY = 99,
	ESCAPE_MAX = 16 /* "\u{10ffff}" and its end */
};

struct range {
	uint32_t first, last;
};

/* Controls, invisible ones, and those that turn the direction of what follows (UAX #9, UTS #39). */
static const struct range harmful[] = {
	{ 0x0000, 0x001f },
	{ 0x007f, 0x009f },
	{ 0x00ad, 0x00ad },
	{ 0x034f, 0x034f },
	{ 0x061c, 0x061c },
	{ 0x115f, 0x1160 },
	{ 0x17b4, 0x17b5 },
	{ 0x180b, 0x180f },
	{ 0x200b, 0x200f },
	{ 0x2028, 0x202e },
	{ 0x2060, 0x206f },
	{ 0x3164, 0x3164 },
	{ 0xe000, 0xf8ff },
	{ 0xfe00, 0xfe0f },
	{ 0xfeff, 0xfeff },
	{ 0xffa0, 0xffa0 },
	{ 0xfff0, 0xffff },
	{ 0xe0000, 0x10ffff },
};

static size_t sequence_length(uint8_t first)
{
	if (first < 0x80)
		return 1;
	if (first >= 0xc2 && first <= 0xdf)
		return 2;
	if (first >= 0xe0 && first <= 0xef)
		return 3;
	return first >= 0xf0 && first <= 0xf4 ? 4 : 0;
}

/* The bytes that the character at the beginning takes, 0 if it is not UTF-8. */
static size_t take_character(struct bytes in, uint32_t *out)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = sequence_length(in.p[0]);

	if (n == 0 || n > in.n)
		return 0;
	uint32_t c = n == 1 ? in.p[0] : in.p[0] & (0x7fU >> n);
	for (size_t i = 1; i < n; i++) {
		if ((in.p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (in.p[i] & 0x3f);
	}
	if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	*out = c;
	return n;
}

static bool is_harmful(uint32_t c)
{
	for (size_t i = 0; i < ARRAY_LEN(harmful); i++) {
		if (c >= harmful[i].first && c <= harmful[i].last)
			return true;
	}
	return false;
}

static kms_err put_escape(struct buf *out, bool byte, uint32_t value)
{
	char text[ESCAPE_MAX];
	int n = snprintf(text, sizeof(text), byte ? "\\x%02x" : "\\u{%x}", value);

	return buf_put(out, bytes_of(text, n > 0 ? (size_t)n : 0));
}

kms_err text_escape(struct bytes in, struct buf *out)
{
	while (in.n > 0) {
		uint32_t c = 0;
		size_t n = take_character(in, &c);

		if (n == 0)
			TRY(put_escape(out, true, in.p[0]));
		else if (is_harmful(c))
			TRY(put_escape(out, false, c));
		else if (c == '\\')
			TRY(buf_put(out, bytes_of_str("\\\\")));
		else
			TRY(buf_put(out, bytes_of(in.p, n)));
		n = n == 0 ? 1 : n;
		in = bytes_of(in.p + n, in.n - n);
	}
	return KMS_OK;
}

kms_err text_to_utf8(struct bytes in, struct buf *out)
{
	while (in.n > 0) {
		uint32_t c = 0;
		size_t n = take_character(in, &c);

		TRY(n == 0 ? buf_put(out, bytes_of_str("\xef\xbf\xbd"))
		           : buf_put(out, bytes_of(in.p, n)));
		n = n == 0 ? 1 : n;
		in = bytes_of(in.p + n, in.n - n);
	}
	return KMS_OK;
}

size_t text_width(struct bytes in)
{
	size_t n = 0;

	for (size_t i = 0; i < in.n; i++)
		n += (in.p[i] & 0xc0) != 0x80;
	return n;
}

void text_hex(struct bytes in, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < in.n; i++) {
		out[2 * i] = digits[in.p[i] >> 4];
		out[2 * i + 1] = digits[in.p[i] & 15];
	}
	out[2 * in.n] = '\0';
}

/* Levenshtein's distance, one row at a time. */
size_t text_distance(const char *a, const char *b)
{
	size_t row[WORD_MAX + 1];
	size_t n = strlen(a), m = strlen(b);

	if (n > WORD_MAX || m > WORD_MAX)
		return FAR_AWAY;
	for (size_t k = 0; k <= m; k++)
		row[k] = k;
	for (size_t i = 1; i <= n; i++) {
		size_t corner = row[0];

		row[0] = i;
		for (size_t k = 1; k <= m; k++) {
			size_t change = corner + (a[i - 1] != b[k - 1]);
			size_t edit = (row[k] < row[k - 1] ? row[k] : row[k - 1]) + 1;

			corner = row[k];
			row[k] = change < edit ? change : edit;
		}
	}
	return row[m];
}
