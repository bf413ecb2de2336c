/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A policy as data: classes of keys, roles, grants of roles to identities, the zone and the
 * holidays that hours are read by. Made from text by parse.c, asked by decide.c. Lines are those of
 * the text, so that an answer can name its reason. kmsd applies none of this yet.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/base/types.h"

enum {
	RULES_TEXT_MAX = 131072, /* bytes of the text */
	RULES_CLASSES_MAX = 64,  /* each is a bit of a set */
	RULES_ROLES_MAX = 64,    /* likewise */
	RULES_GRANTS_MAX = 2048,
	RULES_NAMES_MAX = 32, /* in one list: key globs, purposes, names of a context */
	RULES_HOURS_MAX = 8,  /* spans of one role */
	RULES_HOLIDAYS_MAX = 512,
	RULES_ZONE_MAX = 256,   /* changes of the zone's offset */
	RULES_BATCH_MAX = 1024, /* as BATCH_MAX */
	RULES_WHO_NAME_MAX = 128,
	RULES_WHO_MAX = RULES_WHO_NAME_MAX + 16 /* "operator:", a name and its end */
};

/* A list of names; owned. */
struct rules_names {
	char (*p)[NAME_MAX_LEN + 1];
	size_t n;
};

/* A kind of data and its rules. 0: no such rule. */
struct rules_class {
	char name[NAME_MAX_LEN + 1];
	enum algorithm algorithm;    /* of its keys */
	uint64_t rotate_every_s;     /* at least so often */
	uint64_t usage_limit;        /* issued and wrapped by one version */
	uint64_t retention_s;        /* of what is encrypted with it */
	uint32_t batch;              /* items in one request */
	bool separate;               /* nobody both issues and unwraps */
	struct rules_names context;  /* names that each context must have */
	struct rules_names purposes; /* one of these must be given to unwrap; empty: any or none */
	uint32_t line;
};

/* Minutes of a day, [from, to), on days whose bit is set; Monday is bit 0. */
struct rules_hours {
	uint8_t days;
	uint16_t from, to;
};

struct rules_role {
	char name[NAME_MAX_LEN + 1];
	uint64_t ops[2];         /* bits of enum op */
	struct rules_names keys; /* globs of key names; empty: every key */
	uint64_t classes;        /* bits of classes; 0: every class */
	uint32_t rate;           /* items in `rate_us`; 0: no limit */
	uint64_t rate_us;
	uint32_t batch; /* items in one request; 0: no limit */
	struct rules_hours hours[RULES_HOURS_MAX];
	size_t hours_n;                                  /* 0: at any time */
	bool holidays;                                   /* also on holidays */
	uint32_t reads_day, reads_subject, reads_record; /* unwraps a day; 0: no limit */
	uint32_t line;
};

struct rules_grant {
	char who[RULES_WHO_MAX]; /* "unix:recorder", as the text calls it */
	uint64_t roles;          /* bits of roles */
	uint32_t line;
};

/* From this second on (UTC) local time is so many seconds ahead. */
struct rules_zone_step {
	int64_t from_s;
	int32_t ahead_s;
};

struct rules {
	char zone[NAME_MAX_LEN + 1];
	struct rules_zone_step *steps; /* ascending; the first holds before it too */
	size_t step_n;                 /* 0: UTC */
	uint32_t *holidays;            /* local days since 1970, ascending */
	size_t holiday_n;
	struct rules_class *classes;
	size_t class_n;
	struct rules_role *roles;
	size_t role_n;
	struct rules_grant *grants;
	size_t grant_n;
};

MUST_USE kms_err rules_new(struct rules **out);
/* Takes NULL. */
void rules_free(struct rules **r);
void rules_names_done(struct rules_names *n);
/* Appends a copy. KMS_E_NO_MEMORY; KMS_E_BAD_POLICY over RULES_NAMES_MAX, or too long a name. */
MUST_USE kms_err rules_names_add(struct rules_names *n, struct bytes name);
bool rules_names_has(const struct rules_names *n, struct bytes name);

/* By what it is called, "unix:recorder"; NULL if there is none. */
const struct rules_grant *rules_find_grant(const struct rules *r, struct bytes who);
/* NULL if there is none. */
const struct rules_class *rules_find_class(const struct rules *r, struct bytes name);
const struct rules_role *rules_find_role(const struct rules *r, struct bytes name);
/* A name against a pattern in which '*' stands for any run of characters. */
bool rules_glob(const char *pattern, struct bytes name);
bool rules_role_has(const struct rules_role *role, enum op op);
void rules_role_add(struct rules_role *role, enum op op);
/* unix:, token:, tls: or operator:, then a printable name without spaces. */
bool rules_who_valid(struct bytes who);

/* Local time of a moment. */
struct rules_local {
	uint32_t day;    /* since 1970 */
	uint16_t minute; /* of the day */
	uint8_t weekday; /* Monday is 0 */
	bool holiday;
};
struct rules_local rules_local(const struct rules *r, uint64_t wall_us);
