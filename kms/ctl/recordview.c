/* SPDX-License-Identifier: Apache-2.0 */
/* Zeros mean "none" in a record, so zero fields are left out. */
#include "kms/ctl/recordview.h"

#include <stdio.h>

#include "kms/base/clock.h"
#include "kms/ctl/text.h"

enum {
	LINE_LEN = 160,
	ID_SHOWN = 4 /* bytes of a key's id that a line shows */
};

const char *recordview_result(kms_err e)
{
	return e == KMS_OK ? "ok" : err_name(e);
}

static bool is_zero(struct bytes x)
{
	for (size_t i = 0; i < x.n; i++) {
		if (x.p[i] != 0)
			return false;
	}
	return true;
}

static void put_hex(struct out *o, const char *name, const char *label, const uint8_t *p, size_t n)
{
	struct bytes x = bytes_of(p, n);

	if (!is_zero(x))
		out_hex(o, name, label, x);
}

static void put_text(struct out *o, const char *name, const char *label, struct bytes x)
{
	if (x.n > 0)
		out_text(o, name, label, x);
}

static void put_u64(struct out *o, const char *name, const char *label, uint64_t x)
{
	if (x > 0)
		out_u64(o, name, label, x);
}

static void put_who(struct out *o, const struct record *r)
{
	out_u64(o, "seq", "record", r->seq);
	out_time(o, "time", "time", r->time_us);
	out_text(o, "identity", "identity", r->identity);
	put_text(o, "asserted", "asserted", r->asserted);
	put_text(o, "source", "source", r->source);
	put_text(o, "subject", "subject", r->subject);
	put_text(o, "purpose", "purpose", r->purpose);
}

static void put_what(struct out *o, const struct record *r, const char *key)
{
	out_str(o, "op", "operation", op_name(r->op));
	out_str(o, "result", "result", recordview_result(r->result));
	out_paint(o, r->result == KMS_OK ? OUT_GREEN : OUT_RED);
	put_text(o, "detail", "detail", r->detail);
	if (key != NULL)
		out_str(o, "key", "key", key);
	put_hex(o, "id", "key id", r->key.b, sizeof(r->key.b));
	put_text(o, "class", "class", r->key_class);
	put_u64(o, "version", "version", r->version);
	put_u64(o, "batch", "items", r->batch);
	if (r->new_state != STATE_NONE)
		out_str(o, "state", "new state", state_name(r->new_state));
}

static void put_proof(struct out *o, const struct record *r)
{
	put_u64(o, "epoch", "epoch", r->epoch);
	put_u64(o, "counter", "counter", r->counter);
	put_hex(o, "set_digest", "store digest", r->set_digest, sizeof(r->set_digest));
	put_hex(
	    o, "context_digest", "context digest", r->context_digest, sizeof(r->context_digest));
	put_hex(o, "tag", "tag", r->tag, sizeof(r->tag));
	put_hex(o, "boot", "boot", r->boot, sizeof(r->boot));
	out_u64(o, "latency_us", "latency, µs", r->latency_us);
}

static void put_items(struct out *o, const struct record *r)
{
	if (r->item_n == 0)
		return;
	out_table(o, "items");
	for (size_t i = 0; i < r->item_n; i++) {
		const struct record_item *item = &r->items[i];
		struct out *row = out_row(o);

		out_u64(row, NULL, "ITEM", i);
		out_str(row, "result", "RESULT", recordview_result(item->result));
		out_u64(row, "version", "VERSION", item->version);
		out_hex(row, "tag", "TAG", bytes_of(item->tag, sizeof(item->tag)));
	}
}

void recordview_put(struct out *o, const struct record *r, const char *key)
{
	put_who(o, r);
	put_what(o, r, key);
	put_proof(o, r);
	put_items(o, r);
}

static kms_err put_named(struct buf *line, const char *name, struct bytes value)
{
	if (value.n == 0)
		return KMS_OK;
	TRY(buf_put(line, bytes_of_str(name)));
	return text_escape(value, line);
}

static kms_err make_line(const struct record *r, const char *key, struct buf *line)
{
	char time[CLOCK_TEXT_LEN], id[2 * ID_SHOWN + 1] = "-", text[LINE_LEN];
	bool has_key = !is_zero(bytes_of(r->key.b, sizeof(r->key.b)));

	clock_format(r->time_us, time);
	if (has_key)
		text_hex(bytes_of(r->key.b, ID_SHOWN), id);
	(void)snprintf(text, sizeof(text), "%6ju  %s  %-12s  %-15s  ", (uintmax_t)r->seq, time,
	    recordview_result(r->result), op_name(r->op));
	TRY(buf_put(line, bytes_of_str(text)));
	TRY(text_escape(r->identity, line));
	if (has_key) {
		(void)snprintf(text, sizeof(text), "  key=%s.%u", key != NULL ? key : id,
		    (unsigned)r->version);
		TRY(buf_put(line, bytes_of_str(text)));
	}
	if (r->batch > 1) {
		(void)snprintf(text, sizeof(text), "  items=%u", (unsigned)r->batch);
		TRY(buf_put(line, bytes_of_str(text)));
	}
	TRY(put_named(line, "  for=", r->asserted));
	TRY(put_named(line, "  subject=", r->subject));
	TRY(put_named(line, "  purpose=", r->purpose));
	return put_named(line, "  detail=", r->detail);
}

kms_err recordview_line(struct out *o, const struct record *r, const char *key)
{
	AUTO(buf_done) struct buf line = { .n = 0 };

	TRY(make_line(r, key, &line));
	out_bare(o, buf_bytes(&line));
	return KMS_OK;
}
