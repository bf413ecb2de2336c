/* SPDX-License-Identifier: Apache-2.0 */
/* Columns are as wide as their widest cell; the last one is never padded. */
#include "kms/ctl/layout.h"

#include <string.h>

#include "kms/ctl/text.h"

enum {
	COLUMNS_MAX = 16,
	GAP = 2
};

static const char *const colors[] = {
	[OUT_PLAIN] = "",
	[OUT_GREEN] = "\x1b[32m",
	[OUT_YELLOW] = "\x1b[33m",
	[OUT_RED] = "\x1b[31m",
};

static kms_err put_spaces(struct buf *to, size_t n)
{
	for (; n > 0; n--)
		TRY(buf_put_u8(to, ' '));
	return KMS_OK;
}

/* The value in its colour; empty ones show as a dash, so that columns can be counted. */
static kms_err put_value(const struct out_field *f, const struct style *style, struct buf *to)
{
	bool paint = style->color && f->color != OUT_PLAIN;

	if (paint)
		TRY(buf_put(to, bytes_of_str(colors[f->color])));
	TRY(buf_put(to, f->value.n > 0 ? buf_bytes(&f->value) : bytes_of_str("-")));
	return paint ? buf_put(to, bytes_of_str("\x1b[0m")) : KMS_OK;
}

static size_t value_width(const struct out_field *f)
{
	return f->value.n > 0 ? text_width(buf_bytes(&f->value)) : 1;
}

static kms_err put_fields(const struct out *o, const struct style *style, struct buf *to)
{
	size_t widest = 0;

	for (size_t i = 0; i < o->field_n; i++) {
		size_t n = strlen(o->fields[i].label);
		widest = n > widest ? n : widest;
	}
	for (size_t i = 0; i < o->field_n; i++) {
		const struct out_field *f = &o->fields[i];

		TRY(put_spaces(to, o->title.n > 0 ? GAP : 0));
		TRY(buf_put(to, bytes_of_str(f->label)));
		TRY(put_spaces(to, widest + GAP - strlen(f->label)));
		TRY(put_value(f, style, to));
		TRY(buf_put_u8(to, '\n'));
	}
	return KMS_OK;
}

static size_t columns_of(const struct out *o)
{
	size_t n = o->row_n > 0 ? o->rows[0]->field_n : 0;

	return n < COLUMNS_MAX ? n : COLUMNS_MAX;
}

static void measure(const struct out *o, size_t columns, size_t widths[static COLUMNS_MAX])
{
	for (size_t k = 0; k < columns; k++)
		widths[k] = strlen(o->rows[0]->fields[k].label);
	for (size_t i = 0; i < o->row_n; i++) {
		for (size_t k = 0; k < columns && k < o->rows[i]->field_n; k++) {
			size_t n = value_width(&o->rows[i]->fields[k]);
			widths[k] = n > widths[k] ? n : widths[k];
		}
	}
}

static kms_err put_head(
    const struct out *o, size_t columns, const size_t widths[static COLUMNS_MAX], struct buf *to)
{
	for (size_t k = 0; k < columns; k++) {
		const char *label = o->rows[0]->fields[k].label;

		TRY(buf_put(to, bytes_of_str(label)));
		if (k + 1 < columns)
			TRY(put_spaces(to, widths[k] + GAP - strlen(label)));
	}
	return buf_put_u8(to, '\n');
}

static kms_err put_row(const struct out *row, const struct style *style,
    const size_t widths[static COLUMNS_MAX], struct buf *to)
{
	size_t columns = row->field_n < COLUMNS_MAX ? row->field_n : COLUMNS_MAX;

	for (size_t k = 0; k < columns; k++) {
		TRY(put_value(&row->fields[k], style, to));
		if (k + 1 < columns)
			TRY(put_spaces(to, widths[k] + GAP - value_width(&row->fields[k])));
	}
	return buf_put_u8(to, '\n');
}

static kms_err put_table(const struct out *o, const struct style *style, struct buf *to)
{
	size_t widths[COLUMNS_MAX] = { 0 };
	size_t columns = columns_of(o);

	if (columns == 0)
		return KMS_OK;
	if (o->field_n > 0)
		TRY(buf_put_u8(to, '\n'));
	measure(o, columns, widths);
	TRY(put_head(o, columns, widths, to));
	for (size_t i = 0; i < o->row_n; i++)
		TRY(put_row(o->rows[i], style, widths, to));
	return KMS_OK;
}

kms_err layout_text(const struct out *o, const struct style *style, struct buf *to)
{
	if (o->title.n > 0) {
		TRY(buf_put(to, buf_bytes(&o->title)));
		TRY(buf_put_u8(to, '\n'));
	}
	TRY(put_fields(o, style, to));
	return put_table(o, style, to);
}

kms_err layout_names(const struct out *o, struct buf *to)
{
	if (o->name.n > 0) {
		TRY(buf_put(to, buf_bytes(&o->name)));
		TRY(buf_put_u8(to, '\n'));
	}
	for (size_t i = 0; i < o->row_n; i++)
		TRY(layout_names(o->rows[i], to));
	return KMS_OK;
}
