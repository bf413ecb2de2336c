/* SPDX-License-Identifier: Apache-2.0 */
/* Asking leaves a record too, so an id that nobody has a name for is asked for once. */
#include "kms/ctl/keynames.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void keynames_begin(struct keynames *names)
{
	names->asked = false;
}

void keynames_done(struct keynames *names)
{
	free(names->p);
	*names = (struct keynames){ .n = 0 };
}

static int compare(const void *a, const void *b)
{
	const struct keyname *x = a, *y = b;

	return memcmp(x->id.b, y->id.b, KEY_ID_LEN);
}

static kms_err add(struct keynames *names, const struct kms_key *keys, size_t n)
{
	struct keyname *more = reallocarray(names->p, names->n + n + 1, sizeof(*more));

	if (more == NULL)
		return KMS_E_NO_MEMORY;
	names->p = more;
	for (size_t i = 0; i < n; i++) {
		struct keyname *to = &more[names->n];

		if (keys[i].id.n != KEY_ID_LEN)
			continue;
		memcpy(to->id.b, keys[i].id.p, KEY_ID_LEN);
		(void)snprintf(to->name, sizeof(to->name), "%s", keys[i].key);
		names->n++;
	}
	return KMS_OK;
}

/* Every page of kmsd's list. */
static kms_err ask(struct kms *kms, struct keynames *fresh)
{
	char after[NAME_MAX_LEN + 1] = "";
	bool more = true;

	while (more) {
		AUTO(kms_result_free) struct kms_result *r = NULL;
		size_t n;

		if (kms_key_list(kms, after, 0, &r) != KMS_CODE_OK)
			return KMS_E_UNAVAILABLE;
		const struct kms_key *keys = kms_result_keys(r, &n, &more);
		TRY(add(fresh, keys, n));
		if (n == 0)
			break;
		(void)snprintf(after, sizeof(after), "%s", keys[n - 1].key);
	}
	qsort(fresh->p, fresh->n, sizeof(*fresh->p), compare);
	return KMS_OK;
}

/* Where it fails the names stay as they were: the records are what was asked for. */
static void renew(struct keynames *names, struct kms *kms)
{
	AUTO(keynames_done) struct keynames fresh = { .n = 0 };

	names->asked = true;
	if (ask(kms, &fresh) != KMS_OK)
		return;
	free(names->p);
	names->p = MOVE(fresh.p);
	names->n = fresh.n;
}

static const char *find(const struct keynames *names, const struct key_id *id)
{
	const struct keyname wanted = { .id = *id };

	const struct keyname *found =
	    names->n > 0 ? bsearch(&wanted, names->p, names->n, sizeof(*names->p), compare) : NULL;
	return found != NULL ? found->name : NULL;
}

static bool is_stranger(const struct keynames *names, const struct key_id *id)
{
	for (size_t i = 0; i < names->stranger_n && i < KEYNAMES_STRANGERS; i++) {
		if (memcmp(names->strangers[i].b, id->b, KEY_ID_LEN) == 0)
			return true;
	}
	return false;
}

const char *keynames_find(struct keynames *names, struct ctl *c, const struct key_id *id)
{
	static const struct key_id none = { .b = { 0 } };

	if (memcmp(id->b, none.b, KEY_ID_LEN) == 0)
		return NULL;
	const char *name = find(names, id);
	if (name != NULL || names->asked || is_stranger(names, id))
		return name;
	renew(names, c->kms);
	name = find(names, id);
	if (name == NULL)
		names->strangers[names->stranger_n++ % KEYNAMES_STRANGERS] = *id;
	return name;
}
