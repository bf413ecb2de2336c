/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Builds each line in a fixed room on the stack and hands it on with one write: no allocation,
 * no lock, and lines of two threads never mix. What does not fit is cut and marked. The
 * settings are made once, before threads start.
 */
#include "kms/base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	LINE_MAX_LEN = 1024, /* bytes of a line with its prefix, its newline and the end */
	LINE_RESERVE = 5     /* kept free for the mark of a cut line, the newline and the end */
};

struct line {
	char b[LINE_MAX_LEN];
	size_t n;
	bool cut;
};

static struct {
	const char *program;
	log_sink *sink;
	enum log_level level;
	bool journal; /* stderr is a stream of journald, which reads "<N>" */
} settings = { .program = "kms", .level = LOG_LEVEL_INFO };

struct log_field log_str(const char *name, const char *value)
{
	return (struct log_field){ .name = name, .kind = LOG_STR, .u.str = value };
}

struct log_field log_u64(const char *name, uint64_t value)
{
	return (struct log_field){ .name = name, .kind = LOG_U64, .u.u64 = value };
}

struct log_field log_i64(const char *name, int64_t value)
{
	return (struct log_field){ .name = name, .kind = LOG_I64, .u.i64 = value };
}

struct log_field log_id(const char *name, struct key_id id)
{
	return (struct log_field){ .name = name, .kind = LOG_ID, .u.id = id };
}

struct log_field log_err(kms_err e)
{
	return (struct log_field){ .name = "error", .kind = LOG_ERR, .u.err = e };
}

void log_set_sink(log_sink *sink)
{
	settings.sink = sink;
}

void log_set_program(const char *name)
{
	settings.program = name;
	settings.journal = secure_getenv("JOURNAL_STREAM") != NULL;
}

void log_set_level(enum log_level level)
{
	settings.level = level;
}

/* A piece goes in whole or not at all: an escape or a number is never halved. */
static void put(struct line *l, const char *piece, size_t n)
{
	if (l->cut || n > sizeof(l->b) - LINE_RESERVE - l->n) {
		l->cut = true;
		return;
	}
	memcpy(l->b + l->n, piece, n);
	l->n += n;
}

static void put_str(struct line *l, const char *s)
{
	put(l, s, strlen(s));
}

static void put_hex(struct line *l, const uint8_t *p, size_t n)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		const char pair[] = { digits[p[i] >> 4], digits[p[i] & 15] };
		put(l, pair, sizeof(pair));
	}
}

static bool is_plain(char c)
{
	return c >= ' ' && c <= '~' && c != '"' && c != '\\';
}

static void put_escaped(struct line *l, const char *s)
{
	for (; *s != '\0'; s++) {
		char escape[] = "\\x00";

		if (is_plain(*s)) {
			put(l, s, 1);
			continue;
		}
		escape[2] = "0123456789abcdef"[(uint8_t)*s >> 4];
		escape[3] = "0123456789abcdef"[(uint8_t)*s & 15];
		put(l, escape, sizeof(escape) - 1);
	}
}

/* In quotes where a reader could take part of the value for another field. */
static void put_value(struct line *l, const char *s)
{
	const char *quote = *s == '\0' || strpbrk(s, " =") != NULL ? "\"" : "";

	put_str(l, quote);
	put_escaped(l, s);
	put_str(l, quote);
}

static void put_number(struct line *l, const char *text, int n)
{
	put(l, text, n > 0 ? (size_t)n : 0);
}

static void put_field(struct line *l, const struct log_field *f)
{
	char number[24];

	put_str(l, " ");
	put_escaped(l, f->name);
	put_str(l, "=");
	switch (f->kind) {
	case LOG_STR: put_value(l, f->u.str == NULL ? "-" : f->u.str); break;
	case LOG_U64:
		put_number(l, number, snprintf(number, sizeof(number), "%" PRIu64, f->u.u64));
		break;
	case LOG_I64:
		put_number(l, number, snprintf(number, sizeof(number), "%" PRId64, f->u.i64));
		break;
	case LOG_ID: put_hex(l, f->u.id.b, sizeof(f->u.id.b)); break;
	case LOG_ERR:
		put_str(l, err_name(f->u.err));
		put_str(l, " hint=");
		put_value(l, err_hint(f->u.err));
		break;
	}
}

static void put_prefix(struct line *l, enum log_level level)
{
	if (settings.sink != NULL)
		return;
	if (settings.journal) {
		const char prefix[] = { '<', (char)('0' + (int)level), '>' };
		put(l, prefix, sizeof(prefix));
		return;
	}
	put_str(l, settings.program);
	put_str(l, ": ");
}

static void put_end(struct line *l, const char *end)
{
	size_t n = strlen(end);

	memcpy(l->b + l->n, end, n + 1);
	l->n += n;
}

void log_event(
    enum log_level level, const char *event, const char *message, const struct log_field *fields)
{
	struct line l = { .n = 0 };
	int saved = errno;

	if (level > settings.level)
		return;
	put_prefix(&l, level);
	put_str(&l, "event=");
	put_escaped(&l, event);
	put_str(&l, " ");
	put_escaped(&l, message);
	for (const struct log_field *f = fields; f != NULL && f->name != NULL; f++)
		put_field(&l, f);
	if (l.cut)
		put_end(&l, "...");

	if (settings.sink != NULL) {
		put_end(&l, "");
		settings.sink(level, event, l.b);
	} else {
		put_end(&l, "\n");
		/* Nobody is left to tell if this fails. */
		ssize_t ignored = write(STDERR_FILENO, l.b, l.n);
		(void)ignored;
	}
	errno = saved;
}
