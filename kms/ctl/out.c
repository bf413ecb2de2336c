/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Building an object: each field is kept twice, as JSON and as escaped text, since only the end
 * knows which is wanted. How text is laid out is layout.c's.
 */
#include "kms/ctl/out.h"

#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kms/base/base64.h"
#include "kms/base/clock.h"
#include "kms/ctl/layout.h"
#include "kms/ctl/text.h"

enum {
	NUMBER_LEN = 24,
	TITLE_MAX = 512
};

/* Rows and children have none of their own, so this goes one level deep. */
void out_done(struct out *o)
{
	for (size_t i = 0; i < o->field_n; i++)
		buf_done(&o->fields[i].value);
	for (size_t i = 0; i < o->row_n; i++) {
		out_done(o->rows[i]);
		free(o->rows[i]);
	}
	if (o->child != NULL)
		out_done(o->child);
	free(o->child);
	free(o->fields);
	free(o->rows);
	buf_done(&o->title);
	buf_done(&o->name);
	buf_done(&o->bare);
	buf_done(&o->secret);
	/* A row's object belongs to the list of its owner, which holds a reference of its own. */
	(void)json_object_put(o->json);
	*o = (struct out){ .field_n = 0 };
}

static void note(struct out *o, kms_err e)
{
	if (o->failed == KMS_OK)
		o->failed = e;
}

/* Takes `value`; NULL says that there was no memory for it. */
static void add_json(struct out *o, const char *name, struct json_object *value)
{
	if (o->json == NULL)
		o->json = json_object_new_object();
	if (o->json != NULL && value != NULL && json_object_object_add(o->json, name, value) == 0)
		return;
	(void)json_object_put(value);
	note(o, KMS_E_NO_MEMORY);
}

static struct buf *add_text(struct out *o, const char *label)
{
	struct out_field *more = reallocarray(o->fields, o->field_n + 1, sizeof(*more));

	if (more == NULL) {
		note(o, KMS_E_NO_MEMORY);
		return NULL;
	}
	o->fields = more;
	more[o->field_n] = (struct out_field){ .label = label };
	return &more[o->field_n++].value;
}

static struct json_object *json_text(struct bytes value)
{
	AUTO(buf_done) struct buf utf8 = { .n = 0 };

	if (text_to_utf8(value, &utf8) != KMS_OK)
		return NULL;
	return json_object_new_string_len(utf8.n > 0 ? (const char *)utf8.p : "", (int)utf8.n);
}

void out_text(struct out *o, const char *name, const char *label, struct bytes value)
{
	if (name != NULL)
		add_json(o, name, json_text(value));
	struct buf *text = label != NULL ? add_text(o, label) : NULL;
	if (text != NULL)
		note(o, text_escape(value, text));
}

void out_str(struct out *o, const char *name, const char *label, const char *value)
{
	out_text(o, name, label, bytes_of_str(value != NULL ? value : ""));
}

void out_u64(struct out *o, const char *name, const char *label, uint64_t value)
{
	char text[NUMBER_LEN];

	(void)snprintf(text, sizeof(text), "%ju", (uintmax_t)value);
	if (name != NULL)
		add_json(o, name, json_object_new_uint64(value));
	if (label != NULL)
		out_str(o, NULL, label, text);
}

void out_double(struct out *o, const char *name, double value)
{
	add_json(o, name, json_object_new_double(value));
}

void out_bool(struct out *o, const char *name, const char *label, bool value)
{
	if (name != NULL)
		add_json(o, name, json_object_new_boolean(value));
	if (label != NULL)
		out_str(o, NULL, label, value ? "yes" : "no");
}

void out_time(struct out *o, const char *name, const char *label, uint64_t wall_us)
{
	char text[CLOCK_TEXT_LEN];

	if (name != NULL) {
		clock_format_json(wall_us, text);
		out_str(o, name, NULL, text);
	}
	if (label != NULL) {
		clock_format(wall_us, text);
		out_str(o, NULL, label, text);
	}
}

void out_hex(struct out *o, const char *name, const char *label, struct bytes value)
{
	AUTO(buf_done) struct buf hex = { .n = 0 };

	kms_err e = buf_reserve(&hex, 2 * value.n + 1);
	note(o, e);
	if (e != KMS_OK)
		return;
	text_hex(value, (char *)hex.p);
	out_text(o, name, label, bytes_of(hex.p, 2 * value.n));
}

void out_base64(struct out *o, const char *name, const char *label, struct bytes value)
{
	AUTO(buf_done) struct buf text = { .n = 0 };

	note(o, base64_encode(value, &text));
	out_text(o, name, label, buf_bytes(&text));
}

static void put_pair(struct out *o, struct buf *text, const struct kms_pair *pair)
{
	if (text->n > 0)
		note(o, buf_put(text, bytes_of_str(" ")));
	note(o, text_escape(bytes_of_str(pair->name), text));
	note(o, buf_put(text, bytes_of_str("=")));
	note(o, text_escape(bytes_of(pair->value.p, pair->value.n), text));
}

void out_context(
    struct out *o, const char *name, const char *label, const struct kms_context *context)
{
	struct json_object *map = json_object_new_object();
	struct buf *text = label != NULL ? add_text(o, label) : NULL;

	for (size_t i = 0; i < context->n; i++) {
		const struct kms_pair *pair = &context->pairs[i];
		struct json_object *value = json_text(bytes_of(pair->value.p, pair->value.n));

		if (map == NULL || json_object_object_add(map, pair->name, value) != 0)
			note(o, KMS_E_NO_MEMORY);
		if (text != NULL)
			put_pair(o, text, pair);
	}
	add_json(o, name, map);
}

void out_words(
    struct out *o, const char *name, const char *label, const char *const *words, size_t n)
{
	struct json_object *list = json_object_new_array();
	struct buf *text = label != NULL ? add_text(o, label) : NULL;

	for (size_t i = 0; i < n; i++) {
		if (list == NULL ||
		    json_object_array_add(list, json_text(bytes_of_str(words[i]))) != 0)
			note(o, KMS_E_NO_MEMORY);
		if (text == NULL)
			continue;
		if (i > 0)
			note(o, buf_put(text, bytes_of_str(", ")));
		note(o, text_escape(bytes_of_str(words[i]), text));
	}
	add_json(o, name, list);
}

void out_secret(struct out *o, const char *name, struct bytes clear)
{
	note(o, buf_put(&o->secret, bytes_of_str(",\"")));
	note(o, buf_put(&o->secret, bytes_of_str(name)));
	note(o, buf_put(&o->secret, bytes_of_str("\":\"")));
	note(o, base64_encode(clear, &o->secret));
	note(o, buf_put(&o->secret, bytes_of_str("\"")));
}

static bool is_plain(const char *word)
{
	size_t n = strlen(word);

	for (size_t i = 0; i < n; i++) {
		bool letter = (word[i] | 0x20) >= 'a' && (word[i] | 0x20) <= 'z';
		if (!letter && (word[i] < '0' || word[i] > '9'))
			return false;
	}
	return n > 0;
}

void out_secret_words(struct out *o, const char *name, const char *const *words, size_t n)
{
	note(o, buf_put(&o->secret, bytes_of_str(",\"")));
	note(o, buf_put(&o->secret, bytes_of_str(name)));
	note(o, buf_put(&o->secret, bytes_of_str("\":[")));
	for (size_t i = 0; i < n; i++) {
		if (!is_plain(words[i]))
			note(o, KMS_E_BAD_ANSWER);
		note(o, buf_put(&o->secret, bytes_of_str(i > 0 ? ",\"" : "\"")));
		note(o, buf_put(&o->secret, bytes_of_str(words[i])));
		note(o, buf_put(&o->secret, bytes_of_str("\"")));
	}
	note(o, buf_put(&o->secret, bytes_of_str("]")));
}

void out_title(struct out *o, const char *format, ...)
{
	char text[TITLE_MAX];
	va_list args;

	va_start(args, format);
	int n = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	buf_clear(&o->title);
	if (n > 0)
		note(o, buf_put(&o->title, bytes_of_str(text)));
}

void out_name(struct out *o, const char *name)
{
	buf_clear(&o->name);
	note(o, text_escape(bytes_of_str(name), &o->name));
}

void out_bare(struct out *o, struct bytes line)
{
	note(o, buf_put(&o->bare, line));
}

void out_bare_base64(struct out *o, struct bytes value)
{
	note(o, base64_encode(value, &o->bare));
}

void out_paint(struct out *o, enum out_color color)
{
	if (o->field_n > 0)
		o->fields[o->field_n - 1].color = color;
}

struct out *out_child(struct out *o, const char *name)
{
	o->child = calloc(1, sizeof(*o->child));
	o->child_name = name;
	if (o->child != NULL)
		return o->child;
	/* The fields land in the owner; nobody sees them, since printing fails. */
	note(o, KMS_E_NO_MEMORY);
	return o;
}

void out_table(struct out *o, const char *name)
{
	o->list = json_object_new_array();
	add_json(o, name, o->list);
}

struct out *out_row(struct out *o)
{
	struct out **more = reallocarray(o->rows, o->row_n + 1, sizeof(struct out *));

	if (more != NULL)
		o->rows = more;
	struct out *row = more != NULL ? calloc(1, sizeof(*row)) : NULL;
	if (row == NULL) {
		note(o, KMS_E_NO_MEMORY);
		return o;
	}
	o->rows[o->row_n++] = row;
	return row;
}

/* Rows were filled after they were made, so they join the list only now. */
static void join_rows(struct out *o)
{
	for (size_t i = 0; i < o->row_n; i++) {
		struct out *row = o->rows[i];

		note(o, row->failed);
		if (row->json == NULL || o->list == NULL)
			continue;
		if (json_object_array_add(o->list, json_object_get(row->json)) != 0) {
			(void)json_object_put(row->json);
			note(o, KMS_E_NO_MEMORY);
		}
	}
}

static void join_child(struct out *o)
{
	if (o->child == NULL)
		return;
	note(o, o->child->failed);
	if (o->child->json != NULL)
		add_json(o, o->child_name, json_object_get(o->child->json));
}

static kms_err print_json(struct out *o, struct buf *to)
{
	size_t n;

	if (o->json == NULL)
		o->json = json_object_new_object();
	const char *text = json_object_to_json_string_length(
	    o->json, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &n);
	if (text == NULL || n < 2)
		return KMS_E_NO_MEMORY;

	/* Secrets go in before the closing brace; without other fields they lose their comma. */
	size_t skip = n == 2 && o->secret.n > 0 ? 1 : 0;
	TRY(buf_put(to, bytes_of(text, n - 1)));
	TRY(buf_put(to, bytes_of(o->secret.p + skip, o->secret.n - skip)));
	return buf_put(to, bytes_of_str("}\n"));
}

kms_err out_print(struct out *o, const struct style *style, struct buf *to)
{
	join_rows(o);
	join_child(o);
	TRY(o->failed);
	if (style->json)
		return print_json(o, to);
	if (o->bare.n > 0) {
		TRY(buf_put(to, buf_bytes(&o->bare)));
		return buf_put(to, bytes_of_str("\n"));
	}
	return style->quiet ? layout_names(o, to) : layout_text(o, style, to);
}
