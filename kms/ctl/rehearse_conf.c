/* SPDX-License-Identifier: Apache-2.0 */
/* kmsd reads FILE and then FILE.d by name, and the last word counts: so ours goes there last. */
#include "kms/ctl/rehearse_conf.h"

#include <ctype.h>
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "kms/ctl/file.h"

enum {
	CONF_MAX = 1 << 20, /* bytes of one file */
	PARTS_MAX = 9999,
	FOLDER_MODE = 0700
};

static const char usual_conf[] = "/etc/kms/kms.conf";
static const char usual_backup[] = "/var/lib/kms/backup";

/* The schedules of the live one have nothing to do in a folder that is thrown away. */
static const char ours[] = "socket = \"%s/kms.sock\"\n"
                           "socket_group = \"\"\n"
                           "socket_mode = \"0600\"\n"
                           "store = \"%s/store\"\n"
                           "audit = \"%s/audit\"\n"
                           "audit_segment = 4194304\n"
                           "backup = \"%s/backup\"\n";

const char *conf_choose(const struct ctl *c)
{
	/* One thread, and nobody changes the environment. */
	const char *env = getenv("KMS_CONFIG"); /* NOLINT(concurrency-mt-unsafe) */

	if (c->args.given[OPT_CONFIG])
		return c->args.text[OPT_CONFIG];
	return env != NULL ? env : usual_conf;
}

/* ---- Reading ------------------------------------------------------------------------------ */

static bool begins(struct bytes in, const char *with)
{
	size_t n = strlen(with);

	return in.n >= n && memcmp(in.p, with, n) == 0;
}

static struct bytes skip(struct bytes in, size_t n)
{
	n = n < in.n ? n : in.n;
	return bytes_of(in.p + n, in.n - n);
}

static struct bytes skip_past(struct bytes in, const char *end)
{
	while (in.n > 0 && !begins(in, end))
		in = skip(in, 1);
	return skip(in, strlen(end));
}

static struct bytes skip_blank(struct bytes in)
{
	for (;;) {
		if (in.n > 0 && isspace(in.p[0]) != 0)
			in = skip(in, 1);
		else if (begins(in, "#") || begins(in, "//"))
			in = skip_past(in, "\n");
		else if (begins(in, "/*"))
			in = skip_past(in, "*/");
		else
			return in;
	}
}

static bool is_mark(uint8_t x)
{
	return isspace(x) != 0 || strchr("{}()=+,\"'#", x) != NULL;
}

/* One word, mark or quoted text, without its quotes. Takes it off `in`; empty at the end. */
static struct bytes take_token(struct bytes *in, bool *out_quoted)
{
	struct bytes rest = skip_blank(*in);
	size_t n = 0;

	*out_quoted = rest.n > 0 && (rest.p[0] == '"' || rest.p[0] == '\'');
	if (*out_quoted) {
		uint8_t quote = rest.p[0];
		rest = skip(rest, 1);
		while (n < rest.n && rest.p[n] != quote)
			n += rest.p[n] == '\\' && n + 1 < rest.n ? 2 : 1;
		*in = skip(rest, n + 1);
		return bytes_of(rest.p, n);
	}
	while (n < rest.n && !is_mark(rest.p[n]))
		n++;
	n = n == 0 && rest.n > 0 ? 1 : n;
	*in = skip(rest, n);
	return bytes_of(rest.p, n);
}

struct bytes conf_find(struct bytes text, const char *option)
{
	struct bytes found = bytes_of(NULL, 0), token, before = found;
	bool quoted, wanted = false;
	size_t depth = 0;

	while ((token = take_token(&text, &quoted)).n > 0 || quoted) {
		if (wanted)
			found = token;
		wanted = !quoted && begins(token, "=") && depth == 0 &&
		         bytes_equal(before, bytes_of_str(option));
		if (!quoted && begins(token, "{"))
			depth++;
		if (!quoted && begins(token, "}") && depth > 0)
			depth--;
		before = quoted ? bytes_of(NULL, 0) : token;
	}
	return found;
}

/* ---- The live files ----------------------------------------------------------------------- */

/* Calls `use` for FILE and each part of FILE.d, in the order in which kmsd reads them. */
static kms_err for_each_file(struct ctl *c, const char *live,
    kms_err (*use)(struct ctl *c, const char *path, size_t number, void *user), void *user)
{
	char pattern[CONF_PATH_MAX];
	glob_t found = { 0 };

	int n = snprintf(pattern, sizeof(pattern), "%s.d/*.conf", live);
	if (n < 0 || (size_t)n >= sizeof(pattern))
		return ctl_usage(c, "%.64s…: the path is too long", live);
	TRY(use(c, live, 0, user));
	if (glob(pattern, 0, NULL, &found) != 0) /* NOLINT(concurrency-mt-unsafe): one thread */
		return KMS_OK;
	kms_err e = found.gl_pathc < PARTS_MAX ? KMS_OK : KMS_E_BAD_CONFIG;
	for (size_t i = 0; i < found.gl_pathc && e == KMS_OK; i++)
		e = use(c, found.gl_pathv[i], i + 1, user);
	globfree(&found);
	return e;
}

static kms_err look_for_folder(struct ctl *c, const char *path, size_t number, void *user)
{
	AUTO(buf_done) struct buf text = { .n = 0 };
	char *out = user;

	(void)number;
	TRY(file_read(c, path, CONF_MAX, &text));
	struct bytes value = conf_find(buf_bytes(&text), "backup");
	if (value.p == NULL)
		return KMS_OK;
	if (value.n == 0 || value.n >= CONF_PATH_MAX || value.p[0] != '/')
		return ctl_refuse(c, KMS_E_BAD_CONFIG, "%s: option backup", path);
	memcpy(out, value.p, value.n);
	out[value.n] = '\0';
	return KMS_OK;
}

kms_err conf_backup_folder(struct ctl *c, const char *live, char out[static CONF_PATH_MAX])
{
	memcpy(out, usual_backup, sizeof(usual_backup));
	return for_each_file(c, live, look_for_folder, out);
}

/* ---- Our own ------------------------------------------------------------------------------ */

static kms_err copy_file(struct ctl *c, const char *path, size_t number, void *user)
{
	AUTO(buf_done) struct buf text = { .n = 0 };
	const char *folder = user;
	char to[CONF_PATH_MAX];

	if (number == 0)
		(void)snprintf(to, sizeof(to), "%s/kms.conf", folder);
	else
		(void)snprintf(to, sizeof(to), "%s/kms.conf.d/%04zu.conf", folder, number);
	TRY(file_read(c, path, CONF_MAX, &text));
	return file_put(c, to, buf_bytes(&text));
}

static kms_err make_folders(struct ctl *c, const char *folder)
{
	static const char *const names[] = { "kms.conf.d", "store", "audit", "backup" };
	char path[CONF_PATH_MAX];

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		if (mkdir(path, FOLDER_MODE) != 0)
			return ctl_refuse(c, KMS_E_IO, "%s: %s", path, strerrordesc_np(errno));
	}
	return KMS_OK;
}

kms_err conf_write(struct ctl *c, const char *live, const char *folder)
{
	char path[CONF_PATH_MAX], text[4 * CONF_PATH_MAX];
	char where[CONF_PATH_MAX];

	/* It stands in quotes, and libconfuse reads ${NAME} and backslashes there. */
	if (strlen(folder) > CONF_PATH_MAX / 4 || strpbrk(folder, "\"\\$\n") != NULL)
		return ctl_usage(
		    c, "TMPDIR is too long or has letters that kms.conf does not take");
	(void)snprintf(where, sizeof(where), "%s", folder);
	TRY(make_folders(c, folder));
	TRY(for_each_file(c, live, copy_file, where));
	(void)snprintf(path, sizeof(path), "%s/kms.conf.d/%d.conf", folder, PARTS_MAX);
	(void)snprintf(text, sizeof(text), ours, folder, folder, folder, folder);
	return file_put(c, path, bytes_of_str(text));
}
