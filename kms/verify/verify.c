/* SPDX-License-Identifier: Apache-2.0 */
/* What kms-verify says about a folder or a file; the checks themselves are kms/audit/check.h's. */
#include "kms/verify/verify.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kms/audit/check.h"
#include "kms/audit/proof_file.h"

static void fd_close(const int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}

/* All of a file, at most `max` bytes. */
static kms_err read_file(int fd, size_t max, struct buf *out)
{
	uint8_t part[4096];

	for (;;) {
		ssize_t n = read(fd, part, sizeof(part));
		if (n < 0)
			return KMS_E_IO;
		if (n == 0)
			return KMS_OK;
		if (out->n + (size_t)n > max)
			return KMS_E_BAD_REQUEST;
		TRY(buf_put(out, bytes_of(part, (size_t)n)));
	}
}

static kms_err decode_keys(struct bytes text, struct check_keys **out)
{
	struct note_key keys[CHECK_KEYS_MAX];
	size_t n = 0;

	while (text.n > 0) {
		size_t line = 0;
		while (line < text.n && text.p[line] != '\n')
			line++;
		if (n == CHECK_KEYS_MAX)
			return KMS_E_TOO_MANY;
		TRY(note_key_decode(bytes_of(text.p, line), &keys[n++]));
		line += line < text.n;
		text = bytes_of(text.p + line, text.n - line);
	}
	/* With an empty file nothing would be asked for. */
	return n > 0 ? check_keys_new(keys, n, out) : KMS_E_BAD_REQUEST;
}

static kms_err read_keys(const char *path, struct check_keys **out)
{
	AUTO(buf_done) struct buf text = { 0 };

	if (path == NULL)
		return check_keys_new(NULL, 0, out);
	AUTO(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return KMS_E_IO;
	TRY(read_file(fd, (size_t)CHECK_KEYS_MAX * NOTE_MAX, &text));
	return decode_keys(buf_bytes(&text), out);
}

static enum verify_status say_signed(const struct check_sum *s, bool keys, FILE *to)
{
	if (s->checkpoints == 0) {
		(void)fprintf(to,
		    "signature: not signed. Who can write the log could have made all "
		    "of it anew; compare size and root with those of an earlier day.\n");
		return keys ? VERIFY_UNSIGNED : VERIFY_RIGHT;
	}
	if (!keys) {
		(void)fprintf(to, "signature: not checked, since no key was given.\n");
		return VERIFY_RIGHT;
	}
	(void)fprintf(to, "signature: right for the first %" PRIu64 " of %" PRIu64 " records.\n",
	    s->proven, s->size);
	return VERIFY_RIGHT;
}

static enum verify_status say_sum(const struct check_sum *s, bool keys, FILE *to)
{
	(void)fprintf(
	    to, "records: %" PRIu64 " from number %" PRIu64 "\n", s->size - s->first, s->first);
	(void)fprintf(to, "segments: %" PRIu64 "\ngroups: %" PRIu64 "\ncheckpoints: %" PRIu64 "\n",
	    s->segments, s->groups, s->checkpoints);
	(void)fprintf(to, "size: %" PRIu64 "\nroot: ", s->size);
	for (size_t i = 0; i < sizeof(s->root); i++)
		(void)fprintf(to, "%02x", s->root[i]);
	(void)fprintf(to, "\n");
	if (s->torn > 0)
		(void)fprintf(to,
		    "torn: %" PRIu64 " bytes of a last write, as a crash leaves "
		    "them.\n",
		    s->torn);
	return say_signed(s, keys, to);
}

static enum verify_status say_fault(const struct check_fault *f, FILE *to)
{
	(void)fprintf(to, "wrong: %s. %s\n", check_why_name(f->why), check_why_text(f->why));
	(void)fprintf(to,
	    "record: %" PRIu64 " is the first that can't be relied on.\n"
	    "place: segment %08" PRIu32 ", byte %" PRIu64 "\n",
	    f->record, f->segment, f->offset);
	return VERIFY_WRONG;
}

static enum verify_status say_error(kms_err e, const char *what, FILE *remarks)
{
	(void)fprintf(remarks, "kms-verify: %s: %s\n", what, err_text(e));
	return VERIFY_NO_READ;
}

static enum verify_status run_folder(
    const struct check_keys *keys, bool given, int fd, const char *what, FILE *to[static 2])
{
	struct check_sum sum;
	struct check_fault fault;

	kms_err e = check_folder(keys, fd, &sum, &fault);
	if (e == KMS_E_AUDIT_CORRUPT)
		return say_fault(&fault, to[0]);
	if (e != KMS_OK)
		return say_error(e, what, to[1]);
	if (sum.segments == 0) {
		(void)fprintf(to[1], "kms-verify: %s: there is no audit log in it\n", what);
		return VERIFY_NO_READ;
	}
	return say_sum(&sum, given, to[0]);
}

static enum verify_status run_proof(
    const struct check_keys *keys, bool given, int fd, const char *what, FILE *to[static 2])
{
	AUTO(buf_done) struct buf text = { 0 };
	struct check_proof p;

	kms_err e = read_file(fd, PROOF_FILE_MAX, &text);
	if (e == KMS_OK)
		e = check_proof(keys, buf_bytes(&text), &p);
	if (e == KMS_E_BAD_REQUEST || e == KMS_E_INTEGRITY) {
		(void)fprintf(to[0], "wrong: %s\n",
		    e == KMS_E_INTEGRITY ? "It does not prove the record." : "It is no proof.");
		return VERIFY_WRONG;
	}
	if (e != KMS_OK)
		return say_error(e, what, to[1]);
	(void)fprintf(to[0], "record: %" PRIu64 "\nlog: %s, %" PRIu64 " records\nsignature: %s\n",
	    p.index, p.checkpoint.origin, p.checkpoint.size,
	    given ? "right." : "not checked, since no key was given.");
	return VERIFY_RIGHT;
}

enum verify_status verify_run(const struct verify_args *a, FILE *to, FILE *remarks)
{
	AUTO(check_keys_free) struct check_keys *keys = NULL;
	FILE *both[2] = { to, remarks };
	struct stat st;

	kms_err e = read_keys(a->key, &keys);
	if (e != KMS_OK) {
		(void)say_error(e, a->key != NULL ? a->key : "keys", remarks);
		return e == KMS_E_BAD_REQUEST || e == KMS_E_TOO_MANY ? VERIFY_USAGE
		                                                     : VERIFY_NO_READ;
	}
	AUTO(fd_close) int fd = open(a->what, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0)
		return say_error(KMS_E_IO, a->what, remarks);
	return S_ISDIR(st.st_mode) ? run_folder(keys, a->key != NULL, fd, a->what, both)
	                           : run_proof(keys, a->key != NULL, fd, a->what, both);
}
