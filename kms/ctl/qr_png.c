/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A QR code as a PNG file. Whatever libpng and zlib take for rows and windows is wiped before it is
 * given back. libpng leaves by longjmp; that is kept inside of one function.
 */
#include <errno.h>
#include <fcntl.h>
#include <png.h>
#include <setjmp.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kms/base/secret.h"
#include "kms/ctl/file.h"
#include "kms/ctl/qr.h"

enum {
	SCALE = 8, /* pixels of a module: at one bit a pixel it is one byte of a row */
	ROW_MAX = QR_WIDTH_MAX + QR_MARGINS,
	DEPTH = 1,
	WHITE = 0xff,
	FILE_MODE = 0600
};

/* Memory that knows its size, so that it can be wiped. */
struct block {
	size_t n;
	alignas(max_align_t) uint8_t b[];
};

static png_voidp take(png_structp png, png_alloc_size_t n)
{
	(void)png;
	struct block *x = n > SIZE_MAX / 2 ? NULL : malloc(sizeof(*x) + n);

	if (x == NULL)
		return NULL;
	x->n = n;
	return x->b;
}

static void give_back(png_structp png, png_voidp p)
{
	(void)png;
	if (p == NULL)
		return;
	struct block *x = (struct block *)(void *)((uint8_t *)p - offsetof(struct block, b));
	wipe(x->b, x->n);
	free(x);
}

/* One writing of a file; errno of what failed, 0 where it was memory. */
struct writing {
	int fd;
	int error;
	png_structp png;
	png_infop info;
};

static void writing_done(struct writing *w)
{
	if (w->png != NULL)
		png_destroy_write_struct(&w->png, &w->info);
}

static void on_error(png_structp png, png_const_charp text)
{
	(void)text;
	png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp text)
{
	(void)png;
	(void)text;
}

static void write_some(png_structp png, png_bytep p, size_t n)
{
	struct writing *w = png_get_io_ptr(png);

	w->error = file_write_all(w->fd, bytes_of(p, n));
	if (w->error != 0)
		png_error(png, "");
}

static void flush_some(png_structp png)
{
	(void)png;
}

struct row {
	uint8_t b[ROW_MAX];
};

static void row_wipe(struct row *r)
{
	wipe(r, sizeof(*r));
}

static void fill_row(const struct qr *q, size_t row, struct row *out)
{
	for (size_t i = 0; i < q->width + QR_MARGINS; i++)
		out->b[i] = qr_dark(q, row - QR_QUIET, i - QR_QUIET) ? 0 : WHITE;
}

/* Nothing that is set behind setjmp is read after a jump. */
static kms_err write_image(struct writing *w, const struct qr *q)
{
	AUTO(row_wipe) struct row r;
	const size_t modules = q->width + QR_MARGINS;
	const png_uint_32 pixels = (png_uint_32)(modules * SCALE);

	if (setjmp(png_jmpbuf(w->png)) != 0)
		return w->error != 0 ? KMS_E_IO : KMS_E_NO_MEMORY;
	png_set_write_fn(w->png, w, write_some, flush_some);
	png_set_IHDR(w->png, w->info, pixels, pixels, DEPTH, PNG_COLOR_TYPE_GRAY,
	    PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
	png_write_info(w->png, w->info);
	for (size_t i = 0; i < modules * SCALE; i++) {
		fill_row(q, i / SCALE, &r);
		png_write_row(w->png, r.b);
	}
	png_write_end(w->png, NULL);
	return KMS_OK;
}

static kms_err write_png(int fd, const struct qr *q, int *out_error)
{
	AUTO(writing_done) struct writing w = { .fd = fd };

	w.png = png_create_write_struct_2(
	    PNG_LIBPNG_VER_STRING, NULL, on_error, on_warning, NULL, take, give_back);
	if (w.png != NULL)
		w.info = png_create_info_struct(w.png);
	if (w.info == NULL)
		return KMS_E_NO_MEMORY;
	kms_err e = write_image(&w, q);
	*out_error = w.error;
	TRY(e);
	if (fsync(fd) == 0)
		return KMS_OK;
	*out_error = errno;
	return KMS_E_IO;
}

kms_err qr_write_png(struct ctl *c, const struct qr *q, const char *path)
{
	int error = 0;
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);

	CHECK(q->width <= QR_WIDTH_MAX);
	if (fd < 0 && errno == EEXIST)
		return ctl_refuse(c, KMS_E_EXISTS, "%s", path);
	if (fd < 0)
		return ctl_refuse(c, KMS_E_IO, "%s: %s", path, strerrordesc_np(errno));
	kms_err e = write_png(fd, q, &error);
	if (close(fd) != 0 && e == KMS_OK) {
		e = KMS_E_IO;
		error = errno;
	}
	if (e == KMS_OK)
		return KMS_OK;
	(void)unlink(path);
	return error == 0 ? e : ctl_refuse(c, e, "%s: %s", path, strerrordesc_np(error));
}
