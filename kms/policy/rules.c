/* SPDX-License-Identifier: Apache-2.0 */
/* What a policy is made of, and finding things in it by their names. */
#include "kms/policy/rules.h"

#include <stdlib.h>
#include <string.h>

static_assert((int)RULES_BATCH_MAX == (int)BATCH_MAX, "the same batch");

kms_err rules_new(struct rules **out)
{
	struct rules *r = calloc(1, sizeof(*r));
	if (r == NULL)
		return KMS_E_NO_MEMORY;
	*out = r;
	return KMS_OK;
}

void rules_names_done(struct rules_names *n)
{
	free(n->p);
	*n = (struct rules_names){ .n = 0 };
}

void rules_free(struct rules **r)
{
	struct rules *x = MOVE(*r);
	if (x == NULL)
		return;
	for (size_t i = 0; i < x->class_n; i++) {
		rules_names_done(&x->classes[i].context);
		rules_names_done(&x->classes[i].purposes);
	}
	for (size_t i = 0; i < x->role_n; i++)
		rules_names_done(&x->roles[i].keys);
	free(x->steps);
	free(x->holidays);
	free(x->classes);
	free(x->roles);
	free(x->grants);
	free(x);
}

kms_err rules_names_add(struct rules_names *n, struct bytes name)
{
	if (n->n >= RULES_NAMES_MAX || name.n > NAME_MAX_LEN || name.n == 0)
		return KMS_E_BAD_POLICY;
	char(*more)[NAME_MAX_LEN + 1] = reallocarray(n->p, n->n + 1, sizeof(*more));
	if (more == NULL)
		return KMS_E_NO_MEMORY;
	n->p = more;
	memcpy(n->p[n->n], name.p, name.n);
	n->p[n->n++][name.n] = '\0';
	return KMS_OK;
}

bool rules_names_has(const struct rules_names *n, struct bytes name)
{
	for (size_t i = 0; i < n->n; i++)
		if (bytes_equal(bytes_of_str(n->p[i]), name))
			return true;
	return false;
}

const struct rules_grant *rules_find_grant(const struct rules *r, struct bytes who)
{
	for (size_t i = 0; i < r->grant_n; i++)
		if (bytes_equal(bytes_of_str(r->grants[i].who), who))
			return &r->grants[i];
	return NULL;
}

const struct rules_class *rules_find_class(const struct rules *r, struct bytes name)
{
	for (size_t i = 0; i < r->class_n; i++)
		if (bytes_equal(bytes_of_str(r->classes[i].name), name))
			return &r->classes[i];
	return NULL;
}

const struct rules_role *rules_find_role(const struct rules *r, struct bytes name)
{
	for (size_t i = 0; i < r->role_n; i++)
		if (bytes_equal(bytes_of_str(r->roles[i].name), name))
			return &r->roles[i];
	return NULL;
}

/* Goes back to the last '*' where it does not fit: linear for one, quadratic at worst. */
bool rules_glob(const char *pattern, struct bytes name)
{
	const char *star = NULL;
	size_t i = 0, from = 0;
	while (i < name.n) {
		if (*pattern == '*') {
			star = pattern++;
			from = i;
		} else if (*pattern != '\0' && (uint8_t)*pattern == name.p[i]) {
			pattern++;
			i++;
		} else if (star != NULL) {
			pattern = star + 1;
			i = ++from;
		} else {
			return false;
		}
	}
	return pattern[strspn(pattern, "*")] == '\0';
}

bool rules_role_has(const struct rules_role *role, enum op op)
{
	return (unsigned)op < OP_COUNT &&
	       (role->ops[(unsigned)op / 64] >> ((unsigned)op % 64) & 1) != 0;
}

void rules_role_add(struct rules_role *role, enum op op)
{
	CHECK((unsigned)op < OP_COUNT);
	role->ops[(unsigned)op / 64] |= (uint64_t)1 << ((unsigned)op % 64);
}

/* Of users as useradd takes them, of SANs as URIs are written: printable, without spaces. */
static bool who_name_ok(struct bytes name)
{
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] <= ' ' || name.p[i] > '~' || name.p[i] == '"' || name.p[i] == '\\')
			return false;
	return name.n > 0 && name.n <= RULES_WHO_NAME_MAX;
}

bool rules_who_valid(struct bytes who)
{
	static const char *const kinds[] = { "unix:", "token:", "tls:", "operator:" };
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		size_t n = strlen(kinds[i]);
		if (who.n > n && memcmp(who.p, kinds[i], n) == 0)
			return who_name_ok(bytes_of(who.p + n, who.n - n));
	}
	return false;
}
