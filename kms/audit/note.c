/* SPDX-License-Identifier: Apache-2.0 */
/* See note.h. https://c2sp.org/signed-note is the text that this follows. */
#include "kms/audit/note.h"

#include <string.h>

#include "kms/base/base64.h"
#include "kms/crypto/hash.h"

enum {
	ID_DIGITS = 2 * NOTE_KEY_ID_LEN
};

/* An em dash and a space. */
static const uint8_t dash[] = { 0xe2, 0x80, 0x94, ' ' };
static const char digits[] = "0123456789abcdef";

/* ASCII alone, which the standard would not ask: then no space of Unicode can be in it. */
static bool name_fits(struct bytes name)
{
	if (name.n == 0 || name.n > NOTE_NAME_MAX)
		return false;
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] <= ' ' || name.p[i] >= 0x7f || name.p[i] == '+')
			return false;
	return true;
}

/* Of printable ASCII and newlines. */
static bool text_fits(struct bytes text)
{
	for (size_t i = 0; i < text.n; i++)
		if ((text.p[i] < ' ' && text.p[i] != '\n') || text.p[i] >= 0x7f)
			return false;
	return text.n > 0 && text.p[text.n - 1] == '\n';
}

kms_err note_key_make(const char *name, struct bytes spki, struct note_key *out)
{
	struct note_key k = { .name = "" };
	uint8_t hash[SHA256_LEN];
	struct bytes n = bytes_of_str(name);

	if (!name_fits(n) || spki.n != sizeof(k.spki))
		return KMS_E_BAD_REQUEST;
	TRY(hash_sha256(&spki, 1, hash));
	memcpy(k.name, n.p, n.n);
	memcpy(k.id, hash, sizeof(k.id));
	memcpy(k.spki, spki.p, spki.n);
	*out = k;
	return KMS_OK;
}

bool note_key_equal(const struct note_key *a, const struct note_key *b)
{
	return strcmp(a->name, b->name) == 0 && memcmp(a->spki, b->spki, sizeof(a->spki)) == 0;
}

kms_err note_key_encode(const struct note_key *k, struct buf *out)
{
	AUTO(buf_done) struct buf line = { 0 };
	uint8_t typed[1 + ECDSA_SPKI_LEN] = { NOTE_ECDSA };

	memcpy(typed + 1, k->spki, sizeof(k->spki));
	TRY(buf_put(&line, bytes_of_str(k->name)));
	TRY(buf_put_u8(&line, '+'));
	for (size_t i = 0; i < sizeof(k->id); i++) {
		TRY(buf_put_u8(&line, (uint8_t)digits[k->id[i] >> 4]));
		TRY(buf_put_u8(&line, (uint8_t)digits[k->id[i] & 15]));
	}
	TRY(buf_put_u8(&line, '+'));
	TRY(base64_encode(bytes_of(typed, sizeof(typed)), &line));
	return buf_put(out, buf_bytes(&line));
}

/* What stands before the first `end`, which is taken away with it. False: there is none. */
static bool cut(struct bytes *in, uint8_t end, struct bytes *out)
{
	const uint8_t *at = in->n == 0 ? NULL : memchr(in->p, end, in->n);

	if (at == NULL)
		return false;
	size_t n = (size_t)(at - in->p);
	*out = bytes_of(in->p, n);
	*in = bytes_of(at + 1, in->n - n - 1);
	return true;
}

/* The decoder in base skips white space, which no note may hold. */
static kms_err decode_strict(struct bytes text, struct buf *out)
{
	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] <= ' ')
			return KMS_E_BAD_REQUEST;
	return base64_decode(text, out);
}

static bool id_is(struct bytes text, const uint8_t id[static NOTE_KEY_ID_LEN])
{
	for (size_t i = 0; i < text.n && text.n == ID_DIGITS; i++) {
		unsigned half = i % 2 == 0 ? id[i / 2] >> 4 : id[i / 2] & 15;
		if (text.p[i] != (uint8_t)digits[half])
			return false;
	}
	return text.n == ID_DIGITS;
}

kms_err note_key_decode(struct bytes text, struct note_key *out)
{
	AUTO(buf_done) struct buf typed = { 0 };
	AUTO(ecdsa_public_free) struct ecdsa_public *public = NULL;
	char name[NOTE_NAME_MAX + 1] = "";
	struct note_key k;
	struct bytes part, id;

	if (!cut(&text, '+', &part) || !cut(&text, '+', &id) || !name_fits(part))
		return KMS_E_BAD_REQUEST;
	memcpy(name, part.p, part.n);
	TRY(decode_strict(text, &typed));
	if (typed.n != 1 + ECDSA_SPKI_LEN || typed.p[0] != NOTE_ECDSA)
		return KMS_E_BAD_REQUEST;
	TRY(note_key_make(name, bytes_of(typed.p + 1, typed.n - 1), &k));
	if (!id_is(id, k.id))
		return KMS_E_BAD_REQUEST;
	TRY(ecdsa_public_new(bytes_of(k.spki, sizeof(k.spki)), &public));
	*out = k;
	return KMS_OK;
}

static kms_err take_signature(struct bytes line, struct note *out)
{
	AUTO(buf_done) struct buf value = { 0 };
	struct bytes name;

	if (out->n == NOTE_SIGNATURES_MAX || line.n < sizeof(dash) ||
	    memcmp(line.p, dash, sizeof(dash)) != 0)
		return KMS_E_BAD_REQUEST;
	line = bytes_of(line.p + sizeof(dash), line.n - sizeof(dash));
	if (!cut(&line, ' ', &name) || !name_fits(name))
		return KMS_E_BAD_REQUEST;
	TRY(decode_strict(line, &value));
	if (value.n <= NOTE_KEY_ID_LEN)
		return KMS_E_BAD_REQUEST;
	out->names[out->n] = name;
	out->values[out->n++] = line;
	return KMS_OK;
}

/* Where the signatures begin: behind the last empty line. 0: nowhere. */
static size_t find_signatures(struct bytes in)
{
	for (size_t i = in.n; i >= 3; i--)
		if (in.p[i - 1] == '\n' && in.p[i - 2] == '\n')
			return i;
	return 0;
}

kms_err note_decode(struct bytes in, struct note *out)
{
	struct note n = { .n = 0 };
	struct bytes line;

	if (in.n > NOTE_MAX)
		return KMS_E_BAD_REQUEST;
	size_t at = find_signatures(in);
	if (at == 0)
		return KMS_E_BAD_REQUEST;
	n.text = bytes_of(in.p, at - 1);
	struct bytes rest = bytes_of(in.p + at, in.n - at);
	if (!text_fits(n.text))
		return KMS_E_BAD_REQUEST;
	while (cut(&rest, '\n', &line))
		TRY(take_signature(line, &n));
	if (rest.n > 0 || n.n == 0)
		return KMS_E_BAD_REQUEST;
	*out = n;
	return KMS_OK;
}

kms_err note_verify(
    const struct note *n, const struct note_key *key, const struct ecdsa_public *public)
{
	bool found = false;

	for (size_t i = 0; i < n->n; i++) {
		AUTO(buf_done) struct buf value = { 0 };
		if (!bytes_equal(n->names[i], bytes_of_str(key->name)))
			continue;
		TRY(decode_strict(n->values[i], &value));
		if (memcmp(value.p, key->id, sizeof(key->id)) != 0)
			continue;
		found = true;
		TRY(ecdsa_verify(public, n->text,
		    bytes_of(value.p + NOTE_KEY_ID_LEN, value.n - NOTE_KEY_ID_LEN)));
	}
	return found ? KMS_OK : KMS_E_NOT_FOUND;
}

kms_err note_begin(struct bytes text, struct buf *out)
{
	TRY(buf_reserve(out, text.n + 1));
	TRY(buf_put(out, text));
	return buf_put_u8(out, '\n');
}

kms_err note_sign(const struct note_key *k, struct bytes sig, struct buf *out)
{
	AUTO(buf_done) struct buf value = { 0 };
	AUTO(buf_done) struct buf line = { 0 };

	TRY(buf_put(&value, bytes_of(k->id, sizeof(k->id))));
	TRY(buf_put(&value, sig));
	TRY(buf_put(&line, bytes_of(dash, sizeof(dash))));
	TRY(buf_put(&line, bytes_of_str(k->name)));
	TRY(buf_put_u8(&line, ' '));
	TRY(base64_encode(buf_bytes(&value), &line));
	TRY(buf_put_u8(&line, '\n'));
	return buf_put(out, buf_bytes(&line));
}
