/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rights are compared role by role: a role's right is covered where one role of the other policy,
 * granted to the same identity, has the operation and is in no way narrower.
 */
#include "kms/policy/diff.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void policy_diff_done(struct policy_diff *d)
{
	free(d->p);
	*d = (struct policy_diff){ .n = 0 };
}

static kms_err add(struct policy_diff *d, const struct policy_change *c)
{
	if (d->n == d->cap) {
		size_t cap = d->cap == 0 ? 32 : d->cap * 2;
		struct policy_change *more = reallocarray(d->p, cap, sizeof(*more));
		if (more == NULL)
			return KMS_E_NO_MEMORY;
		d->p = more;
		d->cap = cap;
	}
	d->p[d->n++] = *c;
	return KMS_OK;
}

/* ---- Is a covered by b? ------------------------------------------------------------------- */

/* A '*' of a can only be taken by one of b: as a character it fits nothing else. */
static bool covers_keys(const struct rules_names *b, const struct rules_names *a)
{
	if (b->n == 0)
		return true;
	for (size_t i = 0; i < a->n; i++) {
		bool found = false;
		for (size_t j = 0; j < b->n && !found; j++)
			found = rules_glob(b->p[j], bytes_of_str(a->p[i]));
		if (!found)
			return false;
	}
	return a->n > 0;
}

static bool covers_classes(const struct rules *rb, const struct rules_role *b,
    const struct rules *ra, const struct rules_role *a)
{
	if (b->classes == 0)
		return true;
	for (uint64_t left = a->classes; left != 0; left &= left - 1) {
		const char *name = ra->classes[__builtin_ctzll(left)].name;
		const struct rules_class *c = rules_find_class(rb, bytes_of_str(name));
		if (c == NULL || (b->classes >> (c - rb->classes) & 1) == 0)
			return false;
	}
	return a->classes != 0;
}

static bool covers_span(const struct rules_role *b, const struct rules_hours *a)
{
	uint8_t days = a->days;
	for (size_t i = 0; i < b->hours_n; i++)
		if (b->hours[i].from <= a->from && b->hours[i].to >= a->to)
			days &= (uint8_t)~b->hours[i].days;
	return days == 0;
}

static bool has_holiday(const struct rules *r, uint32_t day)
{
	for (size_t i = 0; i < r->holiday_n; i++)
		if (r->holidays[i] == day)
			return true;
	return false;
}

static bool same_zone(const struct rules *a, const struct rules *b)
{
	return strcmp(a->zone, b->zone) == 0 && a->step_n == b->step_n &&
	       (a->step_n == 0 || memcmp(a->steps, b->steps, a->step_n * sizeof(*a->steps)) == 0);
}

static bool covers_hours(const struct rules *rb, const struct rules_role *b, const struct rules *ra,
    const struct rules_role *a)
{
	if (!b->holidays) {
		if (a->holidays)
			return false;
		for (size_t i = 0; i < rb->holiday_n; i++)
			if (!has_holiday(ra, rb->holidays[i]))
				return false;
	}
	if (b->hours_n == 0)
		return b->holidays || rb->holiday_n == 0 || same_zone(ra, rb);
	for (size_t i = 0; i < a->hours_n; i++)
		if (!covers_span(b, &a->hours[i]))
			return false;
	return a->hours_n > 0 && same_zone(ra, rb);
}

static bool covers_number(uint32_t b, uint32_t a)
{
	return b == 0 || (a != 0 && a <= b);
}

/* Both how much at once and how much in the long run. */
static bool covers_rate(const struct rules_role *b, const struct rules_role *a)
{
	if (b->rate == 0)
		return true;
	return a->rate != 0 && a->rate <= b->rate && a->rate * b->rate_us <= b->rate * a->rate_us;
}

bool policy_covers(const struct rules *rb, const struct rules_role *b, const struct rules *ra,
    const struct rules_role *a)
{
	return covers_keys(&b->keys, &a->keys) && covers_classes(rb, b, ra, a) &&
	       covers_hours(rb, b, ra, a) && covers_rate(b, a) &&
	       covers_number(b->batch, a->batch) && covers_number(b->reads_day, a->reads_day) &&
	       covers_number(b->reads_subject, a->reads_subject) &&
	       covers_number(b->reads_record, a->reads_record);
}

/* ---- Identities --------------------------------------------------------------------------- */

/* Takes out of `ops` what the grant lets do at least as freely as this role. */
static void take_out(const struct rules *rb, const struct rules_grant *g, const struct rules *ra,
    const struct rules_role *a, uint64_t ops[static 2])
{
	for (uint64_t left = g != NULL ? g->roles : 0; left != 0; left &= left - 1) {
		const struct rules_role *b = &rb->roles[__builtin_ctzll(left)];
		if (!policy_covers(rb, b, ra, a))
			continue;
		ops[0] &= ~b->ops[0];
		ops[1] &= ~b->ops[1];
	}
}

/* What the grants of `have` let do and those of `other` don't. */
static kms_err compare(
    const struct rules *have, const struct rules *other, bool gains, struct policy_diff *out)
{
	for (size_t i = 0; i < have->grant_n; i++) {
		const struct rules_grant *g = &have->grants[i];
		const struct rules_grant *their = rules_find_grant(other, bytes_of_str(g->who));
		for (uint64_t left = g->roles; left != 0; left &= left - 1) {
			const struct rules_role *a = &have->roles[__builtin_ctzll(left)];
			struct policy_change c = {
				.gains = gains, .role = a->name, .ops = { a->ops[0], a->ops[1] }
			};
			take_out(other, their, have, a, c.ops);
			memcpy(c.who, g->who, sizeof(c.who));
			if ((c.ops[0] | c.ops[1]) != 0)
				TRY(add(out, &c));
		}
	}
	return KMS_OK;
}

/* ---- Classes ------------------------------------------------------------------------------ */

static kms_err add_rule(
    struct policy_diff *d, const struct rules_class *c, const char *rule, bool gains)
{
	struct policy_change change = { .gains = gains, .rule = rule };
	(void)snprintf(change.who, sizeof(change.who), "class %s", c->name);
	return add(d, &change);
}

/* A limit that is gone, or higher, is a right more. */
static kms_err compare_limit(struct policy_diff *d, const struct rules_class *c, const char *rule,
    const uint64_t old_new[static 2])
{
	uint64_t was = old_new[0], is = old_new[1];
	if (was == is)
		return KMS_OK;
	return add_rule(d, c, rule, is == 0 || (was != 0 && is > was));
}

static bool has_all(const struct rules_names *in, const struct rules_names *of)
{
	for (size_t i = 0; i < of->n; i++)
		if (!rules_names_has(in, bytes_of_str(of->p[i])))
			return false;
	return true;
}

/* Names of a context are demands: one less is a right more. Purposes are choices: one more is. */
static kms_err compare_names(
    struct policy_diff *d, const struct rules_class *was, const struct rules_class *is)
{
	if (!has_all(&is->context, &was->context))
		TRY(add_rule(d, is, "context", true));
	if (!has_all(&was->context, &is->context))
		TRY(add_rule(d, is, "context", false));
	bool more = is->purposes.n == 0 || !has_all(&was->purposes, &is->purposes);
	bool fewer = was->purposes.n == 0 || !has_all(&is->purposes, &was->purposes);
	if (was->purposes.n == is->purposes.n && has_all(&was->purposes, &is->purposes))
		return KMS_OK;
	if (was->purposes.n > 0 && more)
		TRY(add_rule(d, is, "purposes", true));
	if (is->purposes.n > 0 && fewer)
		TRY(add_rule(d, is, "purposes", false));
	return KMS_OK;
}

static kms_err compare_class(
    struct policy_diff *d, const struct rules_class *was, const struct rules_class *is)
{
	TRY(compare_names(d, was, is));
	TRY(compare_limit(d, is, "batch", (uint64_t[]){ was->batch, is->batch }));
	TRY(compare_limit(d, is, "usage_limit", (uint64_t[]){ was->usage_limit, is->usage_limit }));
	TRY(compare_limit(
	    d, is, "rotate_every", (uint64_t[]){ was->rotate_every_s, is->rotate_every_s }));
	if (was->retention_s != is->retention_s)
		TRY(add_rule(d, is, "retention",
		    was->retention_s == 0 || is->retention_s < was->retention_s));
	if (was->separate != is->separate)
		TRY(add_rule(d, is, "separate", was->separate));
	if (was->algorithm != is->algorithm)
		TRY(add_rule(d, is, "algorithm", true));
	return KMS_OK;
}

static kms_err compare_classes(
    const struct rules *old, const struct rules *fresh, struct policy_diff *out)
{
	for (size_t i = 0; i < fresh->class_n; i++) {
		const struct rules_class *is = &fresh->classes[i];
		const struct rules_class *was = rules_find_class(old, bytes_of_str(is->name));
		if (was != NULL)
			TRY(compare_class(out, was, is));
	}
	for (size_t i = 0; i < old->class_n; i++)
		if (rules_find_class(fresh, bytes_of_str(old->classes[i].name)) == NULL)
			TRY(add_rule(out, &old->classes[i], "removed", true));
	return KMS_OK;
}

kms_err policy_diff(const struct rules *old, const struct rules *fresh, struct policy_diff *out)
{
	*out = (struct policy_diff){ .n = 0 };
	kms_err e = compare(fresh, old, true, out);
	if (e == KMS_OK)
		e = compare(old, fresh, false, out);
	if (e == KMS_OK)
		e = compare_classes(old, fresh, out);
	if (e != KMS_OK)
		policy_diff_done(out);
	return e;
}
