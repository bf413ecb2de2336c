/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An entry knows its version by key and number, never by address: versions move when one is added,
 * and the pointer to the entry moves along inside them.
 */
#include "kms/keys/cache.h"

#include <stdlib.h>

#include "kms/crypto/kdf.h"

/* One purpose, one label (docs/formats.md). */
static const char *const wrap_labels[ALG_COUNT] = {
	[ALG_XAES_256_GCM] = "kmsd 1 wrap xaes-256-gcm",
	[ALG_AES_256_GCM] = "kmsd 1 wrap aes-256-gcm",
};
static const char mac_label[] = "kmsd 1 mac hmac-sha-256";

struct key_cached {
	TAILQ_ENTRY(key_cached) link;
	struct key *key;
	uint32_t number;   /* of the version */
	struct aead *aead; /* each NULL until it is asked for */
	struct mac *mac;
};

void cache_init(struct cache *c, size_t max)
{
	*c = (struct cache){ .max = max < 1 ? 1 : max };
	TAILQ_INIT(&c->list);
}

static void drop(struct cache *c, struct key_cached *e)
{
	key_find_version(e->key, e->number)->cached = NULL;
	TAILQ_REMOVE(&c->list, e, link);
	c->n--;
	aead_free(&e->aead);
	mac_free(&e->mac);
	free(e);
}

void cache_done(struct cache *c)
{
	struct key_cached *e;

	while ((e = TAILQ_FIRST(&c->list)) != NULL)
		drop(c, e);
}

void cache_drop(struct cache *c, struct key *k)
{
	for (size_t i = 0; i < k->n; i++) {
		if (k->versions[i].cached != NULL)
			drop(c, k->versions[i].cached);
	}
}

/* A new entry for v, for which the one used longest ago goes. */
static kms_err make(struct cache *c, struct key *k, struct key_version *v, struct key_cached **out)
{
	struct key_cached *e = calloc(1, sizeof(*e));

	if (e == NULL)
		return KMS_E_NO_MEMORY;
	if (c->n == c->max)
		drop(c, TAILQ_LAST(&c->list, key_cached_list));
	e->key = k;
	e->number = v->number;
	v->cached = e;
	TAILQ_INSERT_HEAD(&c->list, e, link);
	c->n++;
	*out = e;
	return KMS_OK;
}

/* The entry of v, put first. */
static kms_err touch(struct cache *c, struct key *k, struct key_version *v, struct key_cached **out)
{
	struct key_cached *e = v->cached;

	if (e == NULL)
		return make(c, k, v, out);
	if (e != TAILQ_FIRST(&c->list)) {
		TAILQ_REMOVE(&c->list, e, link);
		TAILQ_INSERT_HEAD(&c->list, e, link);
	}
	*out = e;
	return KMS_OK;
}

kms_err cache_aead(struct cache *c, struct key *k, struct key_version *v, struct aead **out)
{
	struct key_cached *e;

	if (wrap_labels[k->algorithm] == NULL)
		return KMS_E_BAD_ALGORITHM;
	TRY(touch(c, k, v, &e));
	if (e->aead == NULL) {
		AUTO(key_wipe) struct key256 sub;
		TRY(kdf_label_clear(v->bits, wrap_labels[k->algorithm], &sub));
		TRY(aead_new_clear(k->algorithm, sub.b, &e->aead));
	}
	*out = e->aead;
	return KMS_OK;
}

kms_err cache_mac(struct cache *c, struct key *k, struct key_version *v, struct mac **out)
{
	struct key_cached *e;

	TRY(touch(c, k, v, &e));
	if (e->mac == NULL) {
		AUTO(key_wipe) struct key256 sub;
		TRY(kdf_label_clear(v->bits, mac_label, &sub));
		TRY(mac_new_clear(bytes_of(sub.b, sizeof(sub.b)), &e->mac));
	}
	*out = e->mac;
	return KMS_OK;
}
