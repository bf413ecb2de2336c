/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See seal.h. Additional data is always given: SoftHSM 2.6 crashes without (fixed in 2.7). It is a
 * hash, so that no token finds it too long.
 */
#include "pkcs11/seal.h"

#include <string.h>

#include "kms/crypto/rand.h"
#include "pkcs11/object.h"
#include "pkcs11/session.h"

enum {
	BITS = 8
};

/* A mechanism with what it points to. */
struct cipher {
	CK_MECHANISM mechanism;
	CK_GCM_PARAMS gcm;
	uint8_t iv[SEAL_IV_MAX];
};

size_t seal_iv_len(enum sealer_mechanism m)
{
	return m == SEALER_AES_GCM ? SEAL_GCM_IV : SEAL_CBC_IV;
}

size_t seal_data_len(enum sealer_mechanism m)
{
	return m == SEALER_AES_GCM ? SEALER_ROOT_LEN + SEAL_TAG : SEALER_ROOT_LEN;
}

/* KMS_E_TOKEN_MECHANISM if the token hasn't got it; another failure is that of the token. */
static kms_err check_mechanism(struct sealer *s, CK_MECHANISM_TYPE m)
{
	const CK_SLOT_ID id = PKCS11_get_slotid_from_slot(s->slot);
	const CK_FLAGS needed = CKF_ENCRYPT | CKF_DECRYPT;
	CK_MECHANISM_INFO info = { 0 };

	TRY(rv_check(s, RV_ANY, s->f->C_GetMechanismInfo(id, m, &info)));
	return (info.flags & needed) == needed ? KMS_OK : KMS_E_TOKEN_MECHANISM;
}

kms_err seal_choose(struct sealer *s, enum sealer_mechanism *out)
{
	const enum sealer_mechanism wanted = s->params.token.mechanism;
	kms_err e = KMS_E_TOKEN_MECHANISM;

	if (wanted != SEALER_AES_CBC) {
		e = check_mechanism(s, CKM_AES_GCM);
		*out = SEALER_AES_GCM;
	}
	if (e == KMS_E_TOKEN_MECHANISM && wanted != SEALER_AES_GCM) {
		e = check_mechanism(s, CKM_AES_CBC);
		*out = SEALER_AES_CBC;
	}
	return e;
}

/* c points into itself: it stays where it is. */
static void set_up(struct cipher *c, const uint8_t aad[static SHA256_LEN], const struct seal *x)
{
	memset(c, 0, sizeof(*c));
	memcpy(c->iv, x->iv, sizeof(c->iv));
	if (x->mechanism == SEALER_AES_CBC) {
		c->mechanism = (CK_MECHANISM){ CKM_AES_CBC, c->iv, SEAL_CBC_IV };
		return;
	}
	c->gcm.pIv = c->iv;
	c->gcm.ulIvLen = SEAL_GCM_IV;
	c->gcm.ulIvBits = (CK_ULONG)SEAL_GCM_IV * BITS;
	c->gcm.pAAD = object_input(bytes_of(aad, SHA256_LEN));
	c->gcm.ulAADLen = SHA256_LEN;
	c->gcm.ulTagBits = (CK_ULONG)SEAL_TAG * BITS;
	c->mechanism = (CK_MECHANISM){ CKM_AES_GCM, &c->gcm, sizeof(c->gcm) };
}

/* Zeros where the token makes it. */
static kms_err make_iv(const struct sealer *s, struct seal *x)
{
	memset(x->iv, 0, sizeof(x->iv));
	if (x->mechanism == SEALER_AES_GCM && s->params.token.iv_by_token)
		return KMS_OK;
	return rand_bytes(x->iv, seal_iv_len(x->mechanism));
}

static bool iv_made(const struct seal *x)
{
	static const uint8_t none[SEAL_IV_MAX];

	return memcmp(x->iv, none, sizeof(none)) != 0;
}

kms_err seal_close(struct sealer *s, CK_OBJECT_HANDLE key, const uint8_t aad[static SHA256_LEN],
    const struct secret *root, struct seal *x)
{
	const size_t expected = seal_data_len(x->mechanism);
	CK_BYTE_PTR clear = object_input(secret_bytes(root));
	CK_ULONG n = sizeof(x->data);
	struct cipher c;

	TRY(make_iv(s, x));
	set_up(&c, aad, x);
	TRY(rv_check(s, RV_ANY, s->f->C_EncryptInit(s->session, &c.mechanism, key)));
	TRY(rv_check(s, RV_ANY, s->f->C_Encrypt(s->session, clear, SEALER_ROOT_LEN, x->data, &n)));
	/* It may have written its own there, whether we asked for that or not. */
	if (x->mechanism == SEALER_AES_GCM)
		memcpy(x->iv, c.iv, SEAL_GCM_IV);
	if (!iv_made(x))
		return KMS_E_TOKEN_MECHANISM;
	return n == expected ? KMS_OK : KMS_E_TOKEN_FAILED;
}

/* A token that has gone may say the same as one that was given changed bytes. */
static kms_err judge(struct sealer *s, CK_RV rv)
{
	kms_err e = rv_check(s, RV_DECRYPT, rv);

	if (e != KMS_E_INTEGRITY)
		return e;
	TRY(session_check(s));
	return e;
}

kms_err seal_reopen(struct sealer *s, CK_OBJECT_HANDLE key, const uint8_t aad[static SHA256_LEN],
    const struct seal *x, struct secret **out_root)
{
	AUTO(secret_free) struct secret *room = NULL;
	CK_BYTE_PTR data = object_input(bytes_of(x->data, seal_data_len(x->mechanism)));
	CK_ULONG n = SECRET_MAX;
	struct cipher c;

	/* Some want room for the tag too. */
	TRY(secret_new(SECRET_MAX, &room));
	set_up(&c, aad, x);
	TRY(rv_check(s, RV_ANY, s->f->C_DecryptInit(s->session, &c.mechanism, key)));
	CK_RV rv =
	    s->f->C_Decrypt(s->session, data, seal_data_len(x->mechanism), secret_fill(room), &n);
	TRY(judge(s, rv));
	if (n != SEALER_ROOT_LEN)
		return KMS_E_INTEGRITY;
	return secret_from(bytes_of(secret_bytes(room).p, SEALER_ROOT_LEN), out_root);
}
