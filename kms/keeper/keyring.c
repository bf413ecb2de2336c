/* SPDX-License-Identifier: Apache-2.0 */
/* See keyring.h. Clear keys stay in struct secret; only their sealed form meets a buf. */
#include "kms/keeper/keyring.h"

#include "kms/crypto/aead.h"
#include "kms/crypto/kdf.h"
#include "kms/crypto/rand.h"
#include "kms/store/archive_head.h"

static_assert((int)KEYRING_STORE_KEY_LEN == (int)ARCHIVE_STORE_KEY_LEN, "it stands in a head");

enum {
	KEYRING_FORMAT = 1,
	NONCE_LEN = 24,
	SEALED_LEN = KEY_BITS_LEN + AEAD_TAG_LEN
};

/* The order on disk, for ever: only append. */
static const char *const labels[] = { "store", "audit", "backup" };

static struct secret **key_at(struct keyring *r, size_t i)
{
	struct secret **const keys[] = { &r->store_key, &r->audit_key, &r->backup_key };
	return keys[i];
}

void keyring_done(struct keyring *r)
{
	for (size_t i = 0; i < ARRAY_LEN(labels); i++)
		secret_free(key_at(r, i));
}

kms_err keyring_make(struct keyring *out)
{
	AUTO(keyring_done) struct keyring r = { 0 };
	for (size_t i = 0; i < ARRAY_LEN(labels); i++) {
		TRY(secret_new(KEY_BITS_LEN, key_at(&r, i)));
		TRY(rand_bytes(secret_fill(*key_at(&r, i)), KEY_BITS_LEN));
	}
	*out = r;
	r = (struct keyring){ 0 };
	return KMS_OK;
}

static kms_err wrapping_key(const struct secret *root, struct aead **out)
{
	AUTO(secret_free) struct secret *key = NULL;
	TRY(kdf_label(root, "kmsd keyring v1", &key));
	return aead_new(ALG_XAES_256_GCM, key, out);
}

kms_err keyring_encode(
    const struct keyring *r, const struct secret *root, struct bytes instance, struct buf *out)
{
	AUTO(aead_free) struct aead *a = NULL;
	AUTO(buf_done) struct buf row = { 0 };
	struct keyring keys = *r; /* pointers only */
	TRY(wrapping_key(root, &a));
	TRY(buf_put_u8(&row, KEYRING_FORMAT));
	TRY(buf_put_u8(&row, (uint8_t)ARRAY_LEN(labels)));
	for (size_t i = 0; i < ARRAY_LEN(labels); i++) {
		uint8_t nonce[NONCE_LEN], sealed[SEALED_LEN];
		const struct bytes aad[2] = { bytes_of_str(labels[i]), instance };
		TRY(rand_bytes(nonce, NONCE_LEN));
		TRY(aead_seal(a, nonce, aad, secret_bytes(*key_at(&keys, i)), sealed));
		TRY(buf_put_var(&row, aad[0]));
		TRY(buf_put(&row, bytes_of(nonce, NONCE_LEN)));
		TRY(buf_put(&row, bytes_of(sealed, SEALED_LEN)));
	}
	return buf_put(out, buf_bytes(&row));
}

static kms_err decode_key(
    struct reader *in, size_t i, struct aead *a, struct bytes instance, struct secret **out)
{
	const struct bytes aad[2] = { read_var(in), instance };
	struct bytes nonce = read_bytes(in, NONCE_LEN);
	struct bytes sealed = read_bytes(in, SEALED_LEN);
	if (in->failed || !bytes_equal(aad[0], bytes_of_str(labels[i])))
		return KMS_E_STORE_CORRUPT;
	AUTO(secret_free) struct secret *key = NULL;
	TRY(secret_new(KEY_BITS_LEN, &key));
	if (aead_open(a, nonce.p, aad, sealed, secret_fill(key)) != KMS_OK)
		return KMS_E_STORE_CORRUPT;
	*out = MOVE(key);
	return KMS_OK;
}

kms_err keyring_decode(
    struct bytes row, const struct secret *root, struct bytes instance, struct keyring *out)
{
	AUTO(keyring_done) struct keyring r = { 0 };
	AUTO(aead_free) struct aead *a = NULL;
	struct reader in = reader_of(row);
	uint8_t format = read_u8(&in);
	if (format > KEYRING_FORMAT)
		return KMS_E_STORE_NEWER;
	if (format != KEYRING_FORMAT || read_u8(&in) != ARRAY_LEN(labels))
		return KMS_E_STORE_CORRUPT;
	TRY(wrapping_key(root, &a));
	for (size_t i = 0; i < ARRAY_LEN(labels); i++)
		TRY(decode_key(&in, i, a, instance, key_at(&r, i)));
	if (!reader_done(&in))
		return KMS_E_STORE_CORRUPT;
	*out = r;
	r = (struct keyring){ 0 };
	return KMS_OK;
}

static const char store_key_label[] = "kmsd backup store key v1";

static kms_err store_key_seal(const struct keyring *r, struct aead **out)
{
	AUTO(secret_free) struct secret *key = NULL;
	TRY(kdf_label(r->backup_key, store_key_label, &key));
	return aead_new(ALG_XAES_256_GCM, key, out);
}

kms_err keyring_seal_store_key(
    const struct keyring *r, struct bytes instance, uint8_t out[static KEYRING_STORE_KEY_LEN])
{
	AUTO(aead_free) struct aead *a = NULL;
	const struct bytes aad[2] = { bytes_of_str(store_key_label), instance };
	TRY(store_key_seal(r, &a));
	TRY(rand_bytes(out, NONCE_LEN));
	return aead_seal(a, out, aad, secret_bytes(r->store_key), out + NONCE_LEN);
}

kms_err keyring_open_store_key(const struct keyring *r, struct bytes instance,
    const uint8_t sealed[static KEYRING_STORE_KEY_LEN], struct secret **out)
{
	AUTO(aead_free) struct aead *a = NULL;
	AUTO(secret_free) struct secret *key = NULL;
	const struct bytes aad[2] = { bytes_of_str(store_key_label), instance };
	TRY(store_key_seal(r, &a));
	TRY(secret_new(KEY_BITS_LEN, &key));
	if (aead_open(a, sealed, aad, bytes_of(sealed + NONCE_LEN, SEALED_LEN), secret_fill(key)) !=
	    KMS_OK)
		return KMS_E_BACKUP_DAMAGED;
	*out = MOVE(key);
	return KMS_OK;
}
