/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads envelopes: the header, the check of the data key, and clear bytes from any offset. Holds
 * one chunk; whole chunks are opened straight into the caller's memory. Nothing leaves before its
 * chunk has been authenticated, and the end is believed only when the last chunk says it.
 */
#include "kms/client/envelope.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kms/client/error.h"
#include "kms/client/fd.h"
#include "kms/crypto/chunk.h"

enum {
	DETAIL_MAX = 128
};

/* No chunk has this number, no file this size. */
#define UNKNOWN UINT64_MAX

struct kms_envelope {
	struct kms_source from;
	bool stream;     /* the source gives each byte once, in order */
	uint64_t passed; /* bytes that a stream has given */
	struct header header;
	uint8_t head[CHUNK_HEAD_LEN]; /* salt and commitment, once has_head */
	bool has_head;
	struct chunk *chunk; /* NULL: locked */
	uint64_t next;       /* where kms_envelope_read goes on */
	uint64_t size;       /* clear bytes in all; UNKNOWN until the last chunk has been opened */
	uint64_t held;       /* number of the chunk in `plain`, or UNKNOWN */
	size_t held_n;
	char detail[DETAIL_MAX]; /* of the last fault; "" if there is none */
	uint8_t sealed[CHUNK_SEALED];
	uint8_t plain[CHUNK_PLAIN];
};

void kms_envelope_free(struct kms_envelope **e)
{
	struct kms_envelope *x = MOVE(*e);

	if (x == NULL)
		return;
	chunk_free(&x->chunk);
	header_done(&x->header);
	wipe(x, sizeof(*x));
	free(x);
}

const struct kms_envelope_info *kms_envelope_info(const struct kms_envelope *e)
{
	return &e->header.info;
}

struct header *envelope_header(struct kms_envelope *e)
{
	return &e->header;
}

static kms_err fail(struct kms_envelope *e, kms_err why, const char *detail)
{
	(void)snprintf(e->detail, sizeof(e->detail), "%s", detail);
	return why;
}

static enum kms_code done(struct kms_envelope *e, kms_err why, struct kms_error *err)
{
	enum kms_code code = why == KMS_OK ? KMS_CODE_OK : error_set(err, why, e->detail);

	e->detail[0] = '\0';
	return code;
}

/* ---- Sealed bytes ------------------------------------------------------------------------- */

/* n bytes of the file, fewer only where it ends. */
static kms_err fetch(struct kms_envelope *e, uint64_t at, uint8_t *p, size_t n, size_t *out_n)
{
	size_t had = 0;
	size_t got = 1;

	if (e->stream && at != e->passed)
		return fail(e, KMS_E_IO, strerrordesc_np(ESPIPE));
	while (had < n && got > 0) {
		int error = e->from.read_at(e->from.user, at + had, p + had, n - had, &got);
		if (error == 0 && got > n - had)
			error = EINVAL;
		if (error != 0)
			return fail(e, KMS_E_IO, strerrordesc_np(error));
		had += got;
		e->passed = at + had;
	}
	*out_n = had;
	return KMS_OK;
}

/* As fetch, where the file may not end. */
static kms_err fetch_all(struct kms_envelope *e, uint64_t at, uint8_t *p, size_t n)
{
	size_t got;

	TRY(fetch(e, at, p, n, &got));
	return got == n ? KMS_OK : KMS_E_CUT_OFF;
}

/* Chunk numbers are below 2^38 here, so this is below 2^53. */
static uint64_t chunk_at(const struct kms_envelope *e, uint64_t i)
{
	return e->header.raw.n + CHUNK_HEAD_LEN + i * CHUNK_SEALED;
}

/* ---- Opening ------------------------------------------------------------------------------ */

static kms_err read_header(struct kms_envelope *e)
{
	AUTO(buf_done) struct buf raw = { .p = NULL };
	uint8_t start[HEADER_START];
	size_t got;
	size_t length;

	TRY(fetch(e, 0, start, sizeof(start), &got));
	TRY(header_length(bytes_of(start, got), &length));
	TRY(buf_put(&raw, bytes_of(start, sizeof(start))));
	TRY(buf_reserve(&raw, length - raw.n));
	TRY(fetch_all(e, raw.n, raw.p + raw.n, length - raw.n));
	raw.n = length;
	return header_decode(&raw, &e->header);
}

enum kms_code kms_envelope_open(
    const struct kms_source *from, struct kms_envelope **out, struct kms_error *err)
{
	AUTO(kms_envelope_free) struct kms_envelope *e = calloc(1, sizeof(*e));

	if (e == NULL)
		return error_set(err, KMS_E_NO_MEMORY, NULL);
	e->from = *from;
	e->stream = fd_is_stream(from);
	e->size = UNKNOWN;
	e->held = UNKNOWN;

	enum kms_code code = done(e, read_header(e), err);
	if (code == KMS_CODE_OK)
		*out = MOVE(e);
	return code;
}

/* Kept, so that a second key can be tried on a stream too. */
static kms_err read_head(struct kms_envelope *e)
{
	if (e->has_head)
		return KMS_OK;
	TRY(fetch_all(e, e->header.raw.n, e->head, sizeof(e->head)));
	e->has_head = true;
	return KMS_OK;
}

static kms_err unlock(struct kms_envelope *e, struct bytes key)
{
	AUTO(chunk_free) struct chunk *chunk = NULL;
	struct bytes bound = bytes_of(e->header.raw.p, e->header.bound);

	if (key.n != KEY_BITS_LEN)
		return fail(e, KMS_E_BAD_REQUEST, "a data key has 32 bytes");
	TRY(read_head(e));
	TRY(chunk_new(key.p, e->head, bound, &chunk));
	if (!equal_ct(chunk_commitment(chunk), e->head + CHUNK_SALT_LEN, CHUNK_COMMITMENT_LEN))
		return fail(e, KMS_E_INTEGRITY, "the data key is not the one of this file");

	chunk_free(&e->chunk);
	e->chunk = MOVE(chunk);
	return KMS_OK;
}

enum kms_code kms_envelope_unlock(
    struct kms_envelope *e, struct kms_bytes plaintext, struct kms_error *err)
{
	return done(e, unlock(e, bytes_of(plaintext.p, plaintext.n)), err);
}

/* ---- Clear bytes -------------------------------------------------------------------------- */

static kms_err tell_chunk(struct kms_envelope *e, kms_err why, uint64_t i, size_t n)
{
	const char *which = n < CHUNK_SEALED ? ", the last one here: cut off or changed" : "";

	if (why == KMS_E_INTEGRITY)
		(void)snprintf(
		    e->detail, sizeof(e->detail), "chunk %llu%s", (unsigned long long)i, which);
	return why;
}

/* Chunk i into `sealed`. KMS_E_CUT_OFF if it is not there. */
static kms_err fetch_chunk(struct kms_envelope *e, uint64_t i, size_t *out_n)
{
	size_t n;

	TRY(fetch(e, chunk_at(e, i), e->sealed, CHUNK_SEALED, &n));
	if (n < CHUNK_TAG)
		return KMS_E_CUT_OFF;
	*out_n = n;
	return KMS_OK;
}

/* What was fetched, into `out`, which has room for a whole chunk. */
static kms_err open_fetched(
    struct kms_envelope *e, uint64_t i, size_t n, uint8_t *out, size_t *out_n)
{
	kms_err why = chunk_open(e->chunk, i, bytes_of(e->sealed, n), out);

	if (why != KMS_OK)
		return tell_chunk(e, why, i, n);
	/* Only the last chunk is shorter, and it always is. */
	if (n < CHUNK_SEALED)
		e->size = i * CHUNK_PLAIN + n - CHUNK_TAG;
	*out_n = n - CHUNK_TAG;
	return KMS_OK;
}

static kms_err open_chunk(struct kms_envelope *e, uint64_t i, uint8_t *out, size_t *out_n)
{
	size_t n;

	TRY(fetch_chunk(e, i, &n));
	return open_fetched(e, i, n, out, out_n);
}

/* A fetch that fails leaves what is held: a stream may go on from there. */
static kms_err hold_chunk(struct kms_envelope *e, uint64_t i)
{
	size_t n;

	if (e->held == i)
		return KMS_OK;
	TRY(fetch_chunk(e, i, &n));
	e->held = UNKNOWN;
	TRY(open_fetched(e, i, n, e->plain, &e->held_n));
	e->held = i;
	return KMS_OK;
}

/*
 * Chunk `missing` is not there. Either the file ends before it, as its last chunk then says, or
 * its end is missing. Looks for the last chunk by halving: some 40 reads of a byte at most.
 */
static kms_err find_end(struct kms_envelope *e, uint64_t missing)
{
	uint64_t there = 0;
	uint8_t byte;
	size_t n;

	while (missing - there > 1) {
		uint64_t middle = there + (missing - there) / 2;

		TRY(fetch(e, chunk_at(e, middle), &byte, sizeof(byte), &n));
		if (n > 0)
			there = middle;
		else
			missing = middle;
	}
	TRY(hold_chunk(e, there));
	return e->size != UNKNOWN ? KMS_OK : KMS_E_CUT_OFF;
}

static kms_err read_held(
    struct kms_envelope *e, uint64_t offset, uint8_t *p, size_t n, size_t *out_n)
{
	size_t skip = (size_t)(offset % CHUNK_PLAIN);

	TRY(hold_chunk(e, offset / CHUNK_PLAIN));
	size_t left = e->held_n > skip ? e->held_n - skip : 0;
	*out_n = n < left ? n : left;
	memcpy(p, e->plain + skip, *out_n);
	return KMS_OK;
}

/* Bytes of one chunk; none at or past the end. */
static kms_err read_piece(
    struct kms_envelope *e, uint64_t offset, uint8_t *p, size_t n, size_t *out_n)
{
	uint64_t i = offset / CHUNK_PLAIN;
	bool whole = offset % CHUNK_PLAIN == 0 && n >= CHUNK_PLAIN && e->held != i;

	*out_n = 0;
	if (offset >= e->size)
		return KMS_OK;
	if (i >= CHUNK_COUNT_MAX)
		return find_end(e, CHUNK_COUNT_MAX);
	kms_err why = whole ? open_chunk(e, i, p, out_n) : read_held(e, offset, p, n, out_n);
	return why == KMS_E_CUT_OFF && i > 0 && !e->stream ? find_end(e, i) : why;
}

static kms_err read_range(
    struct kms_envelope *e, uint64_t offset, uint8_t *p, size_t n, size_t *out_n)
{
	size_t had = 0;
	size_t got = 1;

	if (e->chunk == NULL)
		return fail(e, KMS_E_BAD_REQUEST, "the envelope is locked");
	while (had < n && got > 0) {
		TRY(read_piece(e, offset + had, p + had, n - had, &got));
		had += got;
	}
	*out_n = had;
	return KMS_OK;
}

enum kms_code kms_envelope_read_at(struct kms_envelope *e, uint64_t offset, void *p, size_t n,
    size_t *out_n, struct kms_error *err)
{
	return done(e, read_range(e, offset, p, n, out_n), err);
}

enum kms_code kms_envelope_read(
    struct kms_envelope *e, void *p, size_t n, size_t *out_n, struct kms_error *err)
{
	enum kms_code code = kms_envelope_read_at(e, e->next, p, n, out_n, err);

	if (code == KMS_CODE_OK)
		e->next += *out_n;
	return code;
}
