/* SPDX-License-Identifier: Apache-2.0 */
/* Reading, and writing so that a crash leaves the old file or the new one, never half of one. */
#include "kms/ctl/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kms/base/types.h"

enum {
	READ_STEP = 16384,
	FILE_MODE = 0600
};

static kms_err fail(struct ctl *c, const char *path, int error)
{
	return ctl_refuse(c, KMS_E_IO, "%s: %s", path, strerrordesc_np(error));
}

int file_write_all(int fd, struct bytes x)
{
	while (x.n > 0) {
		ssize_t n = write(fd, x.p, x.n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno;
		x = bytes_of(x.p + n, x.n - (size_t)n);
	}
	return 0;
}

bool file_is_standard(const char *path)
{
	return path == NULL || strcmp(path, "-") == 0;
}

kms_err file_open(struct ctl *c, const char *path, int *out_fd)
{
	if (file_is_standard(path)) {
		*out_fd = STDIN_FILENO;
		return KMS_OK;
	}
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	/* A name that was mistyped is a wrong use, not a failure of ours. */
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return ctl_usage(c, "%s: %s", path, strerrordesc_np(errno));
	if (fd < 0)
		return fail(c, path, errno);
	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
		(void)close(fd);
		return ctl_usage(c, "%s: %s", path, strerrordesc_np(EISDIR));
	}
	*out_fd = fd;
	return KMS_OK;
}

void file_close(int *fd)
{
	if (*fd > STDERR_FILENO)
		(void)close(*fd);
	*fd = -1;
}

/* One step; *out_n 0 is the end. */
static kms_err read_step(int fd, struct buf *out, size_t *out_n, int *out_error)
{
	TRY(buf_reserve(out, READ_STEP));
	for (;;) {
		ssize_t n = read(fd, out->p + out->n, READ_STEP);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			*out_error = errno;
			return KMS_E_IO;
		}
		out->n += (size_t)n;
		*out_n = (size_t)n;
		return KMS_OK;
	}
}

kms_err file_read(struct ctl *c, const char *path, size_t max, struct buf *out)
{
	AUTO(file_close) int fd = -1;
	int error = 0;
	size_t n;

	TRY(file_open(c, path, &fd));
	do {
		kms_err e = read_step(fd, out, &n, &error);
		if (e == KMS_E_IO)
			return fail(c, file_is_standard(path) ? "stdin" : path, error);
		TRY(e);
		if (out->n > max)
			return ctl_refuse(c, KMS_E_PLAINTEXT_TOO_BIG, "the input");
	} while (n > 0);
	return KMS_OK;
}

void target_done(struct target *t)
{
	if (t->path == NULL && !t->direct)
		return;
	if (t->temp[0] != '\0' && !t->done)
		(void)unlinkat(t->folder, t->temp, 0);
	file_close(&t->fd);
	if (t->folder >= 0)
		(void)close(t->folder);
	free(t->path);
	*t = (struct target){ .fd = -1, .folder = -1 };
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

static kms_err open_folder(struct ctl *c, struct target *t)
{
	size_t n = (size_t)(base_name(t->path) - t->path);
	char *folder = n > 0 ? strndup(t->path, n) : strdup(".");

	if (folder == NULL)
		return KMS_E_NO_MEMORY;
	t->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int error = errno;
	free(folder);
	return t->folder >= 0 ? KMS_OK : fail(c, t->path, error);
}

/* A name that is free: mkostemp() would want a path, and the folder may be renamed meanwhile. */
static int open_named(struct target *t)
{
	for (unsigned i = 0; i < 100; i++) {
		(void)snprintf(t->temp, sizeof(t->temp), ".kmsctl-%u-%u", (unsigned)getpid(), i);
		int fd =
		    openat(t->folder, t->temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, FILE_MODE);
		if (fd >= 0 || errno != EEXIST)
			return fd;
	}
	return -1;
}

/* Without a name nothing is left even after kill -9; not every file system can do that. */
static kms_err open_temp(struct ctl *c, struct target *t)
{
	t->fd = openat(t->folder, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, FILE_MODE);
	if (t->fd >= 0 && access("/proc/self/fd", X_OK) == 0)
		return KMS_OK;
	file_close(&t->fd);
	t->fd = open_named(t);
	if (t->fd >= 0)
		return KMS_OK;
	int error = errno;
	t->temp[0] = '\0';
	return fail(c, t->path, error);
}

static kms_err open_special(struct ctl *c, struct target *t)
{
	t->direct = true;
	t->fd = open(t->path, O_WRONLY | O_CLOEXEC);
	return t->fd >= 0 ? KMS_OK : fail(c, t->path, errno);
}

kms_err target_open(struct ctl *c, const char *path, struct target *out)
{
	AUTO(target_done) struct target t = { .fd = -1, .folder = -1 };
	struct stat st;

	if (file_is_standard(path)) {
		*out = (struct target){ .fd = STDOUT_FILENO, .folder = -1, .direct = true };
		return KMS_OK;
	}
	t.path = realpath(path, NULL);
	if (t.path == NULL)
		t.path = strdup(path);
	if (t.path == NULL)
		return KMS_E_NO_MEMORY;
	if (base_name(t.path)[0] == '\0')
		return fail(c, path, EISDIR);
	if (stat(t.path, &st) == 0 && S_ISDIR(st.st_mode))
		return fail(c, path, EISDIR);
	if (stat(t.path, &st) == 0 && !S_ISREG(st.st_mode)) {
		TRY(open_special(c, &t));
	} else {
		TRY(open_folder(c, &t));
		TRY(open_temp(c, &t));
	}
	*out = t;
	t = (struct target){ .fd = -1, .folder = -1 };
	return KMS_OK;
}

kms_err target_sync(struct ctl *c, struct target *t)
{
	if (t->direct || fsync(t->fd) == 0)
		return KMS_OK;
	return fail(c, t->path, errno);
}

static kms_err give_name(struct ctl *c, struct target *t)
{
	char self[TARGET_TEMP_MAX];

	if (t->temp[0] != '\0')
		return KMS_OK;
	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", t->fd);
	(void)snprintf(t->temp, sizeof(t->temp), ".kmsctl-%u", (unsigned)getpid());
	if (linkat(AT_FDCWD, self, t->folder, t->temp, AT_SYMLINK_FOLLOW) == 0)
		return KMS_OK;
	int error = errno;
	t->temp[0] = '\0';
	return fail(c, t->path, error);
}

kms_err target_commit(struct ctl *c, struct target *t)
{
	if (t->direct)
		return KMS_OK;
	TRY(give_name(c, t));
	if (renameat(t->folder, t->temp, t->folder, base_name(t->path)) != 0)
		return fail(c, t->path, errno);
	t->done = true;
	return fsync(t->folder) == 0 ? KMS_OK : fail(c, t->path, errno);
}

kms_err file_put(struct ctl *c, const char *path, struct bytes x)
{
	AUTO(target_done) struct target t = { .fd = -1, .folder = -1 };

	TRY(target_open(c, path, &t));
	int error = file_write_all(t.fd, x);
	if (error != 0)
		return fail(c, t.path != NULL ? t.path : "stdout", error);
	TRY(target_sync(c, &t));
	return target_commit(c, &t);
}
