/* SPDX-License-Identifier: Apache-2.0 */
/*
 * QR codes of shares: for a terminal, and as a picture to print. A code is as secret as its text, so
 * it lives in the caller's own memory, which is wiped, and a file of it is the owner's alone. What
 * libqrencode uses inside is not wiped by it: the process that draws should end soon.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/ctl/ctl.h"

enum {
	QR_TEXT_MAX = 90,  /* characters: a Bech32m string */
	QR_WIDTH_MAX = 41, /* modules, as the squares are called: version 6 */
	QR_QUIET = 4,      /* light modules around: ISO/IEC 18004 asks for them */
	QR_MARGINS = 8,    /* on both sides */
	QR_PICTURE_MAX = 8192
};

struct qr {
	size_t width; /* modules */
	uint8_t dark[QR_WIDTH_MAX * QR_WIDTH_MAX];
};
void qr_wipe(struct qr *q);

/*
 * Capitals, digits and " $%*+-./:" alone, for which a QR code has a dense form; 15 % of the code may
 * be lost. KMS_E_BAD_REQUEST for another text, KMS_E_NO_MEMORY.
 */
MUST_USE kms_err qr_encode(const char *text, struct qr *out);
/* Whether a module is dark; those around the code are light. Rows and columns from 0. */
bool qr_dark(const struct qr *q, size_t row, size_t column);

/* What is drawn with. */
enum qr_ink {
	QR_COLOUR,       /* sets black and white itself: for every terminal that has colours */
	QR_DARK_LETTERS, /* for paper, and for terminals with dark letters on light ground */
	QR_LIGHT_LETTERS /* for terminals with light letters on dark ground */
};

/* Lines of UTF-8, each with its end; s is terminated. */
struct qr_picture {
	char s[QR_PICTURE_MAX];
	size_t n;
};
void qr_picture_wipe(struct qr_picture *p);

/* Two modules stand in one character, one above the other: a share takes 21 lines of 41. */
void qr_draw(const struct qr *q, enum qr_ink ink, struct qr_picture *out);
/*
 * Makes a new file, mode 0600, and puts it onto the disk. KMS_E_EXISTS if there is anything of that
 * name, a link too; KMS_E_IO, and then nothing is left there.
 */
MUST_USE kms_err qr_write_png(struct ctl *c, const struct qr *q, const char *path);
