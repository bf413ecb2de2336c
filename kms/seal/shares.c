/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a set of shares: which shares are its own, and the root if there are enough of them. A
 * shared secret is only used once the commitment has shown that it is the one.
 */
#include "kms/seal/shares.h"

#include <string.h>

#include "kms/crypto/kdf.h"
#include "kms/crypto/shamir.h"
#include "kms/seal/shares_private.h"

static_assert((int)SHARES_MAX == (int)SHAMIR_MAX && (int)SHARE_VALUE_LEN == (int)SHAMIR_LEN,
    "a share is one of Shamir's");

static const char key_label[] = "kms shares root v1";
static const char commit_label[] = "kms shares commit v1";
static const char check_label[] = "kms share check v1";

void share_done(struct share *s)
{
	secret_free(&s->value);
	wipe(s, sizeof(*s));
}

kms_err shares_key(const struct secret *shared, struct aead **out)
{
	AUTO(secret_free) struct secret *key = NULL;

	TRY(kdf_label(shared, key_label, &key));
	return aead_new(ALG_XAES_256_GCM, key, out);
}

kms_err shares_commit(const struct secret *shared, const struct shares_parts *p,
    const uint8_t instance[static INSTANCE_ID_LEN], uint8_t out[static SHARES_COMMITMENT_LEN])
{
	AUTO(secret_free) struct secret *key = NULL;
	AUTO(mac_free) struct mac *m = NULL;
	const struct bytes parts[] = { bytes_of(instance, INSTANCE_ID_LEN), p->head, p->nonce,
		p->sealed, p->checks };

	TRY(kdf_label(shared, commit_label, &key));
	TRY(mac_new(key, &m));
	return mac_compute(m, parts, ARRAY_LEN(parts), out);
}

kms_err shares_check_value(
    struct bytes head, const struct share *s, uint8_t out[static SHARE_CHECK_LEN])
{
	const struct bytes parts[] = { bytes_of_str(check_label), head, bytes_of(&s->x, 1),
		secret_bytes(s->value) };
	uint8_t hash[SHA256_LEN];

	TRY(hash_sha256(parts, ARRAY_LEN(parts), hash));
	memcpy(out, hash, SHARE_CHECK_LEN);
	return KMS_OK;
}

static kms_err decode(struct bytes blob, struct shares_parts *out)
{
	struct reader r = reader_of(blob);
	struct shares_parts p = { .head = bytes_of(blob.p, SHARES_HEAD_LEN) };
	uint8_t version = read_u8(&r);

	if (r.failed || version == 0)
		return KMS_E_STORE_CORRUPT;
	if (version > SHARES_VERSION)
		return KMS_E_NEWER_FORMAT;
	p.k = read_u8(&r);
	p.n = read_u8(&r);
	(void)read_bytes(&r, SHARE_SET_LEN);
	p.nonce = read_bytes(&r, SHARES_NONCE_LEN);
	p.sealed = read_bytes(&r, SHARES_SEALED_LEN);
	p.commitment = read_bytes(&r, SHARES_COMMITMENT_LEN);
	p.checks = read_bytes(&r, (size_t)p.n * SHARE_CHECK_LEN);
	if (!reader_done(&r) || !shamir_possible(p.k, p.n))
		return KMS_E_STORE_CORRUPT;
	*out = p;
	return KMS_OK;
}

kms_err shares_info(struct bytes blob, struct shares_info *out)
{
	struct shares_parts p;

	TRY(decode(blob, &p));
	out->k = p.k;
	out->n = p.n;
	memcpy(out->set, p.head.p + SHARES_HEAD_LEN - SHARE_SET_LEN, SHARE_SET_LEN);
	return KMS_OK;
}

static kms_err check(const struct shares_parts *p, const struct share *s)
{
	const uint8_t *set = p->head.p + SHARES_HEAD_LEN - SHARE_SET_LEN;
	uint8_t value[SHARE_CHECK_LEN];

	if (memcmp(set, s->set, SHARE_SET_LEN) != 0 || s->k != p->k || s->n != p->n)
		return KMS_E_SHARE_FOREIGN;
	if (s->x == 0 || s->x > p->n || secret_len(s->value) != SHARE_VALUE_LEN)
		return KMS_E_SHARE_WRONG;
	TRY(shares_check_value(p->head, s, value));
	const uint8_t *known = p->checks.p + (size_t)(s->x - 1) * SHARE_CHECK_LEN;
	return equal_ct(value, known, SHARE_CHECK_LEN) ? KMS_OK : KMS_E_SHARE_WRONG;
}

kms_err shares_check(struct bytes blob, const struct share *s)
{
	struct shares_parts p;

	TRY(decode(blob, &p));
	return check(&p, s);
}

/* All of them, also those that are not needed: a wrong one must not go unnoticed. */
static kms_err check_all(const struct shares_parts *p, const struct share *shares, size_t n)
{
	unsigned seen = 0;

	for (size_t i = 0; i < n; i++) {
		TRY(check(p, &shares[i]));
		if (seen >> shares[i].x & 1)
			return KMS_E_SHARE_TWICE;
		seen |= 1U << shares[i].x;
	}
	return n >= p->k ? KMS_OK : KMS_E_SHARES_FEW;
}

static kms_err combine(const struct share *shares, size_t k, struct secret **out)
{
	struct shamir_point points[SHARES_MAX];

	for (size_t i = 0; i < k; i++)
		points[i] = (struct shamir_point){ .x = shares[i].x, .y = shares[i].value };
	return shamir_combine(points, k, out);
}

static kms_err open_root(const struct shares_parts *p, const struct secret *shared,
    const uint8_t instance[static INSTANCE_ID_LEN], struct secret **out_root)
{
	AUTO(aead_free) struct aead *key = NULL;
	AUTO(secret_free) struct secret *root = NULL;
	const struct bytes aad[2] = { p->head, bytes_of(instance, INSTANCE_ID_LEN) };
	uint8_t commitment[SHARES_COMMITMENT_LEN];

	TRY(shares_commit(shared, p, instance, commitment));
	if (!equal_ct(commitment, p->commitment.p, SHARES_COMMITMENT_LEN))
		return KMS_E_INTEGRITY;
	TRY(shares_key(shared, &key));
	TRY(secret_new(SHARES_ROOT_LEN, &root));
	TRY(aead_open(key, p->nonce.p, aad, p->sealed, secret_fill(root)));
	*out_root = MOVE(root);
	return KMS_OK;
}

kms_err shares_open(struct bytes blob, const uint8_t instance[static INSTANCE_ID_LEN],
    const struct share *shares, size_t n, struct secret **out_root)
{
	AUTO(secret_free) struct secret *shared = NULL;
	struct shares_parts p;

	TRY(decode(blob, &p));
	TRY(check_all(&p, shares, n));
	TRY(combine(shares, p.k, &shared));
	return open_root(&p, shared, instance, out_root);
}
