/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shares to lines and back. What tells a slip of the pen from something else altogether is how the
 * line begins, since a checksum that fails says the same of both.
 */
#include "kms/seal/share_text.h"

#include <string.h>

#include "kms/base/bech32m.h"

enum {
	PREFIX_LEN = 4,
	PAYLOAD_LEN = 1 + SHARE_SET_LEN + 3 + SHARE_VALUE_LEN,
	VALUE_AT = PAYLOAD_LEN - SHARE_VALUE_LEN,
	LETTER_BIT = 6, /* set in each letter of ASCII and in no digit */
	CASE_SHIFT = 5
};

static const char hrp[] = "kms";
static const char prefix[PREFIX_LEN + 1] = "kms1";

static_assert(PREFIX_LEN + PAYLOAD_LEN * 8 / 5 + BECH32M_SUM_LEN == SHARE_TEXT_LEN &&
                  PAYLOAD_LEN * 8 % 5 == 0 && (int)SHARE_TEXT_LEN <= (int)BECH32M_MAX,
    "a share fills its line");

struct payload {
	uint8_t b[PAYLOAD_LEN];
};

static void payload_wipe(struct payload *p)
{
	wipe(p, sizeof(*p));
}

void share_text_wipe(struct share_text *t)
{
	wipe(t, sizeof(*t));
}

static bool numbers_valid(const struct share *s)
{
	return s->k >= 2 && s->k <= s->n && s->n <= SHARES_MAX && s->x >= 1 && s->x <= s->n;
}

static void pack(const struct share *s, struct payload *out)
{
	uint8_t *p = out->b;

	*p++ = SHARE_TEXT_VERSION;
	memcpy(p, s->set, SHARE_SET_LEN);
	p += SHARE_SET_LEN;
	*p++ = s->k;
	*p++ = s->n;
	*p++ = s->x;
	memcpy(p, secret_bytes(s->value).p, SHARE_VALUE_LEN);
}

kms_err share_text_encode(const struct share *s, struct share_text *out)
{
	AUTO(payload_wipe) struct payload p;
	AUTO(bech32m_wipe) struct bech32m b = { .n = 0 };
	AUTO(bech32m_text_wipe) struct bech32m_text small;

	if (!numbers_valid(s) || secret_len(s->value) != SHARE_VALUE_LEN)
		return KMS_E_INTERNAL;
	pack(s, &p);
	memcpy(b.hrp, hrp, sizeof(hrp));
	TRY(bech32m_put_bytes(bytes_of(p.b, sizeof(p.b)), &b));
	TRY(bech32m_encode(&b, &small));
	for (size_t i = 0; i < SHARE_TEXT_LEN; i++) {
		unsigned c = (uint8_t)small.s[i];
		out->s[i] = (char)(c - ((c >> LETTER_BIT & 1) << CASE_SHIFT));
	}
	out->s[SHARE_TEXT_LEN] = '\0';
	return KMS_OK;
}

/* What was typed, without separators. */
struct line {
	uint8_t c[BECH32M_MAX];
	size_t n; /* also those beyond, which are not kept */
};

static void line_wipe(struct line *l)
{
	wipe(l, sizeof(*l));
}

static bool is_separator(uint8_t c)
{
	return c == ' ' || c == '-' || (c >= '\t' && c <= '\r');
}

static void gather(struct bytes typed, struct line *out)
{
	out->n = 0;
	for (size_t i = 0; i < typed.n; i++) {
		if (is_separator(typed.p[i]))
			continue;
		if (out->n < sizeof(out->c))
			out->c[out->n] = typed.p[i];
		out->n++;
	}
}

/*
 * Whether it was meant to be a share: it begins like one, or it is as long as one and a single
 * character of its beginning is wrong, which *out_at then names.
 */
static bool begins_like_one(const struct line *l, size_t *out_at)
{
	size_t wrong = 0;

	if (l->n < PREFIX_LEN)
		return false;
	for (size_t i = 0; i < PREFIX_LEN; i++) {
		uint8_t small = l->c[i] >= 'A' && l->c[i] <= 'Z' ? l->c[i] | 0x20 : l->c[i];

		if (small == (uint8_t)prefix[i])
			continue;
		wrong++;
		*out_at = i + 1;
	}
	return wrong == 0 || (wrong == 1 && l->n == SHARE_TEXT_LEN);
}

/* A second 1 would be taken for the end of the readable part. 0 if there is none. */
static size_t find_one(const struct line *l)
{
	for (size_t i = PREFIX_LEN; i < l->n; i++) {
		if (l->c[i] == '1')
			return i + 1;
	}
	return 0;
}

/* From a line to values that the checksum holds for. */
static kms_err read_line(const struct line *l, struct bech32m *out, size_t *out_at)
{
	if (!begins_like_one(l, out_at)) {
		*out_at = 0;
		return KMS_E_SHARE_FORM;
	}
	if (*out_at != 0 || l->n > sizeof(l->c))
		return KMS_E_SHARE_TYPO;
	*out_at = find_one(l);
	if (*out_at != 0)
		return KMS_E_SHARE_TYPO;
	kms_err e = bech32m_decode(bytes_of(l->c, l->n), out, out_at);
	/* Where one is missing or too many, a place would be named by chance. */
	if (e == KMS_E_INTEGRITY && l->n != SHARE_TEXT_LEN)
		*out_at = 0;
	return e == KMS_OK ? KMS_OK : KMS_E_SHARE_TYPO;
}

static kms_err unpack(const struct payload *p, struct share *out)
{
	struct reader r = reader_of(bytes_of(p->b, sizeof(p->b)));
	struct share s = { .value = NULL };

	(void)read_u8(&r);
	read_into(&r, s.set, SHARE_SET_LEN);
	s.k = read_u8(&r);
	s.n = read_u8(&r);
	s.x = read_u8(&r);
	if (!numbers_valid(&s))
		return KMS_E_SHARE_FORM;
	TRY(secret_from(bytes_of(p->b + VALUE_AT, SHARE_VALUE_LEN), &s.value));
	*out = s;
	return KMS_OK;
}

/* The version is the first byte of every version to come, whatever follows. */
static kms_err check_version(const struct bech32m *b)
{
	uint8_t version = b->n < 2 ? 0 : (uint8_t)(b->values[0] << 3 | b->values[1] >> 2);

	if (version == 0)
		return KMS_E_SHARE_FORM;
	return version > SHARE_TEXT_VERSION ? KMS_E_NEWER_FORMAT : KMS_OK;
}

kms_err share_text_decode(struct bytes typed, struct share *out, struct share_slip *out_slip)
{
	AUTO(line_wipe) struct line l;
	AUTO(bech32m_wipe) struct bech32m b = { .n = 0 };
	AUTO(payload_wipe) struct payload p;

	*out_slip = (struct share_slip){ .at = 0 };
	if (typed.n > SHARE_TYPED_MAX)
		return KMS_E_SHARE_FORM;
	gather(typed, &l);
	out_slip->typed = l.n;
	TRY(read_line(&l, &b, &out_slip->at));
	TRY(check_version(&b));
	if (bech32m_get_bytes(&b, sizeof(p.b), p.b) != KMS_OK)
		return KMS_E_SHARE_FORM;
	return unpack(&p, out);
}
