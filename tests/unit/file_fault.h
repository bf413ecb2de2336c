/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes the N-th call that changes a folder or a plain file fail, or be the last thing that the
 * process does; or the N-th read. SQLite's calls are disk_fault.h's. Include it in one file of a
 * test.
 */
#pragma once

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "kms/base/base.h"

enum file_fault_kind {
	FILE_KILL, /* dies instead of the call */
	FILE_TEAR, /* writes half of it, then dies */
	FILE_FAIL  /* gives -1 and the error */
};

static struct file_fault {
	size_t in, reads_in; /* 0: nothing happens. 1: at the next call */
	enum file_fault_kind kind;
	int error;
	bool no_flags; /* renameat2 knows none */
} file_fault;

/* True if the call is to fail; does not return where the process is to die. */
static inline bool file_fails(void)
{
	if (file_fault.in == 0 || --file_fault.in > 0)
		return false;
	if (file_fault.kind != FILE_FAIL)
		(void)raise(SIGKILL);
	errno = file_fault.error;
	return true;
}

static inline void file_real(const char *name, void *out_function)
{
	void *real = dlsym(RTLD_NEXT, name);

	CHECK(real != NULL);
	memcpy(out_function, &real, sizeof(real));
}

__attribute__((visibility("default"))) ssize_t write(int fd, const void *p, size_t n)
{
	ssize_t (*real)(int, const void *, size_t);

	file_real("write", &real);
	if (file_fault.in == 1 && file_fault.kind == FILE_TEAR)
		(void)real(fd, p, n / 2);
	return file_fails() ? -1 : real(fd, p, n);
}

/* By its name for the linker alone: the header has an inline one. */
__attribute__((visibility("default"))) ssize_t file_fault_pread(
    int fd, void *p, size_t n, off_t at) __asm__("pread");

ssize_t file_fault_pread(int fd, void *p, size_t n, off_t at)
{
	ssize_t (*real)(int, void *, size_t, off_t);

	file_real("pread", &real);
	if (file_fault.reads_in > 0 && --file_fault.reads_in == 0) {
		errno = file_fault.error;
		return -1;
	}
	return real(fd, p, n, at);
}

__attribute__((visibility("default"))) int fsync(int fd)
{
	int (*real)(int);

	file_real("fsync", &real);
	return file_fails() ? -1 : real(fd);
}

__attribute__((visibility("default"))) int renameat(
    int from_dir, const char *from, int to_dir, const char *to)
{
	int (*real)(int, const char *, int, const char *);

	file_real("renameat", &real);
	return file_fails() ? -1 : real(from_dir, from, to_dir, to);
}

__attribute__((visibility("default"))) int renameat2(
    int from_dir, const char *from, int to_dir, const char *to, unsigned int flags)
{
	int (*real)(int, const char *, int, const char *, unsigned int);

	file_real("renameat2", &real);
	if (file_fault.no_flags && flags != 0) {
		errno = EINVAL;
		return -1;
	}
	return file_fails() ? -1 : real(from_dir, from, to_dir, to, flags);
}

__attribute__((visibility("default"))) int file_fault_openat(
    int dir, const char *path, int flags, ...) __asm__("openat");

int file_fault_openat(int dir, const char *path, int flags, ...)
{
	int (*real)(int, const char *, int, ...);
	va_list args;

	va_start(args, flags);
	mode_t mode = va_arg(args, mode_t);
	va_end(args);
	file_real("openat", &real);
	/* Those that read are another story. */
	if ((flags & O_CREAT) == 0)
		return real(dir, path, flags, mode);
	return file_fails() ? -1 : real(dir, path, flags, mode);
}
