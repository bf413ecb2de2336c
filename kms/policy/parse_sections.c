/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sections of a policy: what libconfuse has read, as rules. Classes come before roles, roles
 * before grants.
 */
#include <stdlib.h>
#include <string.h>

#include "kms/base/clock.h"
#include "kms/policy/decide.h"
#include "kms/policy/parse_private.h"

/* ---- Values ------------------------------------------------------------------------------- */

/* The option of a section, and its i-th value; NULL beyond the last. */
static const char *value_of(cfg_t *sec, const char *name, unsigned i, cfg_opt_t **out_opt)
{
	*out_opt = cfg_getopt(sec, name);
	return i < cfg_opt_size(*out_opt) ? cfg_opt_getnstr(*out_opt, i) : NULL;
}

static kms_err take_number(
    struct parse *p, cfg_t *sec, const char *name, uint64_t max, uint64_t *out)
{
	cfg_opt_t *opt;
	const char *value = value_of(sec, name, 0, &opt);
	const char *why = value != NULL ? parse_number(value, max, out) : NULL;
	return why == NULL ? KMS_OK : parse_wrong(p, opt, 0, value, why);
}

static kms_err take_u32(struct parse *p, cfg_t *sec, const char *name, uint32_t max, uint32_t *out)
{
	uint64_t n = 0;
	TRY(take_number(p, sec, name, max, &n));
	*out = (uint32_t)n;
	return KMS_OK;
}

static kms_err take_flag(struct parse *p, cfg_t *sec, const char *name, bool *out)
{
	cfg_opt_t *opt;
	const char *value = value_of(sec, name, 0, &opt);
	const char *why = value != NULL ? parse_flag(value, out) : NULL;
	return why == NULL ? KMS_OK : parse_wrong(p, opt, 0, value, why);
}

static kms_err take_span(struct parse *p, cfg_t *sec, const char *name, uint64_t *out)
{
	cfg_opt_t *opt;
	const char *value = value_of(sec, name, 0, &opt);
	if (value == NULL || (clock_parse_span(value, out) == KMS_OK && *out > 0))
		return KMS_OK;
	return parse_wrong(p, opt, 0, value, "a time is written as 90d, 12h or 7y");
}

typedef const char *word_check(const char *text);

static kms_err take_names(
    struct parse *p, cfg_t *sec, const char *name, word_check *check, struct rules_names *out)
{
	cfg_opt_t *opt;
	const char *value;
	for (unsigned i = 0; (value = value_of(sec, name, i, &opt)) != NULL; i++) {
		const char *why = check(value);
		if (why == NULL && rules_names_has(out, bytes_of_str(value)))
			why = "it stands there twice";
		if (why == NULL && out->n == RULES_NAMES_MAX)
			why = "there are too many";
		if (why != NULL)
			return parse_wrong(p, opt, i, value, why);
		TRY(rules_names_add(out, bytes_of_str(value)));
	}
	return KMS_OK;
}

/* The title of a section of a class or role. */
static kms_err take_title(struct parse *p, cfg_t *sec, const char *word,
    char out[static NAME_MAX_LEN + 1], uint32_t *out_line)
{
	const char *title = cfg_title(sec);
	*out_line = parse_section_line(p, word, title, sec->line);
	if (!name_valid(bytes_of_str(title)))
		return parse_fail(p, *out_line, parse_column(p->text, *out_line, title),
		    "%s \"%.64s\": %s", word, title, err_hint(KMS_E_BAD_NAME));
	memcpy(out, title, strlen(title) + 1);
	return KMS_OK;
}

/* ---- Sections ----------------------------------------------------------------------------- */

static kms_err take_class(struct parse *p, cfg_t *sec, struct rules_class *c)
{
	cfg_opt_t *opt;
	uint64_t batch = 0;
	TRY(take_title(p, sec, "class", c->name, &c->line));
	const char *algorithm = value_of(sec, "algorithm", 0, &opt);
	c->algorithm =
	    algorithm != NULL ? algorithm_from_name(bytes_of_str(algorithm)) : ALG_XAES_256_GCM;
	if (c->algorithm == ALG_NONE)
		return parse_wrong(p, opt, 0, algorithm, err_hint(KMS_E_BAD_ALGORITHM));
	TRY(take_span(p, sec, "rotate_every", &c->rotate_every_s));
	TRY(take_span(p, sec, "retention", &c->retention_s));
	TRY(take_number(p, sec, "usage_limit", UINT64_MAX, &c->usage_limit));
	TRY(take_number(p, sec, "batch", RULES_BATCH_MAX, &batch));
	c->batch = (uint32_t)batch;
	TRY(take_flag(p, sec, "separate", &c->separate));
	TRY(take_names(p, sec, "context", parse_word, &c->context));
	return take_names(p, sec, "purposes", parse_word, &c->purposes);
}

static kms_err take_ops(struct parse *p, cfg_t *sec, struct rules_role *role)
{
	cfg_opt_t *opt;
	const char *value;
	for (unsigned i = 0; (value = value_of(sec, "operations", i, &opt)) != NULL; i++) {
		enum op op = op_from_name(bytes_of_str(value));
		if (op == OP_NONE || !rules_grantable(op))
			return parse_wrong(p, opt, i, value, "there is no such operation to grant");
		if (rules_role_has(role, op))
			return parse_wrong(p, opt, i, value, "it stands there twice");
		rules_role_add(role, op);
	}
	return KMS_OK;
}

static kms_err take_classes_of(struct parse *p, cfg_t *sec, struct rules_role *role)
{
	cfg_opt_t *opt;
	const char *value;
	for (unsigned i = 0; (value = value_of(sec, "classes", i, &opt)) != NULL; i++) {
		const struct rules_class *c = rules_find_class(p->rules, bytes_of_str(value));
		if (c == NULL)
			return parse_wrong(p, opt, i, value, "there is no such class");
		role->classes |= (uint64_t)1 << (c - p->rules->classes);
	}
	return KMS_OK;
}

static kms_err take_hours(struct parse *p, cfg_t *sec, struct rules_role *role)
{
	cfg_opt_t *opt;
	const char *value;
	for (unsigned i = 0; (value = value_of(sec, "hours", i, &opt)) != NULL; i++) {
		const char *why = parse_hours(value, role);
		if (why != NULL)
			return parse_wrong(p, opt, i, value, why);
	}
	/* Who is bound to hours is off on holidays, unless it says otherwise. */
	role->holidays = role->hours_n == 0;
	return take_flag(p, sec, "holidays", &role->holidays);
}

static kms_err take_role(struct parse *p, cfg_t *sec, struct rules_role *role)
{
	cfg_opt_t *opt;
	TRY(take_title(p, sec, "role", role->name, &role->line));
	TRY(take_ops(p, sec, role));
	TRY(take_names(p, sec, "keys", parse_glob, &role->keys));
	TRY(take_classes_of(p, sec, role));
	TRY(take_hours(p, sec, role));
	const char *rate = value_of(sec, "rate", 0, &opt);
	const char *why = rate != NULL ? parse_rate(rate, role) : NULL;
	if (why != NULL)
		return parse_wrong(p, opt, 0, rate, why);
	TRY(take_u32(p, sec, "batch", RULES_BATCH_MAX, &role->batch));
	TRY(take_u32(p, sec, "reads_per_day", INT32_MAX, &role->reads_day));
	TRY(take_u32(p, sec, "reads_per_subject", INT32_MAX, &role->reads_subject));
	return take_u32(p, sec, "reads_per_record", INT32_MAX, &role->reads_record);
}

static kms_err take_grant(struct parse *p, cfg_t *sec, struct rules_grant *g)
{
	cfg_opt_t *opt;
	const char *title = cfg_title(sec), *value;
	uint32_t line = parse_section_line(p, "grant", title, sec->line);
	uint32_t column = parse_column(p->text, line, title);
	if (!rules_who_valid(bytes_of_str(title)))
		return parse_fail(p, line, column,
		    "grant \"%.64s\": write unix:USER, token:NAME, tls:NAME or operator:NAME",
		    title);
	memcpy(g->who, title, strlen(title) + 1);
	g->line = line;
	for (unsigned i = 0; (value = value_of(sec, "roles", i, &opt)) != NULL; i++) {
		const struct rules_role *role = rules_find_role(p->rules, bytes_of_str(value));
		if (role == NULL)
			return parse_wrong(p, opt, i, value, "there is no such role");
		g->roles |= (uint64_t)1 << (role - p->rules->roles);
	}
	return g->roles != 0 ? KMS_OK
	                     : parse_fail(p, line, column, "grant \"%.64s\" has no roles", title);
}

static int compare_days(const void *a, const void *b)
{
	uint32_t x, y;
	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return x < y ? -1 : x > y;
}

static kms_err take_holidays(struct parse *p, cfg_t *cfg)
{
	struct rules *r = p->rules;
	cfg_opt_t *opt;
	const char *value;
	size_t n = cfg_size(cfg, "holidays");
	r->holidays = calloc(n + 1, sizeof(*r->holidays));
	if (r->holidays == NULL)
		return KMS_E_NO_MEMORY;
	for (unsigned i = 0; (value = value_of(cfg, "holidays", i, &opt)) != NULL; i++) {
		uint32_t day = 0;
		const char *why = parse_date(value, &day);
		for (size_t j = 0; j < r->holiday_n && why == NULL; j++)
			why = r->holidays[j] == day ? "it stands there twice" : NULL;
		if (why == NULL && i == RULES_HOLIDAYS_MAX)
			why = "there are too many";
		if (why != NULL)
			return parse_wrong(p, opt, i, value, why);
		r->holidays[r->holiday_n++] = day;
	}
	qsort(r->holidays, r->holiday_n, sizeof(*r->holidays), compare_days);
	return KMS_OK;
}

static kms_err take_zone(struct parse *p, cfg_t *cfg)
{
	cfg_opt_t *opt;
	const char *zone = value_of(cfg, "zone", 0, &opt);
	if (zone == NULL)
		return KMS_OK;
	const char *why = parse_word(zone);
	if (why != NULL)
		return parse_wrong(p, opt, 0, zone, why);
	memcpy(p->rules->zone, zone, strlen(zone) + 1);
	kms_err e = parse_zone(p->rules);
	return e != KMS_E_BAD_POLICY
	           ? e
	           : parse_wrong(p, opt, 0, zone, "there is no such zone on this host");
}

/* How many sections there are, and room for them. */
static kms_err make_room(
    struct parse *p, cfg_t *cfg, const char *word, size_t max, size_t size, void *out)
{
	unsigned n = cfg_size(cfg, word);
	if (n > max) {
		cfg_t *sec = cfg_getnsec(cfg, word, (unsigned)max);
		uint32_t line = parse_section_line(p, word, cfg_title(sec), sec->line);
		return parse_fail(p, line, 1, "there are more than %zu of %s", max, word);
	}
	void *list = calloc(n + 1, size);
	if (list == NULL)
		return KMS_E_NO_MEMORY;
	memcpy(out, &list, sizeof(list));
	return KMS_OK;
}

kms_err parse_take_all(struct parse *p, cfg_t *cfg)
{
	struct rules *r = p->rules;
	TRY(take_zone(p, cfg));
	TRY(take_holidays(p, cfg));
	TRY(make_room(p, cfg, "class", RULES_CLASSES_MAX, sizeof(*r->classes), &r->classes));
	TRY(make_room(p, cfg, "role", RULES_ROLES_MAX, sizeof(*r->roles), &r->roles));
	TRY(make_room(p, cfg, "grant", RULES_GRANTS_MAX, sizeof(*r->grants), &r->grants));
	for (unsigned i = 0; i < cfg_size(cfg, "class"); i++)
		TRY(take_class(p, cfg_getnsec(cfg, "class", i), &r->classes[r->class_n++]));
	for (unsigned i = 0; i < cfg_size(cfg, "role"); i++)
		TRY(take_role(p, cfg_getnsec(cfg, "role", i), &r->roles[r->role_n++]));
	for (unsigned i = 0; i < cfg_size(cfg, "grant"); i++)
		TRY(take_grant(p, cfg_getnsec(cfg, "grant", i), &r->grants[r->grant_n++]));
	return KMS_OK;
}
