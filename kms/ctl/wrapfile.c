/* SPDX-License-Identifier: Apache-2.0 */
/* A wrapped key in binary begins with the byte 1, which no base64 text contains. */
#include "kms/ctl/wrapfile.h"

#include <stdlib.h>
#include <string.h>

#include "kms/base/base64.h"
#include "kms/ctl/file.h"

enum {
	INPUT_MAX = 64 << 20, /* some 500,000 wrapped keys in base64 */
	FORMAT = 1,
	HEAD_LEN = 24,
	SHORTEST = HEAD_LEN + 16 /* aes-256-kwp has neither nonce nor tag */
};

void wrapfile_done(struct wrapfile *f)
{
	buf_done(&f->raw);
	free(f->blobs);
	*f = (struct wrapfile){ .n = 0 };
}

static bool is_blank(struct bytes line)
{
	for (size_t i = 0; i < line.n; i++) {
		if (line.p[i] != ' ' && line.p[i] != '\t' && line.p[i] != '\r')
			return false;
	}
	return true;
}

/* Cuts the first line off. */
static struct bytes next_line(struct bytes *rest)
{
	const uint8_t *end = memchr(rest->p, '\n', rest->n);
	size_t n = end != NULL ? (size_t)(end - rest->p) : rest->n;
	size_t skip = end != NULL ? n + 1 : n;
	struct bytes line = bytes_of(rest->p, n);

	*rest = bytes_of(rest->p + skip, rest->n - skip);
	return line;
}

static size_t count_lines(struct bytes in)
{
	size_t n = 0;

	while (in.n > 0)
		n += !is_blank(next_line(&in));
	return n;
}

/* Each line that is whole base64 by itself. *out_all: every one of them looks like a wrapped key. */
static kms_err decode_lines(struct bytes in, struct buf *raw, size_t lengths[], bool *out_all)
{
	struct wrapped_head head;
	size_t n = 0;

	*out_all = true;
	while (in.n > 0) {
		struct bytes line = next_line(&in);
		size_t before = raw->n;

		if (is_blank(line))
			continue;
		TRY(base64_decode(line, raw));
		lengths[n] = raw->n - before;
		if (wrapped_head_read(bytes_of(raw->p + before, lengths[n]), &head) != KMS_OK)
			*out_all = false;
		n++;
	}
	return KMS_OK;
}

static kms_err take_blobs(struct wrapfile *f, const size_t lengths[], size_t n)
{
	const uint8_t *p = f->raw.p;

	f->blobs = calloc(n, sizeof(*f->blobs));
	if (f->blobs == NULL)
		return KMS_E_NO_MEMORY;
	f->n = n;
	for (size_t i = 0; i < n; i++) {
		f->blobs[i] = kms_bytes_of(p, lengths[i]);
		p += lengths[i];
	}
	return KMS_OK;
}

/* One key in base64 may be folded over several lines, as base64(1) does. */
static kms_err decode_text(struct bytes in, struct wrapfile *out, size_t lengths[], size_t n)
{
	bool all = false;

	kms_err e = decode_lines(in, &out->raw, lengths, &all);
	if (e == KMS_OK && (all || n == 1))
		return take_blobs(out, lengths, n);
	if (e == KMS_E_NO_MEMORY)
		return e;
	buf_clear(&out->raw);
	TRY(base64_decode(in, &out->raw));
	return take_blobs(out, &out->raw.n, 1);
}

kms_err wrapfile_parse(struct buf *in, struct wrapfile *out)
{
	AUTO(wrapfile_done) struct wrapfile f = { .n = 0 };
	size_t n = count_lines(buf_bytes(in));

	if (n == 0)
		return KMS_E_BAD_REQUEST;
	size_t *lengths = calloc(n, sizeof(*lengths));
	if (lengths == NULL)
		return KMS_E_NO_MEMORY;
	kms_err e = decode_text(buf_bytes(in), &f, lengths, n);
	free(lengths);
	if (e == KMS_E_BAD_REQUEST) {
		/* No base64: the bytes are what is meant, and kmsd judges them. */
		wrapfile_done(&f);
		f.raw = *in;
		*in = (struct buf){ .n = 0 };
		e = take_blobs(&f, &f.raw.n, 1);
	}
	TRY(e);
	*out = f;
	f = (struct wrapfile){ .n = 0 };
	return KMS_OK;
}

kms_err wrapfile_read(struct ctl *c, const char *path, struct wrapfile *out)
{
	AUTO(buf_done) struct buf raw = { .n = 0 };

	TRY(file_read(c, path, INPUT_MAX, &raw));
	kms_err e = wrapfile_parse(&raw, out);
	return e == KMS_E_BAD_REQUEST ? ctl_refuse(c, e, "the input is empty") : e;
}

kms_err wrapped_head_read(struct bytes blob, struct wrapped_head *out)
{
	struct wrapped_head h = { .format = 0 };
	struct reader r = reader_of(blob);

	h.format = read_u8(&r);
	uint8_t algorithm = read_u8(&r);
	uint16_t flags = read_u16(&r);
	read_into(&r, h.key.b, sizeof(h.key.b));
	h.version = read_u32(&r);
	if (r.failed || blob.n < SHORTEST || h.version == 0)
		return KMS_E_BAD_REQUEST;
	if (h.format == FORMAT + 1)
		return KMS_E_NEWER_FORMAT;
	if (h.format != FORMAT || flags != 0 || algorithm == ALG_NONE || algorithm >= ALG_COUNT)
		return KMS_E_BAD_REQUEST;
	h.algorithm = (enum algorithm)algorithm;
	*out = h;
	return KMS_OK;
}
