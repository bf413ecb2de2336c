/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proving that two keepers have the same key without showing it: both answer one challenge. A
 * rehearsal compares a restored store with the one in service this way, version by version.
 */
#include "kms/crypto/hash.h"
#include "kms/crypto/kdf.h"
#include "kms/keeper/ops.h"

enum {
	CHALLENGE_MIN = 16,
	CHALLENGE_MAX = 64
};

static const char label[] = "kms prove v1";

static const struct key_version *find_version(const struct key *key, uint32_t number)
{
	return number == 0 ? key_active(key) : key_find_version(key, number);
}

kms_err op_key_prove(struct keeper *k, struct task *t, const struct request *r, struct answer *out)
{
	AUTO(secret_free) struct secret *key = NULL;
	AUTO(mac_free) struct mac *m = NULL;
	uint8_t *proof = NULL;
	if (r->challenge.n < CHALLENGE_MIN || r->challenge.n > CHALLENGE_MAX)
		return KMS_E_BAD_REQUEST;
	const struct key *of = ring_find(k->ring, r->key);
	const struct key_version *v = of != NULL ? find_version(of, r->version) : NULL;
	if (v == NULL)
		return KMS_E_NOT_FOUND;
	t->record.key = of->id;
	t->record.version = v->number;
	if (v->bits == NULL)
		return KMS_E_DESTROYED;
	TRY(arena_alloc(&k->arena, SHA256_LEN, &proof));
	TRY(kdf_label(v->bits, label, &key));
	TRY(mac_new(key, &m));
	TRY(mac_compute(m, &r->challenge, 1, proof));
	out->kind = ANSWER_PROOF;
	out->u.text = bytes_of(proof, SHA256_LEN);
	return KMS_OK;
}
