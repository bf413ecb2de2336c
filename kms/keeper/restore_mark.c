/* SPDX-License-Identifier: Apache-2.0 */
/* See restore_mark.h. */
#include "kms/keeper/restore_mark.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "kms/base/buf.h"
#include "kms/crypto/hash.h"

static const char file_name[] = "restoring";
static const char epoch_key[] = "epoch";

static void close_fd(const int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}

static kms_err io_error(void)
{
	return errno == ENOSPC || errno == EDQUOT ? KMS_E_STORE_FULL : KMS_E_STORE_IO;
}

static kms_err open_folder(const char *folder, int *out)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return KMS_E_STORE_IO;
	*out = fd;
	return KMS_OK;
}

static kms_err hash_row(void *arg, enum store_table table, struct bytes key, struct bytes value)
{
	(void)table;
	(void)key;
	return hash_sha256(&value, 1, arg);
}

/* KMS_E_NOT_FOUND for a store without one. Its nonce is random: no two are the same. */
static kms_err hash_epoch(struct store *s, uint8_t out[static SHA256_LEN])
{
	return store_get(s, TABLE_EPOCH, bytes_of_str(epoch_key), hash_row, out);
}

static kms_err write_mark(int folder, const uint8_t hash[static SHA256_LEN])
{
	AUTO(close_fd)
	int fd =
	    openat(folder, file_name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return io_error();
	if (write(fd, hash, SHA256_LEN) != SHA256_LEN || fsync(fd) != 0 || fsync(folder) != 0)
		return io_error();
	return KMS_OK;
}

kms_err restore_mark_put(const char *folder, struct store *backup)
{
	AUTO(close_fd) int dir = -1;
	uint8_t hash[SHA256_LEN];
	TRY(hash_epoch(backup, hash));
	TRY(open_folder(folder, &dir));
	return write_mark(dir, hash);
}

/* False without a mark; one that was cut short was followed by no row. */
static kms_err read_mark(int folder, uint8_t out[static SHA256_LEN], bool *out_there)
{
	AUTO(close_fd) int fd = openat(folder, file_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	*out_there = fd >= 0;
	if (fd < 0)
		return errno == ENOENT ? KMS_OK : KMS_E_STORE_IO;
	if (read(fd, out, SHA256_LEN) != SHA256_LEN)
		memset(out, 0, SHA256_LEN);
	return KMS_OK;
}

static kms_err note_row(void *arg, enum store_table table, struct bytes key, struct bytes value)
{
	struct buf *keys = arg;
	(void)value;
	TRY(buf_put_u8(keys, (uint8_t)table));
	return buf_put_var(keys, key);
}

static kms_err delete_rows(struct store *s, struct bytes keys)
{
	struct reader in = reader_of(keys);
	while (in.in.n > 0) {
		struct store_write w = { .table = (enum store_table)read_u8(&in) };
		w.key = read_var(&in);
		CHECK(!in.failed);
		TRY(store_put(s, &w));
	}
	return store_commit(s);
}

static kms_err empty(struct store *s)
{
	AUTO(buf_done) struct buf keys = { .n = 0 };
	for (int t = TABLE_META; t < TABLE_COUNT_OF; t++)
		TRY(store_scan(s, (enum store_table)t, note_row, &keys));
	TRY(store_begin(s));
	kms_err e = delete_rows(s, buf_bytes(&keys));
	if (e != KMS_OK)
		store_rollback(s);
	return e;
}

static kms_err undo(struct store *s, const uint8_t marked[static SHA256_LEN], bool *out_undone)
{
	uint8_t hash[SHA256_LEN];
	kms_err e = hash_epoch(s, hash);
	if (e == KMS_E_NOT_FOUND)
		return KMS_OK;
	TRY(e);
	if (memcmp(hash, marked, sizeof(hash)) != 0)
		return KMS_OK;
	TRY(empty(s));
	*out_undone = true;
	return KMS_OK;
}

kms_err restore_mark_check(const char *folder, struct store *s, bool *out_undone)
{
	AUTO(close_fd) int dir = -1;
	uint8_t marked[SHA256_LEN];
	bool there = false, undone = false;
	TRY(open_folder(folder, &dir));
	TRY(read_mark(dir, marked, &there));
	if (there) {
		TRY(undo(s, marked, &undone));
		if (unlinkat(dir, file_name, 0) != 0 || fsync(dir) != 0)
			return KMS_E_STORE_IO;
	}
	*out_undone = undone;
	return KMS_OK;
}
