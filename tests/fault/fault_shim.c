/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded into kmsd by tests: makes the Nth write, flush, truncation or rename of chosen files
 * fail, stop half-way, or be the last thing that the process does. A test steers it through a file
 * that is mapped before the sandbox closes and shared with every child; tests/fault/shim.py knows
 * the same layout. Without KMS_FAULT_STATE it does nothing.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
	FDS_MAX = 65536,
	MATCH_MAX = 128,
	EXIT_KILLED = 137
};

enum action {
	ACTION_NONE = 0,
	ACTION_KILL_BEFORE = 1, /* dies instead of the call */
	ACTION_KILL_AFTER = 2,  /* dies when the call is done */
	ACTION_TEAR = 3,        /* writes half of it, then dies */
	ACTION_FAIL = 4,        /* returns -1 and `error` */
	ACTION_SHORT = 5        /* writes half of it and says so */
};

/* Bits of `calls`. */
enum call {
	CALL_WRITE = 1,
	CALL_SYNC = 2,
	CALL_TRUNCATE = 4,
	CALL_RENAME = 8,
	CALL_UNLINK = 16
};

struct steering {
	_Atomic uint32_t action, calls;
	_Atomic int32_t error;
	_Atomic uint32_t unused;
	_Atomic uint64_t first, last; /* the calls that it happens to, counted from 1 */
	_Atomic uint64_t count;       /* calls that matched so far */
	_Atomic uint64_t fired;       /* of those, the ones that it happened to */
	char match[MATCH_MAX]; /* parts of paths, with colons between; set before the start */
};

static struct steering *steering;
static _Atomic bool watched[FDS_MAX];

static bool path_matches(const char *path)
{
	const char *at = steering == NULL ? "" : steering->match;
	char part[MATCH_MAX];
	while (*at != '\0') {
		size_t n = strcspn(at, ":");
		memcpy(part, at, n);
		part[n] = '\0';
		if (n > 0 && strstr(path, part) != NULL)
			return true;
		at += at[n] == ':' ? n + 1 : n;
	}
	return false;
}

static int watch(int fd, const char *path)
{
	if (fd >= 0 && fd < FDS_MAX)
		watched[fd] = path_matches(path);
	return fd;
}

static bool is_watched(int fd)
{
	return steering != NULL && fd >= 0 && fd < FDS_MAX && watched[fd];
}

/* Counts this call and says what is to happen to it. */
static enum action decide(enum call call)
{
	if ((steering->calls & (uint32_t)call) == 0)
		return ACTION_NONE;
	uint64_t n = ++steering->count;
	if (n < steering->first || n > steering->last || steering->action == ACTION_NONE)
		return ACTION_NONE;
	steering->fired++;
	return (enum action)steering->action;
}

static enum action decide_fd(int fd, enum call call)
{
	return is_watched(fd) ? decide(call) : ACTION_NONE;
}

static enum action decide_path(const char *a, const char *b, enum call call)
{
	bool ours = steering != NULL && (path_matches(a) || path_matches(b));
	return ours ? decide(call) : ACTION_NONE;
}

/* `real`: libc's function of that name. */
#define NEXT(name)                                                                                 \
	static __typeof__(&(name)) real;                                                           \
	if (real == NULL) {                                                                        \
		void *found = dlsym(RTLD_NEXT, #name);                                             \
		memcpy(&real, &found, sizeof(real));                                               \
	}

/* For calls that are done or not done: true when the call must return -1 now. */
static bool refused(enum action a)
{
	if (a == ACTION_KILL_BEFORE || a == ACTION_TEAR)
		_exit(EXIT_KILLED);
	if (a == ACTION_FAIL)
		errno = steering->error;
	return a == ACTION_FAIL;
}

static int finish(enum action a, int result)
{
	if (a == ACTION_KILL_AFTER)
		_exit(EXIT_KILLED);
	return result;
}

__attribute__((constructor)) static void attach(void)
{
	const char *path = getenv("KMS_FAULT_STATE");
	if (path == NULL)
		return;
	int fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return;
	void *p = mmap(NULL, sizeof(*steering), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	(void)close(fd);
	if (p != MAP_FAILED)
		steering = p;
}

/* ---- Files are known by the path that they were opened with -------------------------------- */

#define MODE_OF(flags)                                                                             \
	mode_t mode = 0;                                                                           \
	if (((flags) & (O_CREAT | __O_TMPFILE)) != 0) {                                            \
		va_list args;                                                                      \
		va_start(args, flags);                                                             \
		mode = va_arg(args, mode_t);                                                       \
		va_end(args);                                                                      \
	}

int open(const char *path, int flags, ...)
{
	NEXT(open)
	MODE_OF(flags)
	return watch(real(path, flags, mode), path);
}

int open64(const char *path, int flags, ...)
{
	NEXT(open64)
	MODE_OF(flags)
	return watch(real(path, flags, mode), path);
}

int openat(int dir, const char *path, int flags, ...)
{
	NEXT(openat)
	MODE_OF(flags)
	return watch(real(dir, path, flags, mode), path);
}

int openat64(int dir, const char *path, int flags, ...)
{
	NEXT(openat64)
	MODE_OF(flags)
	return watch(real(dir, path, flags, mode), path);
}

/* What _FORTIFY_SOURCE makes of the four above. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int dir, const char *path, int flags);
int __openat64_2(int dir, const char *path, int flags);

int __open_2(const char *path, int flags)
{
	return open(path, flags);
}

int __open64_2(const char *path, int flags)
{
	return open64(path, flags);
}

int __openat_2(int dir, const char *path, int flags)
{
	return openat(dir, path, flags);
}

int __openat64_2(int dir, const char *path, int flags)
{
	return openat64(dir, path, flags);
}

/* ---- Writes --------------------------------------------------------------------------------- */

/* How much of a write of n bytes is done: all, half, or (-1) nothing. */
static ssize_t share(enum action a, size_t n)
{
	if (a == ACTION_TEAR || a == ACTION_SHORT)
		return (ssize_t)(n / 2);
	return refused(a) ? -1 : (ssize_t)n;
}

static ssize_t finish_write(enum action a, ssize_t result)
{
	if (a == ACTION_TEAR || a == ACTION_KILL_AFTER)
		_exit(EXIT_KILLED);
	return result;
}

ssize_t write(int fd, const void *p, size_t n)
{
	NEXT(write)
	enum action a = decide_fd(fd, CALL_WRITE);
	ssize_t part = share(a, n);
	return part < 0 ? -1 : finish_write(a, real(fd, p, (size_t)part));
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
	NEXT(pwrite)
	enum action a = decide_fd(fd, CALL_WRITE);
	ssize_t part = share(a, n);
	return part < 0 ? -1 : finish_write(a, real(fd, p, (size_t)part, at));
}

ssize_t pwrite64(int fd, const void *p, size_t n, off64_t at)
{
	NEXT(pwrite64)
	enum action a = decide_fd(fd, CALL_WRITE);
	ssize_t part = share(a, n);
	return part < 0 ? -1 : finish_write(a, real(fd, p, (size_t)part, at));
}

/* Half of several pieces is their first. */
static int share_pieces(enum action a, int n)
{
	return (int)share(a, (size_t)n);
}

ssize_t writev(int fd, const struct iovec *v, int n)
{
	NEXT(writev)
	enum action a = decide_fd(fd, CALL_WRITE);
	int part = share_pieces(a, n);
	return part < 0 ? -1 : finish_write(a, real(fd, v, part));
}

ssize_t pwritev(int fd, const struct iovec *v, int n, off_t at)
{
	NEXT(pwritev)
	enum action a = decide_fd(fd, CALL_WRITE);
	int part = share_pieces(a, n);
	return part < 0 ? -1 : finish_write(a, real(fd, v, part, at));
}

/* ---- The rest ------------------------------------------------------------------------------- */

int fdatasync(int fd)
{
	NEXT(fdatasync)
	enum action a = decide_fd(fd, CALL_SYNC);
	return refused(a) ? -1 : finish(a, real(fd));
}

int fsync(int fd)
{
	NEXT(fsync)
	enum action a = decide_fd(fd, CALL_SYNC);
	return refused(a) ? -1 : finish(a, real(fd));
}

int ftruncate(int fd, off_t n)
{
	NEXT(ftruncate)
	enum action a = decide_fd(fd, CALL_TRUNCATE);
	return refused(a) ? -1 : finish(a, real(fd, n));
}

int ftruncate64(int fd, off64_t n)
{
	NEXT(ftruncate64)
	enum action a = decide_fd(fd, CALL_TRUNCATE);
	return refused(a) ? -1 : finish(a, real(fd, n));
}

int rename(const char *from, const char *to)
{
	NEXT(rename)
	enum action a = decide_path(from, to, CALL_RENAME);
	return refused(a) ? -1 : finish(a, real(from, to));
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	NEXT(renameat)
	enum action a = decide_path(from, to, CALL_RENAME);
	return refused(a) ? -1 : finish(a, real(from_dir, from, to_dir, to));
}

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
	NEXT(renameat2)
	enum action a = decide_path(from, to, CALL_RENAME);
	return refused(a) ? -1 : finish(a, real(from_dir, from, to_dir, to, flags));
}

int unlink(const char *path)
{
	NEXT(unlink)
	enum action a = decide_path(path, path, CALL_UNLINK);
	return refused(a) ? -1 : finish(a, real(path));
}
