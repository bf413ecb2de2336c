/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes the reader of backups. The first byte says what the rest is: a file as it is; a file whose
 * head gets the MAC and the commitment that fit it; or the clear body behind a head of ours, so
 * that mutations reach the rows. What is read gives the same bytes when it is written again.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "kms/store/archive_private.h"
#include "kms/store/archive_read.h"
#include "tests/fuzz/fuzz.h"

enum {
	FILE_MAX = 1 << 18 /* bytes of a file */
};

static const struct archive_keys keys = {
	.head = { "an example of a key for heads 32" },
	.body = { "an example of a key for bodies 3" },
};

static int memory(struct bytes x)
{
	static int fd = -1;

	if (fd < 0)
		fd = memfd_create("backup", MFD_CLOEXEC);
	CHECK(fd >= 0 && ftruncate(fd, 0) == 0);
	CHECK(pwrite(fd, x.p, x.n, 0) == (ssize_t)x.n);
	CHECK(lseek(fd, 0, SEEK_END) == (off_t)x.n);
	return fd;
}

static kms_err write_row(void *arg, enum store_table t, struct bytes key, struct bytes value)
{
	TRY(buf_put_u8(arg, (uint8_t)t));
	TRY(buf_put_u8(arg, (uint8_t)key.n));
	TRY(buf_put(arg, key));
	TRY(buf_put_u32(arg, (uint32_t)value.n));
	return buf_put(arg, value);
}

/* All of it, in the order of the tables; then its end. */
static kms_err read_all(struct archive *a, struct buf *out)
{
	AUTO(store_close) struct store *s = NULL;

	TRY(archive_store_open(a, &s));
	for (int t = TABLE_META; t < TABLE_COUNT_OF; t++)
		CHECK(store_scan(s, (enum store_table)t, write_row, out) == KMS_OK);
	CHECK(store_get(s, TABLE_META, bytes_of_str("instance"), write_row, out) !=
	      KMS_E_BACKUP_DAMAGED);
	return KMS_OK;
}

static kms_err read_file(int fd, struct buf *out)
{
	AUTO(archive_close) struct archive *a = NULL;
	kms_err e = archive_open(fd, &keys, &a);

	if (e == KMS_OK)
		e = read_all(a, out);
	CHECK(e == KMS_OK || e == KMS_E_BACKUP_DAMAGED || e == KMS_E_NOT_A_BACKUP ||
	      e == KMS_E_NEWER_FORMAT);
	return e;
}

/* Gives a file the MAC and the commitment that fit it, where its head can be read at all. */
static kms_err mend(struct buf *file)
{
	AUTO(archive_head_done) struct archive_head h = { .doors = { .slot_n = 0 } };
	AUTO(buf_done) struct buf again = { .p = NULL };
	AUTO(chunk_free) struct chunk *chunk = NULL;

	TRY(archive_read_head(memory(buf_bytes(file)), &h));
	const size_t n = h.raw.n;
	CHECK(archive_head_encode(&h.about, &h.doors, &keys, &again) == KMS_OK);
	CHECK(again.n == n && memcmp(again.p, file->p, n - HEAD_MAC_LEN) == 0);
	memcpy(file->p, again.p, n);
	if (file->n - n < CHUNK_HEAD_LEN)
		return KMS_E_BACKUP_DAMAGED;
	uint8_t *body = file->p + n;
	CHECK(archive_body_key(&keys, buf_bytes(&again), body, &chunk) == KMS_OK);
	memcpy(body + CHUNK_SALT_LEN, chunk_commitment(chunk), CHUNK_COMMITMENT_LEN);
	return KMS_OK;
}

static void try_file(struct bytes x, bool mended)
{
	AUTO(buf_done) struct buf file = { .p = NULL }, rows = { .p = NULL };

	CHECK(buf_put(&file, x) == KMS_OK);
	if (!mended || mend(&file) == KMS_OK)
		(void)read_file(memory(buf_bytes(&file)), &rows);
}

static void try_body(struct bytes clear)
{
	const struct archive_doors doors = { .keyring = bytes_of_str("k") };
	struct archive_about about = { .schema = STORE_SCHEMA };
	AUTO(buf_done) struct buf head = { .p = NULL }, rows = { .p = NULL };
	AUTO(archive_body_free) struct archive_body *body = NULL;

	/* The count that stands at its end is believed, so that some of them pass. */
	if (clear.n >= sizeof(uint64_t))
		about.rows = load_u64(clear.p + clear.n - sizeof(uint64_t));
	CHECK(archive_head_encode(&about, &doors, &keys, &head) == KMS_OK);
	int fd = memory(buf_bytes(&head));
	CHECK(archive_body_new(fd, &keys, buf_bytes(&head), &body) == KMS_OK);
	CHECK(archive_body_put(body, clear) == KMS_OK && archive_body_finish(body) == KMS_OK);
	if (read_file(fd, &rows) == KMS_OK) {
		size_t n = clear.n - 1 - sizeof(uint64_t);
		CHECK(rows.n >= n && (n == 0 || memcmp(rows.p, clear.p, n) == 0));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	uint8_t choice = fuzz_choice(&p, &n);

	if (n > FILE_MAX)
		return 0;
	switch (choice % 3) {
	case 0: try_file(bytes_of(p, n), false); break;
	case 1: try_file(bytes_of(p, n), true); break;
	default: try_body(bytes_of(p, n)); break;
	}
	return 0;
}
