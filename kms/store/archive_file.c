/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of the backup folder. One appears under its name whole and flushed; until then it has a
 * temporary one, which archive_clean removes where a killed process left it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "kms/store/archive_private.h"

enum {
	FILE_MODE = 0600
};

static const char temp_begin[] = ".kmsb-", temp_end[] = ".tmp";

static kms_err disk_err(void)
{
	/* EFBIG is what a limit on file sizes says. */
	bool full = errno == ENOSPC || errno == EDQUOT || errno == EFBIG;

	return full ? KMS_E_BACKUP_FULL : KMS_E_BACKUP_IO;
}

void archive_fd_close(const int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}

kms_err archive_file_put(int fd, struct bytes x)
{
	while (x.n > 0) {
		ssize_t n = write(fd, x.p, x.n);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n == 0 ? KMS_E_BACKUP_IO : disk_err();
		x = bytes_of(x.p + n, x.n - (size_t)n);
	}
	return KMS_OK;
}

kms_err archive_file_get(int fd, uint64_t at, uint8_t *p, size_t n, size_t *out_n)
{
	size_t had = 0;

	while (had < n) {
		ssize_t got = pread(fd, p + had, n - had, (off_t)(at + had));
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return KMS_E_BACKUP_IO;
		if (got == 0)
			break;
		had += (size_t)got;
	}
	*out_n = had;
	return KMS_OK;
}

kms_err archive_file_new(int dir_fd, struct archive_file *out)
{
	struct archive_file f = { .dir_fd = dir_fd };

	/* Each thread writes a file of its own; what it finds there is of one that was killed. */
	(void)snprintf(f.temp, sizeof(f.temp), "%s%d%s", temp_begin, gettid(), temp_end);
	if (unlinkat(dir_fd, f.temp, 0) != 0 && errno != ENOENT)
		return disk_err();
	f.fd =
	    openat(dir_fd, f.temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
	if (f.fd < 0)
		return disk_err();
	*out = f;
	return KMS_OK;
}

void archive_file_done(struct archive_file *f)
{
	if (f->fd < 0)
		return;
	(void)close(f->fd);
	f->fd = -1;
	if (f->temp[0] != '\0')
		(void)unlinkat(f->dir_fd, f->temp, 0);
}

static kms_err rename_new(const struct archive_file *f, const char *name)
{
	if (renameat2(f->dir_fd, f->temp, f->dir_fd, name, RENAME_NOREPLACE) == 0)
		return KMS_OK;
	if (errno == EEXIST)
		return KMS_E_EXISTS;
	if (errno != EINVAL)
		return disk_err();
	/* A network's file system may not know the flag. One process writes here, so this will do. */
	if (faccessat(f->dir_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return KMS_E_EXISTS;
	return renameat(f->dir_fd, f->temp, f->dir_fd, name) == 0 ? KMS_OK : disk_err();
}

static kms_err rename_over(const struct archive_file *f, const char *name)
{
	return renameat(f->dir_fd, f->temp, f->dir_fd, name) == 0 ? KMS_OK : disk_err();
}

kms_err archive_file_publish(struct archive_file *f, const char *name, bool replace)
{
	if (fsync(f->fd) != 0)
		return disk_err();
	TRY(replace ? rename_over(f, name) : rename_new(f, name));
	f->temp[0] = '\0';
	if (fsync(f->dir_fd) == 0)
		return KMS_OK;
	/* Read before anything else can change it. What was said not to be there must not be. */
	kms_err e = disk_err();
	if (!replace)
		(void)unlinkat(f->dir_fd, name, 0);
	return e;
}

static void dir_close(DIR **d)
{
	if (*d != NULL)
		(void)closedir(*d);
}

/* A stream of its own: reading moves the offset that a descriptor and its copies share. */
static kms_err open_dir(int dir_fd, DIR **out)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return KMS_E_BACKUP_IO;
	*out = fdopendir(fd);
	if (*out != NULL)
		return KMS_OK;
	(void)close(fd);
	return KMS_E_NO_MEMORY;
}

static bool is_temp(const char *name)
{
	size_t n = strlen(name), m = strlen(temp_end);

	return strncmp(name, temp_begin, strlen(temp_begin)) == 0 && n > m &&
	       strcmp(name + n - m, temp_end) == 0;
}

kms_err archive_clean(int dir_fd)
{
	AUTO(dir_close) DIR *d = NULL;

	TRY(open_dir(dir_fd, &d));
	for (;;) {
		errno = 0;
		/* The stream is this thread's alone: NOLINTNEXTLINE(concurrency-mt-unsafe) */
		const struct dirent *entry = readdir(d);
		if (entry == NULL)
			return errno == 0 ? KMS_OK : KMS_E_BACKUP_IO;
		if (is_temp(entry->d_name) && unlinkat(dir_fd, entry->d_name, 0) != 0)
			return KMS_E_BACKUP_IO;
	}
}
