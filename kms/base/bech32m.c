/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checksum is a BCH code over GF(32), so the remainder of a wrong string is that of its mistakes
 * alone: trying each mistake of one character at each place finds the one that was made.
 */
#include "kms/base/bech32m.h"

#include <string.h>

#include "kms/base/secret.h"

enum {
	VALUE_BITS = 5,
	VALUES = 1 << VALUE_BITS,
	STATE_BITS = 30,
	FINAL = 0x2bc830a3, /* BIP-350: what sets it apart from Bech32 */
	PRINTABLE_FIRST = 33,
	PRINTABLE_LAST = 126,
	CASE_BIT = 'a' - 'A'
};

static const char charset[] = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";

void bech32m_wipe(struct bech32m *b)
{
	wipe(b, sizeof(*b));
}

void bech32m_text_wipe(struct bech32m_text *t)
{
	wipe(t, sizeof(*t));
}

/* All ones if a and b (below 2^31) are equal; the compiler must not know, or it may branch on it. */
static uint32_t mask_equal(uint32_t a, uint32_t b)
{
	uint32_t differ = a ^ b;

	__asm__ volatile("" : "+r"(differ));
	return 0U - ((differ - 1) >> 31 & 1);
}

static char char_of(uint8_t value)
{
	uint32_t c = 0;

	for (uint32_t i = 0; i < VALUES; i++)
		c |= mask_equal(i, value) & (uint8_t)charset[i];
	return (char)c;
}

/* VALUES or more for a character that stands for none. */
static uint8_t value_of(char small)
{
	uint32_t found = 0, value = 0;

	for (uint32_t i = 0; i < VALUES; i++) {
		uint32_t mask = mask_equal((uint8_t)charset[i], (uint8_t)small);

		found |= mask;
		value |= mask & i;
	}
	return (uint8_t)(value | (~found & VALUES));
}

/* One step of the division, BIP-173's polymod. */
static uint32_t step(uint32_t state, uint8_t value)
{
	static const uint32_t generator[VALUE_BITS] = { 0x3b6a57b2, 0x26508e6d, 0x1ea119fa,
		0x3d4233dd, 0x2a1462b3 };
	uint32_t top = state >> (STATE_BITS - VALUE_BITS);

	state = (state << VALUE_BITS & ((1U << STATE_BITS) - 1)) ^ value;
	for (uint32_t i = 0; i < VALUE_BITS; i++)
		state ^= mask_equal(top >> i & 1, 1) & generator[i];
	return state;
}

static uint32_t remainder_of(const struct bech32m *b)
{
	size_t hrp = strlen(b->hrp);
	uint32_t state = 1;

	for (size_t i = 0; i < hrp; i++)
		state = step(state, (uint8_t)b->hrp[i] >> VALUE_BITS);
	state = step(state, 0);
	for (size_t i = 0; i < hrp; i++)
		state = step(state, (uint8_t)b->hrp[i] & (VALUES - 1));
	for (size_t i = 0; i < b->n; i++)
		state = step(state, b->values[i]);
	return state;
}

static bool is_capital(char c)
{
	return c >= 'A' && c <= 'Z';
}

static bool is_small(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool hrp_valid(const char *hrp, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (hrp[i] < PRINTABLE_FIRST || hrp[i] > PRINTABLE_LAST || is_capital(hrp[i]))
			return false;
	}
	return n > 0;
}

kms_err bech32m_encode(const struct bech32m *in, struct bech32m_text *out)
{
	size_t hrp = strnlen(in->hrp, sizeof(in->hrp)), data = hrp + 1;
	AUTO(bech32m_wipe) struct bech32m whole = *in;

	if (hrp > BECH32M_HRP_MAX || in->n > BECH32M_MAX - data - BECH32M_SUM_LEN)
		return KMS_E_INTERNAL;
	if (!hrp_valid(in->hrp, hrp))
		return KMS_E_INTERNAL;
	uint8_t all = 0;
	for (size_t i = 0; i < in->n; i++)
		all |= in->values[i];
	if (all >= VALUES)
		return KMS_E_INTERNAL;

	memset(whole.values + in->n, 0, BECH32M_SUM_LEN);
	whole.n = in->n + BECH32M_SUM_LEN;
	uint32_t sum = remainder_of(&whole) ^ FINAL;
	for (size_t i = 0; i < BECH32M_SUM_LEN; i++) {
		size_t shift = VALUE_BITS * (BECH32M_SUM_LEN - 1 - i);
		whole.values[in->n + i] = sum >> shift & (VALUES - 1);
	}
	memcpy(out->s, in->hrp, hrp);
	out->s[hrp] = '1';
	for (size_t i = 0; i < whole.n; i++)
		out->s[data + i] = char_of(whole.values[i]);
	out->s[data + whole.n] = '\0';
	return KMS_OK;
}

/* The first letter says how the others should be; 0 if all are. */
static size_t find_mixed(struct bytes text)
{
	bool capitals = false, smalls = false;

	for (size_t i = 0; i < text.n; i++) {
		capitals |= is_capital((char)text.p[i]);
		smalls |= is_small((char)text.p[i]);
		if (capitals && smalls)
			return i + 1;
	}
	return 0;
}

static kms_err check_form(struct bytes text, size_t *out_at)
{
	*out_at = 0;
	if (text.n > BECH32M_MAX)
		return KMS_E_BAD_REQUEST;
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] >= PRINTABLE_FIRST && text.p[i] <= PRINTABLE_LAST)
			continue;
		*out_at = i + 1;
		return KMS_E_BAD_REQUEST;
	}
	*out_at = find_mixed(text);
	return *out_at == 0 ? KMS_OK : KMS_E_BAD_REQUEST;
}

static char small_of(uint8_t c)
{
	return (char)(is_capital((char)c) ? c + CASE_BIT : c);
}

/* The last 1 ends the readable part. 0 if there is none, or too little behind it. */
static size_t find_end_of_hrp(struct bytes text)
{
	size_t end = 0;

	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == '1')
			end = i;
	}
	return text.n - end > BECH32M_SUM_LEN ? end : 0;
}

static kms_err read_values(struct bytes text, size_t from, struct bech32m *b, size_t *out_at)
{
	for (size_t i = from; i < text.n; i++) {
		uint8_t value = value_of(small_of(text.p[i]));

		if (value >= VALUES) {
			*out_at = i + 1;
			return KMS_E_BAD_REQUEST;
		}
		b->values[b->n++] = value;
	}
	return KMS_OK;
}

/*
 * The place of the one mistake among the values that leaves this remainder; n if none does. Two
 * places can't: strings that keep the checksum differ in 5 characters or more.
 */
static size_t find_mistake(uint32_t remainder, size_t n)
{
	for (uint32_t mistake = 1; mistake < VALUES; mistake++) {
		uint32_t state = mistake;

		for (size_t at = n; at > 0; at--) {
			if (state == remainder)
				return at - 1;
			state = step(state, 0);
		}
	}
	return n;
}

kms_err bech32m_decode(struct bytes text, struct bech32m *out, size_t *out_at)
{
	AUTO(bech32m_wipe) struct bech32m b = { .n = 0 };

	TRY(check_form(text, out_at));
	size_t end = find_end_of_hrp(text);
	if (end == 0)
		return KMS_E_BAD_REQUEST;
	for (size_t i = 0; i < end; i++)
		b.hrp[i] = small_of(text.p[i]);
	TRY(read_values(text, end + 1, &b, out_at));

	uint32_t remainder = remainder_of(&b) ^ FINAL;
	if (remainder != 0) {
		size_t at = find_mistake(remainder, b.n);
		*out_at = at < b.n ? end + 1 + at + 1 : 0;
		return KMS_E_INTEGRITY;
	}
	b.n -= BECH32M_SUM_LEN;
	wipe(b.values + b.n, BECH32M_SUM_LEN);
	*out = b;
	return KMS_OK;
}

kms_err bech32m_put_bytes(struct bytes in, struct bech32m *b)
{
	unsigned held = 0, bits = 0;
	size_t n = 0;

	if (in.n > BECH32M_MAX * VALUE_BITS / 8)
		return KMS_E_INTERNAL;
	for (size_t i = 0; i < in.n; i++) {
		held = (held << 8 | in.p[i]) & 0xfff;
		for (bits += 8; bits >= VALUE_BITS; bits -= VALUE_BITS)
			b->values[n++] = held >> (bits - VALUE_BITS) & (VALUES - 1);
	}
	if (bits > 0)
		b->values[n++] = held << (VALUE_BITS - bits) & (VALUES - 1);
	b->n = n;
	return KMS_OK;
}

kms_err bech32m_get_bytes(const struct bech32m *b, size_t n, uint8_t *out)
{
	unsigned held = 0, bits = 0;
	size_t done = 0;

	if (b->n != (n * 8 + VALUE_BITS - 1) / VALUE_BITS)
		return KMS_E_BAD_REQUEST;
	for (size_t i = 0; i < b->n; i++) {
		held = (held << VALUE_BITS | b->values[i]) & 0xfff;
		bits += VALUE_BITS;
		if (bits < 8)
			continue;
		bits -= 8;
		out[done++] = (uint8_t)(held >> bits);
	}
	if ((held & ((1U << bits) - 1)) == 0)
		return KMS_OK;
	wipe(out, n);
	return KMS_E_BAD_REQUEST;
}
