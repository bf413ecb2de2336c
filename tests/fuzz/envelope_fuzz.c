/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes the reader of encrypted files with a fixed data key. The input is a plan of reads (its
 * first bytes) and a file. Where the header can be read, the file gets the commitment that fits
 * it, so that mutations reach the chunks. What comes out must be the same in every order.
 */
#include <string.h>

#include "kms/base/base.h"
#include "kms/base/buf.h"
#include "kms/client/header.h"
#include "kms/client/kms.h"
#include "kms/crypto/chunk.h"

enum {
	PLAN = 8,          /* bytes of the plan: one read each */
	READ_MAX = 40000,  /* bytes of one read */
	FILE_MAX = 1 << 17 /* bytes of a file */
};

static const uint8_t key[KEY_BITS_LEN] = "an example of a data key, 32 lon";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int read_at(void *user, uint64_t offset, void *p, size_t n, size_t *out_n)
{
	const struct buf *file = user;
	size_t left = offset < file->n ? file->n - (size_t)offset : 0;

	*out_n = n < left ? n : left;
	if (*out_n > 0)
		memcpy(p, file->p + offset, *out_n);
	return 0;
}

/* Puts the right commitment behind the header, if there is one and room for it. */
static kms_err mend(struct buf *file)
{
	AUTO(buf_done) struct buf raw = { .p = NULL };
	AUTO(header_done) struct header h = { .room = 0 };
	AUTO(chunk_free) struct chunk *chunk = NULL;
	size_t n;

	TRY(header_length(buf_bytes(file), &n));
	if (n > file->n || file->n - n < CHUNK_HEAD_LEN)
		return KMS_E_CUT_OFF;
	TRY(buf_put(&raw, bytes_of(file->p, n)));
	TRY(header_decode(&raw, &h));
	TRY(chunk_new(key, file->p + n, bytes_of(h.raw.p, h.bound), &chunk));
	memcpy(file->p + n + CHUNK_SALT_LEN, chunk_commitment(chunk), CHUNK_COMMITMENT_LEN);
	return KMS_OK;
}

/* Everything that the header says of itself can be touched. */
static void touch(const struct kms_envelope_info *info)
{
	size_t sum = strlen(info->key) + info->wrapped.p[info->wrapped.n - 1];

	for (size_t i = 0; i < info->context.n; i++) {
		const struct kms_pair *pair = &info->context.pairs[i];
		sum += strlen(pair->name);
		for (size_t k = 0; k < pair->value.n; k++)
			sum += pair->value.p[k];
	}
	CHECK(sum > 0 && info->format == HEADER_FORMAT && info->header_size >= HEADER_START);
}

/* All of it in order; the clear bytes go to `out`. */
static enum kms_code read_all(struct kms_envelope *e, struct buf *out)
{
	size_t n = 1;

	while (n > 0) {
		CHECK(buf_reserve(out, READ_MAX) == KMS_OK);
		enum kms_code code = kms_envelope_read(e, out->p + out->n, READ_MAX, &n, NULL);
		if (code != KMS_CODE_OK)
			return code;
		out->n += n;
	}
	return KMS_CODE_OK;
}

/* A read from anywhere gives what reading in order gave, or nothing past its end. */
static void read_somewhere(struct kms_envelope *e, uint8_t plan, const struct buf *whole)
{
	static const size_t lengths[] = { 1, CHUNK_PLAIN, CHUNK_PLAIN + 1, READ_MAX };
	uint64_t offset = (uint64_t)(plan >> 2) * 2731;
	size_t want = lengths[plan & 3];
	static uint8_t p[READ_MAX];
	size_t n;

	if (plan == UINT8_MAX)
		offset = UINT64_MAX - 5;
	if (kms_envelope_read_at(e, offset, p, want, &n, NULL) != KMS_CODE_OK)
		return;
	size_t left = offset < whole->n ? whole->n - (size_t)offset : 0;
	CHECK(n <= want && n <= left && n == (want < left ? want : left));
	CHECK(n == 0 || memcmp(p, whole->p + offset, n) == 0);
}

static void read_file(struct buf *file, const uint8_t *plan)
{
	AUTO(buf_done) struct buf whole = { .p = NULL };
	const struct kms_source from = { .read_at = read_at, .user = file };
	struct kms_envelope *e = NULL;
	struct kms_error err;

	if (kms_envelope_open(&from, &e, &err) != KMS_CODE_OK)
		return;
	touch(kms_envelope_info(e));
	if (kms_envelope_unlock(e, kms_bytes_of(key, sizeof(key)), &err) == KMS_CODE_OK &&
	    read_all(e, &whole) == KMS_CODE_OK)
		for (size_t i = 0; i < PLAN; i++)
			read_somewhere(e, plan[i], &whole);
	kms_envelope_free(&e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(buf_done) struct buf file = { .p = NULL };

	if (size < PLAN || size > FILE_MAX)
		return 0;
	CHECK(buf_put(&file, bytes_of(data + PLAN, size - PLAN)) == KMS_OK);
	read_file(&file, data);
	if (mend(&file) == KMS_OK)
		read_file(&file, data);
	return 0;
}
