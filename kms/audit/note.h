/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signed notes (C2SP signed-note): a text, an empty line, and a line for each signature. Ours are
 * ECDSA P-256 (type 0x02), whose key id is the beginning of SHA-256 of the public key. Read without
 * trust: a note that could be written in another way is no note.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/base/buf.h"
#include "kms/base/types.h"
#include "kms/crypto/ecdsa.h"

enum {
	NOTE_MAX = 4096,     /* bytes of a whole note */
	NOTE_NAME_MAX = 128, /* bytes of a key's name */
	NOTE_SIGNATURES_MAX = 16,
	NOTE_KEY_ID_LEN = 4,
	NOTE_ECDSA = 0x02 /* its type */
};

/* A key that signs notes, public half. */
struct note_key {
	char name[NOTE_NAME_MAX + 1];
	uint8_t id[NOTE_KEY_ID_LEN];
	uint8_t spki[ECDSA_SPKI_LEN];
};
/* KMS_E_BAD_REQUEST for a name or a public key that can't be. */
MUST_USE kms_err note_key_make(const char *name, struct bytes spki, struct note_key *out);
/* As text: NAME+ID in hexadecimal+base64(type ‖ public key), without a newline. KMS_E_NO_MEMORY. */
MUST_USE kms_err note_key_encode(const struct note_key *k, struct buf *out);
/* One line of such text, without its newline. KMS_E_BAD_REQUEST, KMS_E_NO_MEMORY. */
MUST_USE kms_err note_key_decode(struct bytes text, struct note_key *out);
bool note_key_equal(const struct note_key *a, const struct note_key *b);

struct note {
	struct bytes text; /* signed; ends with a newline */
	struct bytes names[NOTE_SIGNATURES_MAX];
	struct bytes values[NOTE_SIGNATURES_MAX]; /* base64, known to be well-formed */
	size_t n;
};
/* Borrows in. KMS_E_BAD_REQUEST, KMS_E_NO_MEMORY. */
MUST_USE kms_err note_decode(struct bytes in, struct note *out);
/*
 * Checks every signature that says it is this key's. KMS_E_NOT_FOUND: there is none;
 * KMS_E_INTEGRITY: one does not fit; KMS_E_NO_MEMORY.
 */
MUST_USE kms_err note_verify(
    const struct note *n, const struct note_key *key, const struct ecdsa_public *public);

/* Appends a note's text and its empty line; signature lines follow. KMS_E_NO_MEMORY. */
MUST_USE kms_err note_begin(struct bytes text, struct buf *out);
/* Appends one signature line. KMS_E_NO_MEMORY. */
MUST_USE kms_err note_sign(const struct note_key *k, struct bytes sig, struct buf *out);
