/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of envelopes: a file in memory as a sink and a source, written under a fixed data key,
 * whose clear bytes follow from their place. Counts what is read.
 */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "kms/base/base.h"
#include "kms/base/buf.h"
#include "kms/client/kms.h"
#include "kms/crypto/chunk.h"

enum {
	MEMORY_WRAPPED = 92 /* bytes of the wrapped key */
};

/* Of clear files, around the ends of chunks. */
static const size_t memory_sizes[] = { 0, 1, CHUNK_PLAIN - 1, CHUNK_PLAIN, CHUNK_PLAIN + 1,
	2 * CHUNK_PLAIN, 3 * CHUNK_PLAIN - 1, 3 * CHUNK_PLAIN, 3 * CHUNK_PLAIN + 7 };

struct memory_file {
	uint8_t *p;
	size_t n, cap;
	size_t bytes_read;
};

/* The clear byte at a place; no chunk looks like another. */
static inline uint8_t memory_plain(uint64_t at)
{
	return (uint8_t)(at * 7 + at / 251 + at / 16384);
}

static inline struct kms_bytes memory_key(void)
{
	static const uint8_t key[32] = "an example of a data key, 32 lon";

	return kms_bytes_of(key, sizeof(key));
}

static inline struct kms_envelope_key memory_envelope_key(void)
{
	static const uint8_t wrapped[MEMORY_WRAPPED] = { 1, [MEMORY_WRAPPED - 1] = 9 };
	static const struct kms_pair pair = { "call", { (const uint8_t *)"42", 2 } };
	static const struct kms_context context = { &pair, 1 };

	return (struct kms_envelope_key){ .key = "rec",
		.wrapped = kms_bytes_of(wrapped, sizeof(wrapped)),
		.plaintext = memory_key(),
		.context = &context };
}

static inline void memory_done(struct memory_file *m)
{
	free(m->p);
	*m = (struct memory_file){ .p = NULL };
}

static inline void memory_append(struct memory_file *m, const void *p, size_t n)
{
	if (n > m->cap - m->n) {
		m->cap = 2 * (m->cap + n);
		m->p = realloc(m->p, m->cap);
		CHECK(m->p != NULL);
	}
	memcpy(m->p + m->n, p, n);
	m->n += n;
}

static inline int memory_write(void *user, const void *p, size_t n)
{
	memory_append(user, p, n);
	return 0;
}

static inline int memory_read_at(void *user, uint64_t offset, void *p, size_t n, size_t *out_n)
{
	struct memory_file *m = user;
	size_t left = offset < m->n ? m->n - (size_t)offset : 0;

	*out_n = n < left ? n : left;
	if (*out_n > 0)
		memcpy(p, m->p + offset, *out_n);
	m->bytes_read += *out_n;
	return 0;
}

static inline struct kms_source memory_source(struct memory_file *m)
{
	return (struct kms_source){ .read_at = memory_read_at, .user = m };
}

/* An envelope of `size` clear bytes, given to the writer in pieces. */
static inline void memory_encrypt(struct memory_file *m, size_t size, size_t piece)
{
	const struct kms_envelope_key key = memory_envelope_key();
	const struct kms_sink to = { .write = memory_write, .user = m };
	AUTO(kms_writer_free) struct kms_writer *w = NULL;
	uint8_t *p = malloc(piece);

	CHECK(p != NULL && kms_writer_open(&key, &to, &w, NULL) == KMS_CODE_OK);
	for (size_t at = 0; at < size; at += piece) {
		size_t n = size - at < piece ? size - at : piece;
		for (size_t i = 0; i < n; i++)
			p[i] = memory_plain(at + i);
		CHECK(kms_writer_write(w, p, n, NULL) == KMS_CODE_OK);
	}
	CHECK(kms_writer_finish(w, NULL) == KMS_CODE_OK);
	free(p);
}

/* Bytes of the header; the encrypted part stands behind them. */
static inline size_t memory_header(const struct memory_file *m)
{
	return load_u16(m->p + 6);
}

/* Bytes that the encrypted part is bound to. */
static inline size_t memory_bound(const struct memory_file *m)
{
	return memory_header(m) - 2 - 128;
}

static inline struct kms_envelope *memory_unlock(struct memory_file *m, enum kms_code want)
{
	const struct kms_source from = memory_source(m);
	struct kms_envelope *e = NULL;

	CHECK(kms_envelope_open(&from, &e, NULL) == KMS_CODE_OK);
	CHECK(kms_envelope_unlock(e, memory_key(), NULL) == want);
	return e;
}
