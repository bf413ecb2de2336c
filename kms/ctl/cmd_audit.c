/* SPDX-License-Identifier: Apache-2.0 */
/* audit tail and show: records as kmsd gives them, decoded here. */
#include <stdlib.h>
#include <string.h>

#include "kms/audit/record.h"
#include "kms/ctl/ctl.h"
#include "kms/ctl/keynames.h"
#include "kms/ctl/recordview.h"

enum {
	LINES_USUAL = 50,
	PAGE = 1000 /* records in one answer */
};

/* Where tail stands. */
struct tail {
	uint64_t next; /* the record to ask for */
	uint64_t size; /* of the log */
	struct keynames names;
};

static void tail_done(struct tail *t)
{
	keynames_done(&t->names);
}

static kms_err print_record(struct ctl *c, struct bytes raw, struct record_item *items,
    struct keynames *names, struct buf *to)
{
	AUTO(out_done) struct out o = { .field_n = 0 };
	struct record r;

	TRY(record_decode(raw, items, &r));
	const char *key = keynames_find(names, c, &r.key);
	recordview_put(&o, &r, key);
	if (!c->style.json)
		TRY(recordview_line(&o, &r, key));
	return out_print(&o, &c->style, to);
}

static kms_err print_records(
    struct ctl *c, const struct kms_records *records, struct keynames *names)
{
	AUTO(buf_done) struct buf text = { .n = 0 };
	struct record_item *items = calloc(BATCH_MAX, sizeof(*items));
	kms_err e = items != NULL ? KMS_OK : KMS_E_NO_MEMORY;

	keynames_begin(names);
	for (size_t i = 0; e == KMS_OK && i < records->n; i++)
		e = print_record(
		    c, bytes_of(records->records[i].p, records->records[i].n), items, names, &text);
	free(items);
	TRY(e);
	return ctl_write(c, buf_bytes(&text));
}

/* At most `limit` records; the next page begins behind them. */
static kms_err tail_page(struct ctl *c, struct tail *t, uint32_t limit, bool wait)
{
	AUTO(kms_result_free) struct kms_result *r = NULL;

	TRY(ctl_ask(c, kms_audit_read(c->kms, t->next, limit, wait, &r)));
	const struct kms_records *records = kms_result_records(r);
	TRY(print_records(c, records, &t->names));
	t->size = records->size;
	if (records->n > 0)
		t->next = records->first + records->n;
	return KMS_OK;
}

/* Where the last `lines` records begin. */
static kms_err find_start(struct ctl *c, uint64_t lines, uint64_t *out)
{
	AUTO(kms_result_free) struct kms_result *r = NULL;

	TRY(ctl_ask(c, kms_audit_read(c->kms, KMS_AUDIT_LAST, 1, false, &r)));
	uint64_t size = kms_result_records(r)->size;
	*out = size > lines ? size - lines : 0;
	return KMS_OK;
}

/* The first answer for few lines: exact, where a start that was asked for first would be late. */
static kms_err tail_first(struct ctl *c, struct tail *t, uint64_t lines)
{
	t->next = KMS_AUDIT_LAST;
	if (lines > 0 && lines <= PAGE)
		return tail_page(c, t, (uint32_t)lines, false);

	TRY(find_start(c, lines, &t->next));
	uint64_t end = t->next + lines;
	while (t->next < end) {
		uint64_t left = end - t->next, before = t->next;
		TRY(tail_page(c, t, (uint32_t)(left < PAGE ? left : PAGE), false));
		if (t->next == before || t->next >= t->size)
			break;
	}
	return KMS_OK;
}

kms_err cmd_audit_tail(struct ctl *c)
{
	AUTO(tail_done) struct tail t = { .next = 0 };
	uint64_t lines = c->args.given[OPT_LINES] ? c->args.number[OPT_LINES] : LINES_USUAL;

	TRY(ctl_connect(c));
	TRY(tail_first(c, &t, lines));
	if (!c->args.given[OPT_FOLLOW])
		return KMS_OK;
	/* An empty log tells no place; it begins with 0. */
	if (t.next == KMS_AUDIT_LAST)
		t.next = 0;
	for (;;)
		TRY(tail_page(c, &t, PAGE, true));
}

kms_err cmd_audit_show(struct ctl *c)
{
	AUTO(kms_result_free) struct kms_result *r = NULL;
	AUTO(out_done) struct out o = { .field_n = 0 };
	AUTO(keynames_done) struct keynames names = { .n = 0 };
	struct record record;
	uint64_t seq;

	if (args_number(c->args.operands[0], &seq) != KMS_OK || seq == KMS_AUDIT_LAST)
		return ctl_usage(c, "a record has a number, not \"%.32s\"", c->args.operands[0]);
	TRY(ctl_connect(c));
	TRY(ctl_ask(c, kms_audit_read(c->kms, seq, 1, false, &r)));
	const struct kms_records *records = kms_result_records(r);
	if (records->n == 0)
		return ctl_refuse(
		    c, KMS_E_NOT_FOUND, "the log has %ju records", (uintmax_t)records->size);

	struct bytes raw = bytes_of(records->records[0].p, records->records[0].n);
	struct record_item *items = calloc(BATCH_MAX, sizeof(*items));
	if (items == NULL)
		return KMS_E_NO_MEMORY;
	kms_err e = record_decode(raw, items, &record);
	if (e == KMS_OK)
		recordview_put(&o, &record, keynames_find(&names, c, &record.key));
	free(items);
	TRY(e);
	out_base64(&o, "record", "record", raw);
	return ctl_print(c, &o);
}
