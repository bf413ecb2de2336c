/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encrypts a stream into an envelope. Holds one chunk of plaintext at most; bulk goes straight
 * from the caller's memory into the cipher. The clear data key is used once and not kept.
 */
#include <stdlib.h>
#include <string.h>

#include "kms/client/error.h"
#include "kms/client/header.h"
#include "kms/crypto/chunk.h"
#include "kms/crypto/rand.h"

enum {
	BULK = 16 * CHUNK_SEALED /* bytes that leave in one write */
};

struct kms_writer {
	struct kms_sink to;
	struct chunk *chunk;
	uint64_t next;     /* number of the next chunk */
	struct buf sealed; /* chunks that have not left yet */
	size_t plain_n;
	bool over; /* finished, or broken by an error */
	uint8_t plain[CHUNK_PLAIN];
};

void kms_writer_free(struct kms_writer **w)
{
	struct kms_writer *x = MOVE(*w);

	if (x == NULL)
		return;
	chunk_free(&x->chunk);
	buf_done(&x->sealed);
	wipe(x, sizeof(*x));
	free(x);
}

static kms_err send_out(struct kms_writer *w, int *out_errno)
{
	if (w->sealed.n == 0)
		return KMS_OK;
	*out_errno = w->to.write(w->to.user, w->sealed.p, w->sealed.n);
	if (*out_errno != 0)
		return KMS_E_IO;
	/* Ciphertext: nothing to wipe. */
	w->sealed.n = 0;
	return KMS_OK;
}

static kms_err add_chunk(struct kms_writer *w, struct bytes plain)
{
	TRY(buf_reserve(&w->sealed, plain.n + CHUNK_TAG));
	TRY(chunk_seal(w->chunk, w->next, plain, w->sealed.p + w->sealed.n));
	w->sealed.n += plain.n + CHUNK_TAG;
	w->next++;
	return KMS_OK;
}

static kms_err fill(struct kms_writer *w, struct bytes *from)
{
	size_t room = CHUNK_PLAIN - w->plain_n;
	size_t n = from->n < room ? from->n : room;

	memcpy(w->plain + w->plain_n, from->p, n);
	w->plain_n += n;
	*from = bytes_of(from->p + n, from->n - n);
	if (w->plain_n < CHUNK_PLAIN)
		return KMS_OK;
	w->plain_n = 0;
	return add_chunk(w, bytes_of(w->plain, CHUNK_PLAIN));
}

static kms_err write_bytes(struct kms_writer *w, struct bytes from, int *out_errno)
{
	while (from.n > 0) {
		if (w->plain_n > 0 || from.n < CHUNK_PLAIN) {
			TRY(fill(w, &from));
		} else {
			TRY(add_chunk(w, bytes_of(from.p, CHUNK_PLAIN)));
			from = bytes_of(from.p + CHUNK_PLAIN, from.n - CHUNK_PLAIN);
		}
		if (w->sealed.n >= BULK)
			TRY(send_out(w, out_errno));
	}
	return send_out(w, out_errno);
}

/* The last chunk is always shorter than the others, and empty if need be. */
static kms_err write_end(struct kms_writer *w, int *out_errno)
{
	TRY(add_chunk(w, bytes_of(w->plain, w->plain_n)));
	return send_out(w, out_errno);
}

static kms_err write_head(struct kms_writer *w, const struct kms_envelope_key *key, int *out_errno)
{
	AUTO(buf_done) struct buf header = { .p = NULL };
	struct header read = { .room = 0 };
	uint8_t salt[CHUNK_SALT_LEN];

	if (key->plaintext.n != KEY_BITS_LEN)
		return KMS_E_BAD_REQUEST;
	TRY(header_encode(key, &header));
	TRY(rand_bytes(salt, sizeof(salt)));
	TRY(buf_put(&w->sealed, buf_bytes(&header)));
	kms_err e = header_decode(&header, &read);
	if (e == KMS_OK)
		e = chunk_new(key->plaintext.p, salt, bytes_of(read.raw.p, read.bound), &w->chunk);
	header_done(&read);
	TRY(e);

	TRY(buf_put(&w->sealed, bytes_of(salt, sizeof(salt))));
	TRY(buf_put(&w->sealed, bytes_of(chunk_commitment(w->chunk), CHUNK_COMMITMENT_LEN)));
	return send_out(w, out_errno);
}

static enum kms_code done(struct kms_writer *w, struct kms_error *err, kms_err e, int error)
{
	if (e == KMS_OK)
		return KMS_CODE_OK;
	if (w != NULL)
		w->over = true;
	return error_set(err, e, error != 0 ? strerrordesc_np(error) : NULL);
}

enum kms_code kms_writer_open(const struct kms_envelope_key *key, const struct kms_sink *to,
    struct kms_writer **out, struct kms_error *err)
{
	AUTO(kms_writer_free) struct kms_writer *w = calloc(1, sizeof(*w));
	int error = 0;

	if (w == NULL)
		return error_set(err, KMS_E_NO_MEMORY, NULL);
	w->to = *to;
	kms_err e = write_head(w, key, &error);
	if (e == KMS_OK)
		*out = MOVE(w);
	return done(NULL, err, e, error);
}

enum kms_code kms_writer_write(struct kms_writer *w, const void *p, size_t n, struct kms_error *err)
{
	int error = 0;

	if (w->over)
		return error_set(err, KMS_E_BAD_REQUEST, "the envelope is finished or broken");
	kms_err e = write_bytes(w, bytes_of(p, n), &error);
	return done(w, err, e, error);
}

enum kms_code kms_writer_finish(struct kms_writer *w, struct kms_error *err)
{
	int error = 0;

	if (w->over)
		return error_set(err, KMS_E_BAD_REQUEST, "the envelope is finished or broken");
	w->over = true;
	kms_err e = write_end(w, &error);
	return done(w, err, e, error);
}
