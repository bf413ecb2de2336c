/* SPDX-License-Identifier: Apache-2.0 */
/*
 * encrypt and decrypt. A new file gets its name only when it is whole, on the disk and, for
 * encrypt, has been opened again; the clear file is removed after all that, or never.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "kms/base/secret.h"
#include "kms/client/fd.h"
#include "kms/ctl/ctl.h"
#include "kms/ctl/file.h"
#include "kms/ctl/prove.h"

enum {
	STEP = 256 * 1024 /* clear bytes in memory at once */
};

/* One run of encrypt or decrypt. */
struct job {
	const char *key, *from;
	struct kms_context context;
	int in;
	struct target out;
	uint64_t size; /* clear bytes that were read */
};

static void job_done(struct job *j)
{
	file_close(&j->in);
	target_done(&j->out);
}

static kms_err check_encrypt(struct ctl *c)
{
	const char *to = c->args.text[OPT_OUTPUT];

	if (file_is_standard(to))
		TRY(ctl_check_no_terminal(c, "binary", "use -o FILE or a pipe"));
	if (c->args.given[OPT_REMOVE] && file_is_standard(c->args.operands[1]))
		return ctl_usage(c, "--rm needs a file to remove, not stdin");
	if (c->args.given[OPT_REMOVE] && file_is_standard(to))
		return ctl_usage(c, "--rm needs -o FILE: what goes to stdout can't be proven");
	return KMS_OK;
}

/* Encrypting a file onto itself would end in losing it. */
static kms_err check_places(struct ctl *c, const struct job *j)
{
	struct stat from, to;

	if (j->out.path == NULL || fstat(j->in, &from) != 0 || stat(j->out.path, &to) != 0)
		return KMS_OK;
	if (from.st_dev == to.st_dev && from.st_ino == to.st_ino)
		return ctl_usage(c, "%s is both the input and the output", j->from);
	if (c->args.given[OPT_REMOVE] && j->out.direct)
		return ctl_usage(c, "--rm needs a regular file as output");
	return KMS_OK;
}

static kms_err copy_in(struct ctl *c, struct job *j, struct kms_writer *w)
{
	AUTO(buf_done) struct buf clear = { .n = 0 };
	struct kms_error error;

	TRY(buf_reserve(&clear, STEP));
	for (;;) {
		ssize_t n = read(j->in, clear.p, STEP);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return ctl_refuse(c, KMS_E_IO, "%s: %s", j->from, strerrordesc_np(errno));
		clear.n = (size_t)n;
		if (n == 0)
			break;
		j->size += (uint64_t)n;
		if (kms_writer_write(w, clear.p, (size_t)n, &error) != KMS_CODE_OK)
			return ctl_keep(c, &error);
	}
	return kms_writer_finish(w, &error) == KMS_CODE_OK ? KMS_OK : ctl_keep(c, &error);
}

static kms_err write_envelope(struct ctl *c, struct job *j, const struct kms_item *item)
{
	AUTO(kms_writer_free) struct kms_writer *w = NULL;
	struct kms_error error;
	const struct kms_sink sink = kms_sink_fd(&j->out.fd);
	const struct kms_envelope_key key = {
		.key = j->key,
		.wrapped = item->wrapped,
		.plaintext = item->plaintext,
		.context = &j->context,
		.hide_values = c->args.given[OPT_HIDE_CONTEXT],
	};

	if (kms_writer_open(&key, &sink, &w, &error) != KMS_CODE_OK)
		return ctl_keep(c, &error);
	return copy_in(c, j, w);
}

/* Remove the clear file, if it is still the one that was encrypted. */
static kms_err remove_clear(struct ctl *c, const struct job *j)
{
	struct stat opened, named;

	if (fstat(j->in, &opened) != 0 || stat(j->from, &named) != 0 ||
	    opened.st_ino != named.st_ino || opened.st_dev != named.st_dev)
		return ctl_refuse(
		    c, KMS_E_IO, "%s was replaced meanwhile; it was not removed", j->from);
	if (unlink(j->from) != 0)
		return ctl_refuse(c, KMS_E_IO, "%s: %s", j->from, strerrordesc_np(errno));
	ctl_talk(c, "%s is encrypted, proven and removed.", j->from);
	return KMS_OK;
}

static kms_err print_job(struct ctl *c, const struct job *j, const struct kms_item *item)
{
	AUTO(out_done) struct out o = { .field_n = 0 };

	if (!c->style.json || j->out.path == NULL)
		return KMS_OK;
	out_str(&o, "file", NULL, j->out.path);
	out_str(&o, "key", NULL, j->key);
	out_u64(&o, "version", NULL, item->version);
	out_base64(&o, "wrapped", NULL, bytes_of(item->wrapped.p, item->wrapped.n));
	out_context(&o, "context", NULL, &j->context);
	out_u64(&o, "bytes", NULL, j->size);
	out_bool(&o, "removed", NULL, c->args.given[OPT_REMOVE]);
	return ctl_print(c, &o);
}

static kms_err encrypt_file(struct ctl *c, struct job *j)
{
	AUTO(kms_result_free) struct kms_result *r = NULL;
	size_t n;

	TRY(ctl_ask(c, kms_issue(c->kms, j->key, &j->context, 1, false, &r)));
	const struct kms_item *item = kms_result_items(r, &n);
	TRY(write_envelope(c, j, item));
	TRY(target_sync(c, &j->out));
	if (!j->out.direct) {
		const struct proof proof = { .fd = j->out.fd,
			.clear_fd = j->in,
			.from = j->from,
			.size = j->size,
			.plaintext = item->plaintext,
			.context = &j->context,
			.ask = c->args.given[OPT_REMOVE] };
		TRY(prove_envelope(c, &proof));
	}
	TRY(target_commit(c, &j->out));
	if (c->args.given[OPT_REMOVE])
		TRY(remove_clear(c, j));
	return print_job(c, j, item);
}

static kms_err plan_encrypt(struct ctl *c, const struct job *j)
{
	AUTO(kms_result_free) struct kms_result *r = NULL;
	AUTO(out_done) struct out o = { .field_n = 0 };

	TRY(ctl_ask(c, kms_key_show(c->kms, j->key, &r)));
	const struct kms_key *key = kms_result_key(r);
	if (key->version == 0)
		return ctl_refuse(c, KMS_E_NO_ACTIVE_VERSION, "%s", j->key);
	ctl_talk(c, "%s would be encrypted under version %u of %s%s; nothing was changed.", j->from,
	    (unsigned)key->version, key->key, c->args.given[OPT_REMOVE] ? ", then removed" : "");
	out_bool(&o, "dry_run", NULL, true);
	out_str(&o, "key", NULL, key->key);
	out_u64(&o, "version", NULL, key->version);
	return ctl_print(c, &o);
}

kms_err cmd_encrypt(struct ctl *c)
{
	AUTO(job_done) struct job j = { .in = -1, .out = { .fd = -1, .folder = -1 } };

	j.key = c->args.operands[0];
	j.from = c->args.operands[1];
	j.context = args_context_of(&c->args.context);
	TRY(check_encrypt(c));
	TRY(file_open(c, j.from, &j.in));
	TRY(ctl_connect(c));
	if (ctl_is_dry_run(c))
		return plan_encrypt(c, &j);
	TRY(target_open(c, c->args.text[OPT_OUTPUT], &j.out));
	TRY(check_places(c, &j));
	return encrypt_file(c, &j);
}

/* The file is given out all the same: whoever reads it must know that others may have, too. */
static void advise(const struct ctl *c, const struct job *j, const struct kms_envelope_info *info)
{
	if (info->compromised)
		ctl_talk(c,
		    "%s: version %u of %s, which wraps its key, is compromised: encrypt the file "
		    "anew.",
		    j->from, (unsigned)info->version, info->key);
	else if (info->rewrap_advised)
		ctl_talk(c, "%s: %s has a newer version; `kmsctl rewrap FILE` moves its key there.",
		    j->from, info->key);
}

static kms_err print_decrypted(
    struct ctl *c, const struct job *j, const struct kms_envelope_info *info)
{
	AUTO(out_done) struct out o = { .field_n = 0 };
	struct stat st;

	if (!c->style.json || j->out.path == NULL)
		return KMS_OK;
	out_str(&o, "file", NULL, j->out.path);
	if (fstat(j->out.fd, &st) == 0)
		out_u64(&o, "bytes", NULL, (uint64_t)st.st_size);
	out_str(&o, "key", NULL, info->key);
	out_u64(&o, "version", NULL, info->version);
	out_bool(&o, "rewrap_advised", NULL, info->rewrap_advised);
	out_bool(&o, "compromised", NULL, info->compromised);
	return ctl_print(c, &o);
}

static kms_err decrypt_file(struct ctl *c, struct job *j)
{
	AUTO(kms_envelope_free) struct kms_envelope *e = NULL;
	const struct kms_source from = fd_stream(&j->in);
	const struct kms_sink to = kms_sink_fd(&j->out.fd);
	struct kms_error error;

	if (kms_envelope_open(&from, &e, &error) != KMS_CODE_OK)
		return ctl_keep(c, &error);
	TRY(ctl_ask(c, kms_envelope_unwrap(e, c->kms, j->context.n > 0 ? &j->context : NULL)));
	/* Before the first byte: a stream may be played for hours. */
	advise(c, j, kms_envelope_info(e));
	if (kms_envelope_read_all(e, &to, &error) != KMS_CODE_OK)
		return ctl_keep(c, &error);
	TRY(target_sync(c, &j->out));
	TRY(target_commit(c, &j->out));
	return print_decrypted(c, j, kms_envelope_info(e));
}

kms_err cmd_decrypt(struct ctl *c)
{
	AUTO(job_done) struct job j = { .in = -1, .out = { .fd = -1, .folder = -1 } };
	const char *to = c->args.text[OPT_OUTPUT];

	if (file_is_standard(to))
		TRY(ctl_check_no_terminal(c, "the clear file", "use -o FILE or a pipe"));
	j.from = c->args.operands[0];
	j.context = args_context_of(&c->args.context);
	TRY(file_open(c, j.from, &j.in));
	TRY(ctl_connect(c));
	TRY(target_open(c, to, &j.out));
	TRY(check_places(c, &j));
	return decrypt_file(c, &j);
}
