/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each check is one function over the rules; errors are what would break a promise of a class,
 * warnings what does nothing.
 */
#include "kms/policy/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kms/policy/decide.h"
#include "kms/policy/diff.h"

void findings_done(struct findings *f)
{
	free(f->p);
	*f = (struct findings){ .n = 0 };
}

kms_err findings_add(struct findings *f, const struct finding *what)
{
	f->errors += what->error;
	if (f->n == FINDINGS_MAX)
		return KMS_OK;
	struct finding *more = reallocarray(f->p, f->n + 1, sizeof(*more));
	if (more == NULL)
		return KMS_E_NO_MEMORY;
	f->p = more;
	f->p[f->n++] = *what;
	return KMS_OK;
}

/* Where a finding stands. */
struct place {
	bool error;
	uint32_t line;
	const char *name;
};

__attribute__((format(printf, 3, 4))) static kms_err tell(
    struct findings *f, struct place at, const char *format, ...)
{
	struct finding what = { .error = at.error, .line = at.line };
	va_list args;
	(void)snprintf(what.name, sizeof(what.name), "%s", at.name);
	va_start(args, format);
	(void)vsnprintf(what.text, sizeof(what.text), format, args);
	va_end(args);
	return findings_add(f, &what);
}

static bool has_class(const struct rules_role *role, size_t c)
{
	return role->classes == 0 || (role->classes >> c & 1) != 0;
}

static bool makes(const struct rules_role *role)
{
	return rules_role_has(role, OP_ISSUE) || rules_role_has(role, OP_WRAP);
}

/* Both issues and unwraps where the class forbids it; the next one: all roles of one identity. */
static kms_err check_separate_role(
    const struct rules *r, const struct rules_role *role, struct findings *out)
{
	for (size_t c = 0; c < r->class_n; c++)
		if (r->classes[c].separate && has_class(role, c) && makes(role) &&
		    rules_role_has(role, OP_UNWRAP))
			TRY(tell(out, (struct place){ true, role->line, role->name },
			    "role %s both issues and unwraps, which class %s forbids", role->name,
			    r->classes[c].name));
	return KMS_OK;
}

static kms_err check_separate_grant(
    const struct rules *r, const struct rules_grant *g, struct findings *out)
{
	const char *who = g->who;
	for (size_t c = 0; c < r->class_n; c++) {
		const struct rules_role *in = NULL, *from = NULL;
		for (uint64_t left = g->roles; left != 0; left &= left - 1) {
			const struct rules_role *role = &r->roles[__builtin_ctzll(left)];
			if (!has_class(role, c))
				continue;
			in = in == NULL && makes(role) ? role : in;
			from = from == NULL && rules_role_has(role, OP_UNWRAP) ? role : from;
		}
		if (r->classes[c].separate && in != NULL && from != NULL && in != from)
			TRY(tell(out, (struct place){ true, g->line, who },
			    "%s issues as %s and unwraps as %s, which class %s forbids", who,
			    in->name, from->name, r->classes[c].name));
	}
	return KMS_OK;
}

static kms_err check_role_used(const struct rules *r, size_t i, struct findings *out)
{
	const struct rules_role *role = &r->roles[i];
	for (size_t g = 0; g < r->grant_n; g++)
		if ((r->grants[g].roles >> i & 1) != 0)
			return KMS_OK;
	return tell(out, (struct place){ false, role->line, role->name },
	    "role %s is granted to nobody", role->name);
}

static kms_err check_role_ops(const struct rules_role *role, struct findings *out)
{
	bool reads = rules_role_has(role, OP_UNWRAP);
	if ((role->ops[0] | role->ops[1]) == 0)
		return tell(out, (struct place){ true, role->line, role->name },
		    "role %s has no operations", role->name);
	if (!reads && (role->reads_day | role->reads_subject | role->reads_record) != 0)
		return tell(out, (struct place){ false, role->line, role->name },
		    "role %s has a budget of reads but may not unwrap", role->name);
	return KMS_OK;
}

/* A glob that another one of the same role covers says nothing. */
static kms_err check_globs(const struct rules_role *role, struct findings *out)
{
	for (size_t i = 0; i < role->keys.n; i++)
		for (size_t j = 0; j < role->keys.n; j++)
			if (i != j && rules_glob(role->keys.p[j], bytes_of_str(role->keys.p[i])))
				return tell(out, (struct place){ false, role->line, role->name },
				    "role %s: \"%s\" is never reached, \"%s\" covers it",
				    role->name, role->keys.p[i], role->keys.p[j]);
	return KMS_OK;
}

static kms_err check_batch(
    const struct rules *r, const struct rules_role *role, struct findings *out)
{
	for (size_t c = 0; c < r->class_n; c++) {
		uint32_t most = r->classes[c].batch;
		if ((role->classes >> c & 1) != 0 && most != 0 && role->batch > most)
			return tell(out, (struct place){ false, role->line, role->name },
			    "role %s: a batch of %u is never reached, class %s allows %u",
			    role->name, role->batch, r->classes[c].name, most);
	}
	return KMS_OK;
}

/* A role of a grant that another role of the same grant covers in everything. */
static kms_err check_reached(
    const struct rules *r, const struct rules_grant *g, struct findings *out)
{
	const char *who = g->who;
	for (uint64_t left = g->roles; left != 0; left &= left - 1) {
		const struct rules_role *a = &r->roles[__builtin_ctzll(left)];
		for (uint64_t by = g->roles; by != 0; by &= by - 1) {
			const struct rules_role *b = &r->roles[__builtin_ctzll(by)];
			bool all = (a->ops[0] & ~b->ops[0]) == 0 && (a->ops[1] & ~b->ops[1]) == 0;
			if (a == b || !all || !policy_covers(r, b, r, a))
				continue;
			return tell(out, (struct place){ false, g->line, who },
			    "%s: role %s is never reached, %s covers all of it", who, a->name,
			    b->name);
		}
	}
	return KMS_OK;
}

static bool works_with(const struct rules_role *role, size_t c)
{
	static const enum op data[] = { OP_ISSUE, OP_WRAP, OP_UNWRAP, OP_REWRAP, OP_MAC };
	for (size_t i = 0; i < ARRAY_LEN(data); i++)
		if (rules_role_has(role, data[i]))
			return has_class(role, c);
	return false;
}

static kms_err check_class_used(const struct rules *r, size_t c, struct findings *out)
{
	for (size_t g = 0; g < r->grant_n; g++)
		for (uint64_t left = r->grants[g].roles; left != 0; left &= left - 1)
			if (works_with(&r->roles[__builtin_ctzll(left)], c))
				return KMS_OK;
	return tell(out, (struct place){ false, r->classes[c].line, r->classes[c].name },
	    "nobody may use keys of class %s", r->classes[c].name);
}

/* Context binds nothing where the algorithm has no place for it. */
static kms_err check_class(const struct rules_class *c, struct findings *out)
{
	if (c->algorithm == ALG_AES_256_KWP && c->context.n > 0)
		return tell(out, (struct place){ true, c->line, c->name },
		    "class %s: aes-256-kwp binds no context, so none can be demanded", c->name);
	return KMS_OK;
}

static kms_err check_role(const struct rules *r, size_t i, struct findings *out)
{
	const struct rules_role *role = &r->roles[i];
	TRY(check_role_ops(role, out));
	TRY(check_separate_role(r, role, out));
	TRY(check_globs(role, out));
	TRY(check_batch(r, role, out));
	return check_role_used(r, i, out);
}

kms_err policy_check(const struct rules *r, struct findings *out)
{
	for (size_t i = 0; i < r->class_n; i++) {
		TRY(check_class(&r->classes[i], out));
		TRY(check_class_used(r, i, out));
	}
	for (size_t i = 0; i < r->role_n; i++)
		TRY(check_role(r, i, out));
	for (size_t i = 0; i < r->grant_n; i++) {
		TRY(check_separate_grant(r, &r->grants[i], out));
		TRY(check_reached(r, &r->grants[i], out));
	}
	return KMS_OK;
}
