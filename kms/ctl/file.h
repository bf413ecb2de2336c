/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where bytes come from and go to: files, stdin and stdout ("-"), special files. A regular file
 * appears under its name only when it is whole and on the disk; before that it has no name, or a
 * temporary one beside. New files are closed to group and others.
 */
#pragma once

#include <sys/stat.h>

#include "kms/base/base.h"
#include "kms/base/buf.h"
#include "kms/ctl/ctl.h"

/* 0 or an errno. */
int file_write_all(int fd, struct bytes x);
/* Whether the path stands for stdin or stdout: "-", or NULL. */
bool file_is_standard(const char *path);
/* Opens for reading, stdin too; *out_fd is to be closed with file_close(). KMS_E_IO names the path. */
MUST_USE kms_err file_open(struct ctl *c, const char *path, int *out_fd);
/* Closes what is no standard stream, and sets it to -1. */
void file_close(int *fd);
/* Reads all of it, at most `max` bytes. KMS_E_IO; KMS_E_PLAINTEXT_TOO_BIG over max. */
MUST_USE kms_err file_read(struct ctl *c, const char *path, size_t max, struct buf *out);

enum {
	TARGET_TEMP_MAX = 32
};

struct target {
	int fd;      /* for writing; for reading back too, unless `direct` */
	bool direct; /* stdout or a special file: written as it comes */
	bool done;
	char *path;                 /* owned, with links resolved */
	int folder;                 /* -1 if direct */
	char temp[TARGET_TEMP_MAX]; /* its name in the folder while it has one */
};

/* path NULL or "-": stdout. KMS_E_IO names the path. */
MUST_USE kms_err target_open(struct ctl *c, const char *path, struct target *out);
/* Onto the disk, not yet under its name. */
MUST_USE kms_err target_sync(struct ctl *c, struct target *t);
/* Under its name, replacing what was there; that is on the disk too. After target_sync. */
MUST_USE kms_err target_commit(struct ctl *c, struct target *t);
/* Closes; what was not committed is gone. Takes one that was zeroed. */
void target_done(struct target *t);

/* Writes a whole file, or to stdout. */
MUST_USE kms_err file_put(struct ctl *c, const char *path, struct bytes x);
