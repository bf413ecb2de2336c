/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See describe.h. A token's own word for what it can do is not believed: something is sealed under
 * the key that is there, or under one that only lives as long as the session, and opened again.
 */
#include "pkcs11/describe.h"

#include <stdio.h>
#include <string.h>

#include "pkcs11/key.h"
#include "pkcs11/session.h"
#include "pkcs11/sign.h"

enum {
	PIECE_MAX = 160, /* of the text */
	WORD_MAX = 32    /* bytes of a name in CK_TOKEN_INFO */
};

/* What the text is made of. */
struct facts {
	CK_TOKEN_INFO info;
	enum sealer_mechanism mechanism;
	bool key_there, signs;
};

/* A name in its field, which is filled up with blanks; what isn't ASCII becomes '?'. */
static const char *word(char out[static WORD_MAX + 1], const unsigned char *field, size_t n)
{
	while (n > 0 && (field[n - 1] == ' ' || field[n - 1] == '\0'))
		n--;
	for (size_t i = 0; i < n; i++)
		out[i] = (char)(field[i] >= ' ' && field[i] <= '~' ? field[i] : '?');
	out[n] = '\0';
	return out;
}

/* The key that is there; else, where we may make one, a key of the session alone. */
static kms_err take_key(struct sealer *s, CK_OBJECT_HANDLE *out, bool *out_there)
{
	const struct bytes label = bytes_of_str(s->params.token.key);
	struct object_id id;
	kms_err e = key_find(s, label, (struct bytes){ 0 }, out, &id);

	*out_there = e == KMS_OK;
	if (e != KMS_E_TOKEN_KEY_MISSING || !s->params.token.make_key)
		return e;
	TRY(object_id_make(&id));
	return key_make(s, &id, false, out);
}

/* Seals 32 zeros and opens them. */
static kms_err rehearse(struct sealer *s, CK_OBJECT_HANDLE key, enum sealer_mechanism m)
{
	static const uint8_t aad[SHA256_LEN];
	AUTO(secret_free) struct secret *zeros = NULL;
	AUTO(secret_free) struct secret *opened = NULL;
	struct seal x = { .mechanism = m };

	TRY(secret_new(SEALER_ROOT_LEN, &zeros));
	TRY(seal_close(s, key, aad, zeros, &x));
	TRY(seal_reopen(s, key, aad, &x, &opened));
	return secret_equal(opened, secret_bytes(zeros)) ? KMS_OK : KMS_E_TOKEN_FAILED;
}

/* One piece of the text; the whole is cut to its limit piece by piece. */
static kms_err put(struct buf *out, const char *piece)
{
	struct bytes x = bytes_of_str(piece);

	return out->n + x.n <= SEALER_TEXT_MAX ? buf_put(out, x) : KMS_OK;
}

static kms_err put_token(struct buf *out, const CK_TOKEN_INFO *t)
{
	char a[WORD_MAX + 1], b[WORD_MAX + 1], piece[PIECE_MAX];

	(void)snprintf(piece, sizeof(piece), "PKCS#11 token of %s (%s), firmware %u.%u",
	    word(a, t->manufacturerID, sizeof(t->manufacturerID)),
	    word(b, t->model, sizeof(t->model)), t->firmwareVersion.major,
	    t->firmwareVersion.minor);
	TRY(put(out, piece));
	(void)snprintf(piece, sizeof(piece), "; label %s, serial %s",
	    word(a, t->label, sizeof(t->label)), word(b, t->serialNumber, sizeof(t->serialNumber)));
	return put(out, piece);
}

static kms_err put_pin(struct buf *out, CK_FLAGS flags)
{
	if ((flags & CKF_USER_PIN_FINAL_TRY) != 0)
		return put(out, "; one more wrong PIN locks it");
	if ((flags & CKF_USER_PIN_COUNT_LOW) != 0)
		return put(out, "; there was a wrong PIN");
	return KMS_OK;
}

static kms_err put_text(struct buf *out, const struct sealer *s, const struct facts *f)
{
	const struct sealer_token *t = &s->params.token;
	char piece[PIECE_MAX];

	TRY(put_token(out, &f->info));
	TRY(put_pin(out, f->info.flags));
	(void)snprintf(piece, sizeof(piece), "; key %s %s", t->key,
	    f->key_there ? "is there" : "will be made");
	TRY(put(out, piece));
	if (f->mechanism == SEALER_AES_GCM)
		TRY(put(out, t->iv_by_token ? "; AES-GCM, IV of the token" : "; AES-GCM"));
	else
		TRY(put(out, "; AES-CBC with a check value"));
	TRY(put(out, f->signs ? "; can sign" : "; can't sign"));
	return put(out, "; sealing and opening work");
}

kms_err describe_token(struct sealer *s, struct buf *out)
{
	AUTO(buf_done) struct buf text = { 0 };
	struct facts f = { .key_there = false };
	CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
	const CK_SLOT_ID id = PKCS11_get_slotid_from_slot(s->slot);

	TRY(rv_check(s, RV_ANY, s->f->C_GetTokenInfo(id, &f.info)));
	TRY(seal_choose(s, &f.mechanism));
	f.signs = sign_possible(s);
	TRY(session_open(s, false));
	TRY(take_key(s, &key, &f.key_there));
	kms_err e = rehearse(s, key, f.mechanism);
	/* It would go with the session; a module may be less strict about that. */
	if (!f.key_there)
		(void)s->f->C_DestroyObject(s->session, key);
	TRY(e);
	TRY(put_text(&text, s, &f));
	return buf_put(out, buf_bytes(&text));
}
