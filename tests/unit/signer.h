/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of signed notes: a log key of known bits, and notes that it has signed. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "kms/audit/checkpoint.h"
#include "kms/audit/note.h"
#include "kms/crypto/ecdsa.h"

struct signer {
	struct ecdsa_private *private;
	struct note_key key;
	struct ecdsa_public *public;
};

static inline void signer_done(struct signer *s)
{
	ecdsa_private_free(&s->private);
	ecdsa_public_free(&s->public);
}

/* Its key's bits are all `fill`. */
static inline struct signer signer_new(const char *name, uint8_t fill)
{
	struct signer s = { .private = NULL };
	struct secret *bits = NULL;
	uint8_t clear[KEY_BITS_LEN], spki[ECDSA_SPKI_LEN];

	memset(clear, fill, sizeof(clear));
	assert_int_equal(secret_from(bytes_of(clear, sizeof(clear)), &bits), KMS_OK);
	assert_int_equal(ecdsa_private_new(bits, &s.private), KMS_OK);
	secret_free(&bits);
	ecdsa_private_spki(s.private, spki);
	assert_int_equal(ecdsa_public_new(bytes_of(spki, sizeof(spki)), &s.public), KMS_OK);
	assert_int_equal(note_key_make(name, bytes_of(spki, sizeof(spki)), &s.key), KMS_OK);
	return s;
}

/* Adds its line to a note that was begun with `text`. */
static inline void signer_sign(const struct signer *s, struct bytes text, struct buf *note)
{
	AUTO(buf_done) struct buf sig = { 0 };

	assert_int_equal(ecdsa_sign(s->private, text, &sig), KMS_OK);
	assert_int_equal(note_sign(&s->key, buf_bytes(&sig), note), KMS_OK);
}

/* A whole note of a checkpoint. */
static inline void signer_note(const struct signer *s, const struct checkpoint *c, struct buf *out)
{
	AUTO(buf_done) struct buf text = { 0 };

	assert_int_equal(checkpoint_encode(c, &text), KMS_OK);
	assert_int_equal(note_begin(buf_bytes(&text), out), KMS_OK);
	signer_sign(s, buf_bytes(&text), out);
}
