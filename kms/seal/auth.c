/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The auth file. Everything is checked on the open descriptor, so nobody can swap the file
 * between the look and the reading. The line itself is wiped; only its hash goes on.
 */
#include "kms/seal/auth.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "kms/base/buf.h"
#include "kms/crypto/hash.h"

enum {
	LINE_MIN = 32,
	LINE_MAX_LEN = 1024,
	ACL_MAX = 1024, /* bytes of an access list; a credential's has 44 */
	ACL_VERSION = 2,
	DELETE_CHARACTER = 0x7f,
	FD_MAX = 65535
};

/* Who an entry of an access list speaks of: linux/posix_acl.h. */
enum acl_tag {
	ACL_OWNER = 0x01,
	ACL_USER = 0x02,
	ACL_OWNING_GROUP = 0x04,
	ACL_GROUP = 0x08,
	ACL_MASK = 0x10,
	ACL_OTHERS = 0x20
};

struct line {
	char text[LINE_MAX_LEN + 2]; /* a newline, and one more to notice what is too long */
	size_t n;
};

static void line_wipe(struct line *l)
{
	wipe(l, sizeof(*l));
}

static void close_fd(const int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}

/* True if the entry lets nobody in but the owner, root and us. */
static bool acl_entry_closed(uint16_t tag, uint16_t rights, uint32_t id)
{
	switch (tag) {
	case ACL_OWNER:
	case ACL_MASK: return true;
	case ACL_USER: return rights == 0 || id == 0 || id == geteuid();
	case ACL_OWNING_GROUP:
	case ACL_GROUP:
	case ACL_OTHERS: return rights == 0;
	default: return false;
	}
}

/* With an access list the mode's group bits are only its mask; the entries themselves count. */
static bool acl_closed(int fd)
{
	uint8_t acl[ACL_MAX];
	ssize_t n = fgetxattr(fd, "system.posix_acl_access", acl, sizeof(acl));
	struct reader r = reader_of(bytes_of(acl, n > 0 ? (size_t)n : 0));

	if (n <= 0 || read_u32(&r) != ACL_VERSION)
		return false;
	while (r.in.n > 0 && !r.failed) {
		uint16_t tag = read_u16(&r);
		uint16_t rights = read_u16(&r);
		uint32_t id = read_u32(&r);
		if (!r.failed && !acl_entry_closed(tag, rights, id))
			return false;
	}
	return reader_done(&r);
}

static kms_err check_file(int fd)
{
	struct stat st;

	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return KMS_E_AUTH_FILE;
	/* A memfd, or a file that was removed: only who has the descriptor can read it. */
	if (st.st_nlink == 0)
		return st.st_size <= LINE_MAX_LEN + 1 ? KMS_OK : KMS_E_AUTH_FILE;
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return KMS_E_AUTH_FILE;
	if ((st.st_mode & S_IRWXO) != 0 || st.st_size > LINE_MAX_LEN + 1)
		return KMS_E_AUTH_FILE;
	return (st.st_mode & S_IRWXG) == 0 || acl_closed(fd) ? KMS_OK : KMS_E_AUTH_FILE;
}

static kms_err read_whole(int fd, struct line *out)
{
	while (out->n < sizeof(out->text)) {
		ssize_t got =
		    pread(fd, out->text + out->n, sizeof(out->text) - out->n, (off_t)out->n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return KMS_E_AUTH_FILE;
		if (got == 0)
			break;
		out->n += (size_t)got;
	}
	return KMS_OK;
}

/* One line, its newline optional; no other control characters. */
static kms_err check_line(struct line *l, size_t least, size_t most)
{
	if (l->n > 0 && l->text[l->n - 1] == '\n')
		l->n--;
	if (l->n < least || l->n > most)
		return KMS_E_AUTH_FILE;
	for (size_t i = 0; i < l->n; i++) {
		unsigned char c = (unsigned char)l->text[i];
		if (c < ' ' || c == DELETE_CHARACTER)
			return KMS_E_AUTH_FILE;
	}
	return KMS_OK;
}

static kms_err read_line(int fd, size_t least, size_t most, struct line *out)
{
	TRY(check_file(fd));
	TRY(read_whole(fd, out));
	return check_line(out, least, most);
}

/* O_NONBLOCK: a pipe put in its place must not hold us up. */
static int open_file(const char *path)
{
	return open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
}

kms_err auth_read(const char *path, struct secret **out)
{
	AUTO(line_wipe) struct line l = { .n = 0 };
	AUTO(secret_free) struct secret *value = NULL;
	AUTO(close_fd) int fd = open_file(path);

	if (fd < 0)
		return KMS_E_AUTH_FILE;
	TRY(read_line(fd, LINE_MIN, LINE_MAX_LEN, &l));
	const struct bytes text = bytes_of(l.text, l.n);
	TRY(secret_new(SHA256_LEN, &value));
	TRY(hash_sha256(&text, 1, secret_fill(value)));
	*out = MOVE(value);
	return KMS_OK;
}

/* A copy of descriptor N for "fd:N"; else the file is opened. Negative for none. */
static int open_pin(const char *path)
{
	static const char prefix[] = "fd:";

	if (strncmp(path, prefix, sizeof(prefix) - 1) != 0)
		return open_file(path);
	char *end = NULL;
	const char *digits = path + sizeof(prefix) - 1;
	unsigned long fd = strtoul(digits, &end, 10);
	if (*digits < '0' || *digits > '9' || *end != '\0' || fd > FD_MAX)
		return -1;
	return fcntl((int)fd, F_DUPFD_CLOEXEC, 0);
}

static bool all_ascii(const struct line *l)
{
	for (size_t i = 0; i < l->n; i++)
		if ((unsigned char)l->text[i] > DELETE_CHARACTER)
			return false;
	return true;
}

kms_err auth_read_pin(const char *path, struct secret **out)
{
	AUTO(line_wipe) struct line l = { .n = 0 };
	AUTO(close_fd) int fd = open_pin(path);

	if (fd < 0 || read_line(fd, AUTH_PIN_MIN, AUTH_PIN_MAX, &l) != KMS_OK || !all_ascii(&l))
		return KMS_E_PIN_FILE;
	return secret_from(bytes_of(l.text, l.n), out);
}
