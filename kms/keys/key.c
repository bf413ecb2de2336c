/* SPDX-License-Identifier: Apache-2.0 */
/* A master key and its versions in memory. What a version may be used for is lifecycle.h's. */
#include "kms/keys/key.h"

#include <stdlib.h>

kms_err key_new(struct key **out)
{
	struct key *k = calloc(1, sizeof(*k));

	if (k == NULL)
		return KMS_E_NO_MEMORY;
	*out = k;
	return KMS_OK;
}

void key_free(struct key **k)
{
	struct key *x = MOVE(*k);

	if (x == NULL)
		return;
	for (size_t i = 0; i < x->n; i++)
		secret_free(&x->versions[i].bits);
	free(x->versions);
	wipe(x, sizeof(*x));
	free(x);
}

/* Where version `number` is or would be. */
static size_t lower_bound(const struct key *k, uint32_t number)
{
	size_t from = 0, to = k->n;

	while (from < to) {
		size_t middle = (from + to) / 2;
		if (k->versions[middle].number < number)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

struct key_version *key_find_version(const struct key *k, uint32_t number)
{
	size_t i = lower_bound(k, number);

	if (i == k->n || k->versions[i].number != number)
		return NULL;
	return &k->versions[i];
}

struct key_version *key_active(const struct key *k)
{
	for (size_t i = k->n; i > 0; i--) {
		if (k->versions[i - 1].state == STATE_ACTIVE)
			return &k->versions[i - 1];
	}
	return NULL;
}

/* There is room for the next power of two. Most keys have few versions, and there are many keys. */
static kms_err grow(struct key *k)
{
	if ((k->n & (k->n - 1)) != 0)
		return KMS_OK;
	size_t room = k->n == 0 ? 1 : 2 * k->n;
	struct key_version *grown = reallocarray(k->versions, room, sizeof(*grown));
	if (grown == NULL)
		return KMS_E_NO_MEMORY;
	k->versions = grown;
	return KMS_OK;
}

kms_err key_add_version(struct key *k, struct key_version **out)
{
	uint32_t newest = k->n == 0 ? 0 : k->versions[k->n - 1].number;

	if (k->n >= KEY_VERSIONS_MAX || newest == UINT32_MAX)
		return KMS_E_KEYS_FULL;
	TRY(grow(k));

	struct key_version *v = &k->versions[k->n++];
	*v = (struct key_version){ .number = newest + 1 };
	*out = v;
	return KMS_OK;
}
