/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes SQLite's N-th call to the disk fail, or be the last thing that the process does. Include it
 * in one file of a test: its definitions stand before those of libc for the libraries as well. A
 * story is told again with N = 1, 2, 3… until it passes untouched.
 */
#pragma once

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kms/base/base.h"

enum disk_fault_kind {
	DISK_KILL, /* dies instead of the call */
	DISK_TEAR, /* writes half of it, then dies */
	DISK_FAIL  /* gives -1 and the error */
};

static struct {
	size_t in; /* 0: nothing happens. 1: at the next call */
	enum disk_fault_kind kind;
	int error;
	size_t opens; /* files that were opened so far */
} disk;

static inline bool disk_now(void)
{
	return disk.in > 0 && --disk.in == 0;
}

/* True if the call is to fail; does not return where the process is to die. */
static inline bool disk_fails(void)
{
	if (!disk_now())
		return false;
	if (disk.kind != DISK_FAIL)
		(void)raise(SIGKILL);
	errno = disk.error;
	return true;
}

static inline void disk_real(const char *name, void *out_function)
{
	void *real = dlsym(RTLD_NEXT, name);

	CHECK(real != NULL);
	memcpy(out_function, &real, sizeof(real));
}

__attribute__((visibility("default"))) ssize_t pwrite64(
    int fd, const void *p, size_t n, __off64_t at)
{
	ssize_t (*real)(int, const void *, size_t, __off64_t);

	disk_real("pwrite64", &real);
	if (disk.in == 1 && disk.kind == DISK_TEAR)
		(void)real(fd, p, n / 2, at);
	return disk_fails() ? -1 : real(fd, p, n, at);
}

__attribute__((visibility("default"))) int fdatasync(int fd)
{
	int (*real)(int);

	disk_real("fdatasync", &real);
	return disk_fails() ? -1 : real(fd);
}

__attribute__((visibility("default"))) int ftruncate64(int fd, __off64_t n)
{
	int (*real)(int, __off64_t);

	disk_real("ftruncate64", &real);
	return disk_fails() ? -1 : real(fd, n);
}

__attribute__((visibility("default"))) int unlink(const char *path)
{
	int (*real)(const char *);

	disk_real("unlink", &real);
	if (disk.error == ENOSPC)
		return real(path);
	return disk_fails() ? -1 : real(path);
}

__attribute__((visibility("default"))) int open64(const char *path, int flags, ...)
{
	int (*real)(const char *, int, ...);
	va_list args;

	va_start(args, flags);
	mode_t mode = va_arg(args, mode_t);
	va_end(args);
	disk_real("open64", &real);
	disk.opens++;
	/* SQLite covers it up: it opens to read instead, and names what comes of that. */
	if (disk.error == ENOSPC)
		return real(path, flags, mode);
	return disk_fails() ? -1 : real(path, flags, mode);
}
