/* SPDX-License-Identifier: Apache-2.0 */
/* From text to modules by libqrencode, and from modules to characters of a terminal. */
#include "kms/ctl/qr.h"

#include <errno.h>
#include <qrencode.h>
#include <string.h>

#include "kms/base/secret.h"

enum {
	ANY_VERSION = 0,
	MODULE_DARK = 1 /* qrencode.h: the lowest bit of a module */
};

void qr_wipe(struct qr *q)
{
	wipe(q, sizeof(*q));
}

void qr_picture_wipe(struct qr_picture *p)
{
	wipe(p, sizeof(*p));
}

static void code_free(QRcode **c)
{
	if (*c == NULL)
		return;
	wipe((*c)->data, (size_t)(*c)->width * (size_t)(*c)->width);
	QRcode_free(*c);
	*c = NULL;
}

static void input_free(QRinput **i)
{
	if (*i != NULL)
		QRinput_free(*i);
	*i = NULL;
}

static kms_err translate(int error)
{
	return error == ENOMEM ? KMS_E_NO_MEMORY : KMS_E_BAD_REQUEST;
}

static kms_err encode(const char *text, size_t n, QRcode **out)
{
	AUTO(input_free) QRinput *input = QRinput_new2(ANY_VERSION, QR_ECLEVEL_M);

	if (input == NULL)
		return translate(errno);
	if (QRinput_append(input, QR_MODE_AN, (int)n, (const unsigned char *)text) != 0)
		return translate(errno);
	*out = QRcode_encodeInput(input);
	return *out != NULL ? KMS_OK : translate(errno);
}

kms_err qr_encode(const char *text, struct qr *out)
{
	AUTO(code_free) QRcode *code = NULL;
	size_t n = strnlen(text, QR_TEXT_MAX + 1);

	if (n == 0 || n > QR_TEXT_MAX)
		return KMS_E_BAD_REQUEST;
	TRY(encode(text, n, &code));
	size_t width = (size_t)code->width;
	if (width > QR_WIDTH_MAX)
		return KMS_E_BAD_REQUEST;
	out->width = width;
	for (size_t i = 0; i < width * width; i++)
		out->dark[i] = code->data[i] & MODULE_DARK;
	return KMS_OK;
}

bool qr_dark(const struct qr *q, size_t row, size_t column)
{
	return row < q->width && column < q->width && q->dark[row * q->width + column] != 0;
}

static void put(struct qr_picture *p, const char *s)
{
	size_t n = strlen(s);

	CHECK(n < sizeof(p->s) - p->n);
	memcpy(p->s + p->n, s, n + 1);
	p->n += n;
}

/* Counted from the corner of the quiet zone: what lies before the code wraps to far beyond it. */
static bool inked(const struct qr *q, enum qr_ink ink, size_t row, size_t column)
{
	return qr_dark(q, row - QR_QUIET, column - QR_QUIET) != (ink == QR_LIGHT_LETTERS);
}

static void draw_line(const struct qr *q, enum qr_ink ink, size_t row, struct qr_picture *out)
{
	/* Space, lower half, upper half, full block. */
	static const char *const glyphs[] = { " ", "\u2584", "\u2580", "\u2588" };

	if (ink == QR_COLOUR)
		put(out, "\033[30;107m");
	for (size_t column = 0; column < q->width + QR_MARGINS; column++) {
		unsigned upper = inked(q, ink, row, column);
		unsigned lower = inked(q, ink, row + 1, column);

		put(out, glyphs[upper << 1 | lower]);
	}
	if (ink == QR_COLOUR)
		put(out, "\033[0m");
	put(out, "\n");
}

void qr_draw(const struct qr *q, enum qr_ink ink, struct qr_picture *out)
{
	CHECK(q->width <= QR_WIDTH_MAX);
	out->n = 0;
	out->s[0] = '\0';
	for (size_t row = 0; row < q->width + QR_MARGINS; row += 2)
		draw_line(q, ink, row, out);
}
