/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the parser share, and nobody else. */
#pragma once

#include <confuse.h>

#include "kms/policy/parse.h"

/* Where a value was read. */
struct place {
	const cfg_opt_t *opt;
	unsigned index;
	uint32_t line, column;
};

struct parse {
	struct bytes text;
	struct rules *rules;
	struct parse_error *error;
	struct place *places;
	size_t n, cap;
	uint32_t line, column; /* of the value before, to tell the same word twice in a line */
	kms_err failed;
};

/* Keeps the first error, and returns it. */
MUST_USE kms_err parse_fail(struct parse *p, uint32_t line, uint32_t column, const char *format,
    ...) __attribute__((format(printf, 4, 5)));
/* Of the i-th value of an option. */
MUST_USE kms_err parse_wrong(
    struct parse *p, const cfg_opt_t *opt, unsigned i, const char *value, const char *why);
/* The line in which a section begins that ends, or has a value, in line `from`. */
uint32_t parse_section_line(const struct parse *p, const char *word, const char *title, int from);
/* Makes rules of what was read. */
MUST_USE kms_err parse_take_all(struct parse *p, cfg_t *cfg);

/*
 * Makes the table of the zone's offsets from the host's zone files, for the years that a policy may
 * live. KMS_E_BAD_POLICY if there is no such zone; KMS_E_NO_MEMORY.
 */
MUST_USE kms_err parse_zone(struct rules *r);

/* One value, read into *out. A sentence without its end says what is wrong with it; NULL: nothing. */
const char *parse_number(const char *text, uint64_t max, uint64_t *out);
const char *parse_flag(const char *text, bool *out);
/* "500/s", "30/min". */
const char *parse_rate(const char *text, struct rules_role *out);
/* "mon-fri 08:00-20:00", "sat,sun 09:00-13:00", "08:00-20:00" on all days; appended. */
const char *parse_hours(const char *text, struct rules_role *out);
/* "2026-01-01" as a local day. */
const char *parse_date(const char *text, uint32_t *out);
/* '*' and what names are made of. */
const char *parse_glob(const char *text);
/* Printable, without spaces, commas and quotes. */
const char *parse_word(const char *text);
