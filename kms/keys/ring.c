/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is done with master keys. The one file where a version's bits meet data: each step of an
 * issue, a wrap or an unwrap ends here. Decides nothing about who may, and writes nothing.
 */
#include "kms/keys/ring.h"

#include <stdlib.h>

#include "kms/base/buf.h"
#include "kms/crypto/kwp.h"
#include "kms/keys/cache.h"
#include "kms/keys/index.h"
#include "kms/keys/lifecycle.h"

struct ring {
	struct index index;
	struct cache cache;
};

kms_err ring_new(size_t cache, struct ring **out)
{
	AUTO(ring_free) struct ring *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return KMS_E_NO_MEMORY;
	cache_init(&r->cache, cache);
	TRY(index_init(&r->index));
	*out = MOVE(r);
	return KMS_OK;
}

void ring_free(struct ring **r)
{
	struct ring *x = MOVE(*r);

	if (x == NULL)
		return;
	cache_done(&x->cache);
	for (size_t i = 0; i < x->index.n; i++)
		key_free(&x->index.sorted[i]);
	index_done(&x->index);
	free(x);
}

kms_err ring_add(struct ring *r, struct key *k)
{
	return index_add(&r->index, k);
}

struct key *ring_find(const struct ring *r, struct bytes name)
{
	return index_find(&r->index, name);
}

struct key *ring_find_id(const struct ring *r, struct key_id id)
{
	return index_find_id(&r->index, id);
}

size_t ring_count(const struct ring *r)
{
	return r->index.n;
}

size_t ring_version_count(const struct ring *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->index.n; i++)
		n += r->index.sorted[i]->n;
	return n;
}

struct key *ring_next(const struct ring *r, struct bytes after)
{
	return index_next(&r->index, after);
}

void ring_touch(struct ring *r, struct key *k)
{
	cache_drop(&r->cache, k);
}

/* The canonical form of the empty map is one byte. */
static bool no_context(struct bytes canon)
{
	return canon.n <= 1;
}

static kms_err wrap_kwp(struct key_version *v, const struct wrap_input *in, uint8_t *out)
{
	if (!no_context(in->canon))
		return KMS_E_CONTEXT_NOT_POSSIBLE;
	return kwp_wrap(KWP_PADDED, v->bits, in->plain, out);
}

/* `head` is written; nonce, ciphertext and tag go behind it. */
static kms_err wrap_aead(
    struct aead *a, size_t nonce_len, const struct wrap_input *in, uint8_t *head)
{
	uint8_t *nonce = head + WRAPPED_HEAD_LEN;
	struct bytes aad[2] = { bytes_of(head, WRAPPED_HEAD_LEN), in->canon };

	TRY(rand_draw(in->rand, nonce, nonce_len));
	return aead_seal(a, nonce, aad, in->plain, nonce + nonce_len);
}

kms_err ring_wrap(
    struct ring *r, struct key *k, struct key_version *v, const struct wrap_input *in, uint8_t *out)
{
	struct aead *a;

	if (v->bits == NULL || !lifecycle_wraps(v->state))
		return KMS_E_WRONG_STATE;
	if (in->plain.n > PLAINTEXT_MAX)
		return KMS_E_PLAINTEXT_TOO_BIG;
	wrapped_put_head(k->algorithm, k->id, v->number, out);
	if (k->algorithm == ALG_AES_256_KWP)
		return wrap_kwp(v, in, out + WRAPPED_HEAD_LEN);
	TRY(cache_aead(&r->cache, k, v, &a));
	return wrap_aead(a, aead_nonce_len(k->algorithm), in, out);
}

/* The caller found k and v by what w says; a mix-up must end as any other wrong blob does. */
static bool names(const struct wrapped *w, const struct key *k, const struct key_version *v)
{
	return w->algorithm == k->algorithm && w->version == v->number &&
	       bytes_equal(bytes_of(w->key.b, KEY_ID_LEN), bytes_of(k->id.b, KEY_ID_LEN));
}

static kms_err unwrap_kwp(
    struct key_version *v, const struct unwrap_input *in, uint8_t *out, size_t *out_n)
{
	if (!no_context(in->canon))
		return KMS_E_INTEGRITY;
	return kwp_unwrap(KWP_PADDED, v->bits, in->w->sealed, out, out_n);
}

static kms_err unwrap(struct ring *r, struct key *k, struct key_version *v,
    const struct unwrap_input *in, uint8_t *out, size_t *out_n)
{
	const struct wrapped *w = in->w;
	struct bytes aad[2] = { w->head, in->canon };
	struct aead *a;

	if (v->bits == NULL || !names(w, k, v))
		return KMS_E_INTEGRITY;
	if (k->algorithm == ALG_AES_256_KWP)
		return unwrap_kwp(v, in, out, out_n);
	TRY(cache_aead(&r->cache, k, v, &a));
	TRY(aead_open(a, w->nonce.p, aad, w->sealed, out));
	*out_n = w->sealed.n - AEAD_TAG_LEN;
	return KMS_OK;
}

kms_err ring_unwrap(struct ring *r, struct key *k, struct key_version *v,
    const struct unwrap_input *in, uint8_t *out, size_t *out_n)
{
	kms_err e = unwrap(r, k, v, in, out, out_n);

	if (e != KMS_OK)
		wipe(out, in->w->sealed.n);
	return e;
}

kms_err ring_mac(struct ring *r, struct key *k, struct key_version *v, struct bytes data,
    struct bytes canon, uint8_t out[static 32])
{
	uint8_t canon_len[2];
	struct bytes parts[] = { bytes_of(canon_len, sizeof(canon_len)), canon, data };
	struct mac *m;

	if (v->bits == NULL)
		return KMS_E_DESTROYED;
	TRY(cache_mac(&r->cache, k, v, &m));
	/* The length keeps a longer context with shorter data from giving the same bytes. */
	store_u16(canon_len, (uint16_t)canon.n);
	return mac_compute(m, parts, ARRAY_LEN(parts), out);
}
