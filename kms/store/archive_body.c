/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The body of a backup on its way out: clear bytes are gathered to chunks, sealed and written in
 * order. Holds one chunk. Its first bytes, salt and commitment, are C2SP's.
 */
#include <stdlib.h>
#include <string.h>

#include "kms/crypto/rand.h"
#include "kms/store/archive_private.h"

struct archive_body {
	int fd;
	struct chunk *chunk;
	uint64_t next; /* number of the chunk that is being gathered */
	size_t n;
	uint8_t plain[CHUNK_PLAIN];
	uint8_t sealed[CHUNK_SEALED];
};

void archive_body_free(struct archive_body **b)
{
	struct archive_body *x = MOVE(*b);

	if (x == NULL)
		return;
	chunk_free(&x->chunk);
	wipe(x, sizeof(*x));
	free(x);
}

kms_err archive_body_new(
    int fd, const struct archive_keys *keys, struct bytes head, struct archive_body **out)
{
	AUTO(archive_body_free) struct archive_body *b = calloc(1, sizeof(*b));
	uint8_t salt[CHUNK_SALT_LEN];

	if (b == NULL)
		return KMS_E_NO_MEMORY;
	b->fd = fd;
	TRY(rand_bytes(salt, sizeof(salt)));
	TRY(archive_body_key(keys, head, salt, &b->chunk));
	TRY(archive_file_put(fd, bytes_of(salt, sizeof(salt))));
	TRY(archive_file_put(fd, bytes_of(chunk_commitment(b->chunk), CHUNK_COMMITMENT_LEN)));
	*out = MOVE(b);
	return KMS_OK;
}

static kms_err seal_chunk(struct archive_body *b)
{
	TRY(chunk_seal(b->chunk, b->next, bytes_of(b->plain, b->n), b->sealed));
	TRY(archive_file_put(b->fd, bytes_of(b->sealed, b->n + CHUNK_TAG)));
	b->next++;
	b->n = 0;
	return KMS_OK;
}

kms_err archive_body_put(struct archive_body *b, struct bytes x)
{
	while (x.n > 0) {
		size_t room = sizeof(b->plain) - b->n;
		size_t n = x.n < room ? x.n : room;
		memcpy(b->plain + b->n, x.p, n);
		b->n += n;
		x = bytes_of(x.p + n, x.n - n);
		if (b->n == sizeof(b->plain))
			TRY(seal_chunk(b));
	}
	return KMS_OK;
}

/* Shorter than the others, and empty where they came out even: that tells the end. */
kms_err archive_body_finish(struct archive_body *b)
{
	return seal_chunk(b);
}
