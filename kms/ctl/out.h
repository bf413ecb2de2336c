/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a command gives: an object of named fields and, at most, one table of rows. Built once,
 * printed as text for people, as one line of JSON, or as bare names. A failure while building is
 * kept and comes out of out_print(), so that fields need no checks.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/base/buf.h"
#include "kms/client/kms.h"

struct json_object;
struct out_field;

struct style {
	bool json;
	bool quiet; /* names only */
	bool color; /* stdout is a terminal that shows colours, and NO_COLOR is not set */
};

struct out {
	struct json_object *json;
	struct out_field *fields; /* for text */
	size_t field_n;
	struct out **rows;
	size_t row_n;
	struct json_object *list; /* of rows; belongs to json */
	struct out *child;
	const char *child_name;
	struct buf title, name, bare, secret;
	kms_err failed;
};

enum out_color {
	OUT_PLAIN,
	OUT_GREEN,
	OUT_YELLOW,
	OUT_RED
};

/* Starts with zeros: `AUTO(out_done) struct out o = { .field_n = 0 };`. Wipes and frees. */
void out_done(struct out *o);

/* The fields. name NULL: in text only; label NULL: in JSON only. Both must be literals. */
void out_str(struct out *o, const char *name, const char *label, const char *value);
void out_text(struct out *o, const char *name, const char *label, struct bytes value);
void out_u64(struct out *o, const char *name, const char *label, uint64_t value);
void out_bool(struct out *o, const char *name, const char *label, bool value);
void out_time(struct out *o, const char *name, const char *label, uint64_t wall_us);
void out_hex(struct out *o, const char *name, const char *label, struct bytes value);
void out_base64(struct out *o, const char *name, const char *label, struct bytes value);
void out_context(
    struct out *o, const char *name, const char *label, const struct kms_context *context);
void out_words(
    struct out *o, const char *name, const char *label, const char *const *words, size_t n);
/* A number that need not be whole. */
void out_double(struct out *o, const char *name, double value);
/* Base64, in JSON only, among the last of the object. Never passes through memory that is not wiped. */
void out_secret(struct out *o, const char *name, struct bytes clear);

/* A list of letters and digits, likewise. KMS_E_BAD_ANSWER, kept, for anything else. */
void out_secret_words(struct out *o, const char *name, const char *const *words, size_t n);

/* The line above the fields, in text. Not escaped: our own words, or escaped by the caller. */
void out_title(struct out *o, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* What -q prints for this object. */
void out_name(struct out *o, const char *name);
/* In text this line is all that is printed; in base64 for the second. */
void out_bare(struct out *o, struct bytes line);
void out_bare_base64(struct out *o, struct bytes value);
/* Colours the last field. */
void out_paint(struct out *o, enum out_color color);

/* An object inside of this one, in JSON only, to be filled; one at most. Belongs to o. */
struct out *out_child(struct out *o, const char *name);
/* Says that the object has a table of this name, which may stay empty. */
void out_table(struct out *o, const char *name);
/* A row of the table, to be filled; belongs to o. */
struct out *out_row(struct out *o);

/* Appends it, in the style. What failed before, or KMS_E_NO_MEMORY. */
MUST_USE kms_err out_print(struct out *o, const struct style *style, struct buf *to);
