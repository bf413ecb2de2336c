/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One structured line for each event that an operator must know. Fields are typed; there is no
 * call that takes bytes, so none can log a secret. Only programs log, floors below them return.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/base/types.h"

/* syslog's levels, as journald reads them from a "<N>" prefix. */
enum log_level {
	LOG_LEVEL_ERROR = 3,
	LOG_LEVEL_WARNING = 4,
	LOG_LEVEL_NOTICE = 5,
	LOG_LEVEL_INFO = 6,
	LOG_LEVEL_DEBUG = 7
};

struct log_field {
	const char *name;
	enum {
		LOG_STR,
		LOG_U64,
		LOG_I64,
		LOG_ID,
		LOG_ERR
	} kind;
	union {
		const char *str;
		uint64_t u64;
		int64_t i64;
		struct key_id id;
		kms_err err;
	} u;
};

/* Strings are escaped: control characters, quotes and what is not ASCII never reach the line. */
struct log_field log_str(const char *name, const char *value);
struct log_field log_u64(const char *name, uint64_t value);
struct log_field log_i64(const char *name, int64_t value);
struct log_field log_id(const char *name, struct key_id id);
/* Writes error=<name> and what to do. */
struct log_field log_err(kms_err e);

/*
 * A line `event=<event> <message> name=value …`. `event` is a stable word such as "unsealed";
 * docs/operating.md lists them. Goes to stderr unless log_set_sink was called. LOG takes one
 * field or more; log_event takes an array that a field without a name ends, or NULL for none.
 */
#define LOG(level, event, message, ...)                                                            \
	log_event((level), (event), (message),                                                     \
	    (const struct log_field[]){ __VA_ARGS__, { .name = NULL } })
void log_event(
    enum log_level level, const char *event, const char *message, const struct log_field *fields);

/* Sends finished lines elsewhere (journald). `line` has no prefix and no newline. */
typedef void log_sink(enum log_level level, const char *event, const char *line);
void log_set_sink(log_sink *sink);
/* The name that begins each line on stderr; static. */
void log_set_program(const char *name);
/* Lines above this level are dropped; LOG_LEVEL_INFO at first. */
void log_set_level(enum log_level level);
