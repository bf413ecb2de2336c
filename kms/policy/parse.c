/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libconfuse reads the syntax and calls us for each value as it comes, so that its line and column
 * are known; the meaning is made of the values when all are there. What libconfuse would do beyond
 * that (variables of the environment, a second value in place of the first) is refused.
 */
#include "kms/policy/parse.h"

#include <confuse.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kms/base/buf.h"
#include "kms/policy/parse_private.h"

enum {
	VALUES_MAX = 65536
};

/* libconfuse calls back without an argument of ours. */
static struct parse *current;
#define END_WORD "the-end"

kms_err parse_fail(struct parse *p, uint32_t line, uint32_t column, const char *format, ...)
{
	va_list args;
	/* The first one is the cause. */
	if (p->failed != KMS_OK)
		return p->failed;
	p->failed = KMS_E_BAD_POLICY;
	p->error->line = line;
	p->error->column = column;
	va_start(args, format);
	(void)vsnprintf(p->error->text, sizeof(p->error->text), format, args);
	va_end(args);
	return p->failed;
}

/* ---- Places ------------------------------------------------------------------------------- */

static struct bytes line_of(struct bytes text, uint32_t line)
{
	const uint8_t *p = text.p, *end = text.p + text.n;
	for (uint32_t i = 1; i < line && p < end; i++) {
		const uint8_t *next = memchr(p, '\n', (size_t)(end - p));
		p = next != NULL ? next + 1 : end;
	}
	const uint8_t *stop = p < end ? memchr(p, '\n', (size_t)(end - p)) : NULL;
	return bytes_of(p, (size_t)((stop != NULL ? stop : end) - p));
}

static bool is_edge(struct bytes line, size_t i)
{
	static const char stops[] = " \t\"'{}=,;()";
	return i >= line.n || memchr(stops, line.p[i], sizeof(stops) - 1) != NULL;
}

/* The first place at or behind `from` where the word stands alone; line.n: nowhere. */
static size_t find_word(struct bytes line, size_t from, struct bytes word)
{
	for (size_t i = from; word.n > 0 && i + word.n <= line.n; i++)
		if (memcmp(line.p + i, word.p, word.n) == 0 && is_edge(line, i + word.n) &&
		    (i == 0 || is_edge(line, i - 1)))
			return i;
	return line.n;
}

uint32_t parse_column(struct bytes text, uint32_t line, const char *word)
{
	struct bytes in = line_of(text, line);
	size_t i = find_word(in, 0, bytes_of_str(word));
	return i < in.n ? (uint32_t)i + 1 : 1;
}

uint32_t parse_section_line(const struct parse *p, const char *word, const char *title, int from)
{
	for (uint32_t line = from > 0 ? (uint32_t)from : 1; line > 0; line--) {
		struct bytes in = line_of(p->text, line);
		size_t i = find_word(in, 0, bytes_of_str(word));
		if (i < in.n && find_word(in, i + strlen(word), bytes_of_str(title)) < in.n)
			return line;
	}
	return 1;
}

/* libconfuse has made the place of a value before it calls us. */
static unsigned index_of(const cfg_opt_t *opt)
{
	return (opt->flags & CFGF_LIST) != 0 && opt->nvalues > 0 ? opt->nvalues - 1 : 0;
}

static kms_err note(struct parse *p, const cfg_t *cfg, const cfg_opt_t *opt, const char *value)
{
	uint32_t line = cfg->line > 0 ? (uint32_t)cfg->line : 1;
	struct bytes in = line_of(p->text, line);
	size_t i = find_word(in, line == p->line ? p->column : 0, bytes_of_str(value));
	if (p->n == VALUES_MAX)
		return parse_fail(p, line, 1, "there are too many values");
	if (p->n == p->cap) {
		size_t cap = p->cap == 0 ? 256 : p->cap * 2;
		struct place *more = reallocarray(p->places, cap, sizeof(*more));
		if (more == NULL)
			return KMS_E_NO_MEMORY;
		p->places = more;
		p->cap = cap;
	}
	p->line = line;
	p->column = i < in.n ? (uint32_t)i + 1 : p->column;
	p->places[p->n++] = (struct place){ .opt = opt,
		.index = index_of(opt),
		.line = line,
		.column = i < in.n ? (uint32_t)i + 1 : 1 };
	return KMS_OK;
}

static const struct place *place_of(const struct parse *p, const cfg_opt_t *opt, unsigned index)
{
	static const struct place nowhere = { .line = 1, .column = 1 };
	for (size_t i = 0; i < p->n; i++)
		if (p->places[i].opt == opt && p->places[i].index == index)
			return &p->places[i];
	return &nowhere;
}

static bool is_known(const struct parse *p, const cfg_opt_t *opt)
{
	unsigned index = index_of(opt);
	for (size_t i = p->n; i > 0 && i + RULES_HOLIDAYS_MAX > p->n; i--)
		if (p->places[i - 1].opt == opt && p->places[i - 1].index == index)
			return true;
	return false;
}

/* For each value, as it is read. */
static int on_value(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	struct parse *p = current;
	bool twice = is_known(p, opt);
	kms_err e = note(p, cfg, opt, value);
	if (e == KMS_OK && twice)
		e = parse_fail(p, p->line, 1, "%s is given twice", opt->name);
	if (e != KMS_OK) {
		p->failed = e;
		return -1;
	}
	memcpy(result, &value, sizeof(value));
	return 0;
}

__attribute__((format(printf, 2, 0))) static void on_error(
    cfg_t *cfg, const char *format, va_list args)
{
	struct parse *p = current;
	char text[PARSE_ERROR_MAX], word[NAME_MAX_LEN + 1] = "";
	uint32_t line = cfg != NULL && cfg->line > 0 ? (uint32_t)cfg->line : 1;
	(void)vsnprintf(text, sizeof(text), format, args);
	/* libconfuse puts the word that it stumbled over between quotes. */
	const char *quote = strchr(text, '\'');
	size_t n = quote != NULL ? strcspn(quote + 1, "'") : 0;
	if (n > 0 && n < sizeof(word))
		memcpy(word, quote + 1, n);
	bool open = strcmp(word, END_WORD) == 0;
	p->failed = parse_fail(p, line, parse_column(p->text, line, word), "%s",
	    open ? "a section is not closed before this" : text);
}

kms_err parse_wrong(
    struct parse *p, const cfg_opt_t *opt, unsigned i, const char *value, const char *why)
{
	const struct place *at = place_of(p, opt, i);
	return parse_fail(p, at->line, at->column, "%s: \"%.64s\": %s", opt->name, value, why);
}

/* ---- The text ----------------------------------------------------------------------------- */

#define VALUE(name)  CFG_STR_CB(name, NULL, CFGF_NONE, on_value)
#define VALUES(name) CFG_STR_LIST_CB(name, NULL, CFGF_NONE, on_value)

static cfg_t *make_parser(void)
{
	enum {
		MANY = CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES
	};
	cfg_opt_t class_options[] = { VALUE("algorithm"), VALUE("rotate_every"),
		VALUE("usage_limit"), VALUE("retention"), VALUE("batch"), VALUE("separate"),
		VALUES("context"), VALUES("purposes"), CFG_END() };
	cfg_opt_t role_options[] = { VALUES("operations"), VALUES("keys"), VALUES("classes"),
		VALUE("rate"), VALUE("batch"), VALUES("hours"), VALUE("holidays"),
		VALUE("reads_per_day"), VALUE("reads_per_subject"), VALUE("reads_per_record"),
		CFG_END() };
	cfg_opt_t grant_options[] = { VALUES("roles"), CFG_END() };
	cfg_opt_t options[] = { VALUE(END_WORD), VALUE("zone"), VALUES("holidays"),
		CFG_SEC("class", class_options, MANY), CFG_SEC("role", role_options, MANY),
		CFG_SEC("grant", grant_options, MANY), CFG_END() };
	return cfg_init(options, CFGF_NONE);
}

/* What the scanner would take for something else than text. */
static kms_err check_text(struct parse *p)
{
	uint32_t line = 1, column = 0;
	if (p->text.n > RULES_TEXT_MAX)
		return parse_fail(p, 1, 1, "the text has more than %d bytes", RULES_TEXT_MAX);
	for (size_t i = 0; i < p->text.n; i++) {
		uint8_t c = p->text.p[i];
		column++;
		if (c == '\0' || (c < ' ' && c != '\n' && c != '\t' && c != '\r'))
			return parse_fail(p, line, column, "a character that is no text");
		if (c == '$' && i + 1 < p->text.n && p->text.p[i + 1] == '{')
			return parse_fail(p, line, column, "a policy has no variables");
		if (c == '\n') {
			line++;
			column = 0;
		}
	}
	return KMS_OK;
}

static void cfg_done(cfg_t **cfg)
{
	if (*cfg != NULL)
		cfg_free(*cfg);
	*cfg = NULL;
}

static kms_err parse(struct parse *p, const char *text)
{
	AUTO(cfg_done) cfg_t *cfg = make_parser();
	if (cfg == NULL)
		return KMS_E_NO_MEMORY;
	(void)cfg_set_error_function(cfg, on_error);
	current = p;
	int r = cfg_parse_buf(cfg, text);
	current = NULL;
	if (p->failed != KMS_OK)
		return p->failed;
	if (r != CFG_SUCCESS)
		return parse_fail(
		    p, cfg->line > 0 ? (uint32_t)cfg->line : 1, 1, "it can't be read");
	if (cfg_getstr(cfg, END_WORD) == NULL)
		return parse_fail(p, 1, 1, "a quote or a comment is not closed");
	return parse_take_all(p, cfg);
}

kms_err rules_parse(struct bytes text, struct rules **out, struct parse_error *out_error)
{
	AUTO(rules_free) struct rules *r = NULL;
	AUTO(buf_done) struct buf copy = { 0 };
	TRY(rules_new(&r));
	*out_error = (struct parse_error){ .line = 1, .column = 1 };
	struct parse p = { .text = text, .rules = r, .error = out_error };
	TRY(check_text(&p));
	TRY(buf_put(&copy, text));
	/* libconfuse takes the end of the text for the end of a section: this one only fits outside. */
	TRY(buf_put(&copy, bytes_of_str("\n" END_WORD " = 1\n")));
	TRY(buf_put_u8(&copy, '\0'));
	kms_err e = parse(&p, (const char *)copy.p);
	free(p.places);
	TRY(e);
	*out = MOVE(r);
	return KMS_OK;
}
