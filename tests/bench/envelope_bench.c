/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast libkms encrypts and decrypts a stream, in memory and on one core, without a disk.
 * Prints one flat JSON object in MB/s (10^6 bytes), the best of several rounds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kms/base/clock.h"
#include "kms/client/kms.h"

enum {
	STREAM_LEN = 4 << 20, /* stays in the cache: we measure the cipher, not the memory */
	PIECE_LEN = 64 * 1024,
	ROUNDS = 100
};

struct memory {
	uint8_t *p;
	size_t n, cap;
};

static _Noreturn void die(const char *what)
{
	(void)fprintf(stderr, "envelope_bench: %s failed\n", what);
	exit(EXIT_FAILURE);
}

/* What becomes of the bytes is not the envelope's. */
static int drop(void *user, const void *p, size_t n)
{
	size_t *count = user;
	(void)p;
	*count += n;
	return 0;
}

static int keep(void *user, const void *p, size_t n)
{
	struct memory *m = user;
	if (n > m->cap - m->n)
		die("room");
	memcpy(m->p + m->n, p, n);
	m->n += n;
	return 0;
}

static int get(void *user, uint64_t offset, void *p, size_t n, size_t *out_n)
{
	const struct memory *m = user;
	size_t left = offset < m->n ? m->n - (size_t)offset : 0;
	*out_n = n < left ? n : left;
	memcpy(p, m->p + offset, *out_n);
	return 0;
}

static void encrypt(
    const struct kms_envelope_key *key, const struct kms_sink *to, const uint8_t *piece)
{
	struct kms_writer *w = NULL;
	if (kms_writer_open(key, to, &w, NULL) != KMS_CODE_OK)
		die("open");
	for (size_t done = 0; done < STREAM_LEN; done += PIECE_LEN)
		if (kms_writer_write(w, piece, PIECE_LEN, NULL) != KMS_CODE_OK)
			die("write");
	if (kms_writer_finish(w, NULL) != KMS_CODE_OK)
		die("finish");
	kms_writer_free(&w);
}

static void decrypt(const struct kms_envelope_key *key, struct memory *from, uint8_t *piece)
{
	const struct kms_source source = { .read_at = get, .user = from };
	struct kms_envelope *e = NULL;
	size_t n = 1;
	if (kms_envelope_open(&source, &e, NULL) != KMS_CODE_OK ||
	    kms_envelope_unlock(e, key->plaintext, NULL) != KMS_CODE_OK)
		die("unlock");
	while (n > 0)
		if (kms_envelope_read(e, piece, PIECE_LEN, &n, NULL) != KMS_CODE_OK)
			die("read");
	kms_envelope_free(&e);
}

static double rate(uint64_t best_us)
{
	return (double)STREAM_LEN / (double)best_us;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

int main(void)
{
	static const uint8_t plain[32] = { 1 }, wrapped[92] = { 2 };
	const struct kms_envelope_key key = { .key = "bench",
		.wrapped = kms_bytes_of(wrapped, sizeof(wrapped)),
		.plaintext = kms_bytes_of(plain, sizeof(plain)) };
	struct memory m = { .cap = STREAM_LEN + STREAM_LEN / 64 };
	uint8_t *piece = calloc(1, PIECE_LEN);
	m.p = malloc(m.cap);
	if (piece == NULL || m.p == NULL)
		die("memory");
	memset(m.p, 0, m.cap);
	size_t count = 0;
	const struct kms_sink kept = { .write = keep, .user = &m };
	const struct kms_sink dropped = { .write = drop, .user = &count };
	encrypt(&key, &kept, piece);
	uint64_t in_us = UINT64_MAX, out_us = UINT64_MAX;
	for (int i = 0; i < ROUNDS; i++) {
		uint64_t start = clock_mono_us();
		encrypt(&key, &dropped, piece);
		uint64_t middle = clock_mono_us();
		decrypt(&key, &m, piece);
		in_us = least(in_us, middle - start);
		out_us = least(out_us, clock_mono_us() - middle);
	}
	(void)printf("{\"envelope_encrypt_mb_s\": %.0f, \"envelope_decrypt_mb_s\": %.0f}\n",
	    rate(in_us), rate(out_us));
	free(m.p);
	free(piece);
	return EXIT_SUCCESS;
}
