/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and writing descriptors for envelopes. Whether one can seek is found out once. */
#include "kms/client/fd.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

/* Only read there: the public struct has one pointer for every kind of user. */
static void *user_of(const int *fd)
{
	union {
		const int *fd;
		void *user;
	} u = { .fd = fd };

	return u.user;
}

static int fd_of(const void *user)
{
	return *(const int *)user;
}

/* After a failed call: 0 if it may be tried again, else its errno. */
static int wait_again(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	if (errno == EINTR)
		return 0;
	if (errno != EAGAIN)
		return errno;
	return poll(&p, 1, -1) >= 0 || errno == EINTR ? 0 : errno;
}

static int write_fd(void *user, const void *p, size_t n)
{
	const uint8_t *from = p;
	int fd = fd_of(user);

	while (n > 0) {
		ssize_t done = write(fd, from, n);
		int error = done < 0 ? wait_again(fd, POLLOUT) : 0;
		if (error != 0)
			return error;
		if (done > 0) {
			from += done;
			n -= (size_t)done;
		}
	}
	return 0;
}

static int read_seeking(void *user, uint64_t offset, void *p, size_t n, size_t *out_n)
{
	int fd = fd_of(user);
	int error = 0;
	ssize_t got;

	do {
		got = pread(fd, p, n, (off_t)offset);
		error = got < 0 ? wait_again(fd, POLLIN) : 0;
	} while (got < 0 && error == 0);
	if (error == 0)
		*out_n = (size_t)got;
	return error;
}

static int read_stream(void *user, uint64_t offset, void *p, size_t n, size_t *out_n)
{
	int fd = fd_of(user);
	int error = 0;
	ssize_t got;

	(void)offset;
	do {
		got = read(fd, p, n);
		error = got < 0 ? wait_again(fd, POLLIN) : 0;
	} while (got < 0 && error == 0);
	if (error == 0)
		*out_n = (size_t)got;
	return error;
}

struct kms_sink kms_sink_fd(const int *fd)
{
	return (struct kms_sink){ .write = write_fd, .user = user_of(fd) };
}

struct kms_source kms_source_fd(const int *fd)
{
	if (lseek(*fd, 0, SEEK_CUR) < 0 && errno == ESPIPE)
		return fd_stream(fd);
	return (struct kms_source){ .read_at = read_seeking, .user = user_of(fd) };
}

struct kms_source fd_stream(const int *fd)
{
	return (struct kms_source){ .read_at = read_stream, .user = user_of(fd) };
}

bool fd_is_stream(const struct kms_source *s)
{
	return s->read_at == read_stream;
}

kms_err fd_write_at(int fd, uint64_t offset, struct bytes x, int *out_errno)
{
	while (x.n > 0) {
		ssize_t done = pwrite(fd, x.p, x.n, (off_t)offset);
		int error = done < 0 ? wait_again(fd, POLLOUT) : 0;
		if (error != 0) {
			*out_errno = error;
			return KMS_E_IO;
		}
		if (done > 0) {
			x = bytes_of(x.p + done, x.n - (size_t)done);
			offset += (uint64_t)done;
		}
	}
	return KMS_OK;
}
