/* SPDX-License-Identifier: Apache-2.0 */
/* wrap, unwrap, rewrap, mac, random: bytes in, bytes out. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kms/base/base64.h"
#include "kms/ctl/ctl.h"
#include "kms/ctl/file.h"
#include "kms/ctl/wrapfile.h"

enum {
	RANDOM_USUAL = 32
};

/* Fields of an item that every answer has. */
static void put_item(struct out *o, const struct kms_item *item)
{
	out_str(o, "key", NULL, item->key);
	out_u64(o, "version", NULL, item->version);
}

/* Where the result is not JSON on stdout but a file, JSON tells of the file. */
static bool to_file(const struct ctl *c)
{
	return !file_is_standard(c->args.text[OPT_OUTPUT]);
}

/* A value that may be seen: a line of base64 to -o or stdout, or a field of JSON. */
static kms_err give_public(struct ctl *c, struct out *o, const char *name, struct kms_bytes value)
{
	AUTO(buf_done) struct buf line = { .n = 0 };
	struct bytes x = bytes_of(value.p, value.n);

	out_base64(o, name, NULL, x);
	out_bare_base64(o, x);
	if (!to_file(c))
		return ctl_print(c, o);
	TRY(base64_encode(x, &line));
	TRY(buf_put_u8(&line, '\n'));
	TRY(file_put(c, c->args.text[OPT_OUTPUT], buf_bytes(&line)));
	return c->style.json ? ctl_print(c, o) : KMS_OK;
}

static kms_err read_clear(struct ctl *c, struct buf *out)
{
	TRY(file_read(c, c->args.operand_n > 1 ? c->args.operands[1] : NULL, PLAINTEXT_MAX, out));
	return out->n > 0 ? KMS_OK : ctl_refuse(c, KMS_E_BAD_REQUEST, "the input is empty");
}

typedef enum kms_code clear_call(struct kms *c, const char *key, struct kms_bytes clear,
    const struct kms_context *context, struct kms_result **out);

/* What wrap and mac share: NAME, a clear input, a context, and one item as the answer. */
static kms_err ask_clear(
    struct ctl *c, clear_call *call, struct kms_result **r, const struct kms_item **out)
{
	AUTO(buf_done) struct buf clear = { .n = 0 };
	const struct kms_context context = args_context_of(&c->args.context);
	size_t n;

	TRY(read_clear(c, &clear));
	TRY(ctl_connect(c));
	TRY(ctl_ask(
	    c, call(c->kms, c->args.operands[0], kms_bytes_of(clear.p, clear.n), &context, r)));
	*out = kms_result_items(*r, &n);
	return KMS_OK;
}

kms_err cmd_wrap(struct ctl *c)
{
	AUTO(kms_result_free) struct kms_result *r = NULL;
	AUTO(out_done) struct out o = { .field_n = 0 };
	const struct kms_context context = args_context_of(&c->args.context);
	const struct kms_item *item;

	TRY(ask_clear(c, kms_wrap, &r, &item));
	put_item(&o, item);
	out_context(&o, "context", NULL, &context);
	return give_public(c, &o, "wrapped", item->wrapped);
}

kms_err cmd_mac(struct ctl *c)
{
	AUTO(kms_result_free) struct kms_result *r = NULL;
	AUTO(out_done) struct out o = { .field_n = 0 };
	const struct kms_item *item;

	TRY(ask_clear(c, kms_mac, &r, &item));
	put_item(&o, item);
	return give_public(c, &o, "mac", item->plaintext);
}

/* Bytes that may not be seen: raw to a file or a pipe, or in JSON on stdout. */
static kms_err give_secret(struct ctl *c, struct out *o, const char *name, struct kms_bytes value)
{
	struct bytes x = bytes_of(value.p, value.n);

	if (c->style.json && !to_file(c)) {
		out_secret(o, name, x);
		return ctl_print(c, o);
	}
	TRY(file_put(c, c->args.text[OPT_OUTPUT], x));
	return c->style.json ? ctl_print(c, o) : KMS_OK;
}

static void advise(const struct ctl *c, const struct kms_item *item)
{
	if (item->compromised)
		ctl_talk(c, "Version %u of %s is compromised: encrypt anew what it protects.",
		    (unsigned)item->version, item->key);
	else if (item->rewrap_advised)
		ctl_talk(c, "%s has a newer version; `kmsctl rewrap` moves the wrapped key there.",
		    item->key);
}

kms_err cmd_unwrap(struct ctl *c)
{
	AUTO(kms_result_free) struct kms_result *r = NULL;
	AUTO(out_done) struct out o = { .field_n = 0 };
	AUTO(wrapfile_done) struct wrapfile in = { .n = 0 };
	const struct kms_context context = args_context_of(&c->args.context);
	size_t n;

	if (!to_file(c))
		TRY(ctl_check_no_terminal(c, "the clear key", "use -o FILE or a pipe"));
	TRY(wrapfile_read(c, c->args.operand_n > 0 ? c->args.operands[0] : NULL, &in));
	if (in.n != 1)
		return ctl_refuse(
		    c, KMS_E_BAD_REQUEST, "unwrap takes one wrapped key, not %zu", in.n);
	TRY(ctl_connect(c));
	TRY(ctl_ask(c, kms_unwrap(c->kms, NULL, in.blobs[0], &context, &r)));
	const struct kms_item *item = kms_result_items(r, &n);
	put_item(&o, item);
	out_context(&o, "context", NULL, &context);
	out_bool(&o, "rewrap_advised", NULL, item->rewrap_advised);
	out_bool(&o, "compromised", NULL, item->compromised);
	advise(c, item);
	return give_secret(c, &o, "plaintext", item->plaintext);
}

static kms_err give_one(struct ctl *c, const struct kms_item *item)
{
	AUTO(out_done) struct out o = { .field_n = 0 };

	put_item(&o, item);
	return give_public(c, &o, "wrapped", item->wrapped);
}

/* Many: one line each, in order. The first that fails ends it; nothing was changed anywhere. */
static kms_err give_many(struct ctl *c, const struct kms_item *items, size_t n, struct buf *to)
{
	const struct style json = { .json = c->style.json && !to_file(c) };

	for (size_t i = 0; i < n; i++) {
		AUTO(out_done) struct out o = { .field_n = 0 };

		if (items[i].code != KMS_CODE_OK)
			return ctl_keep(c, items[i].error);
		put_item(&o, &items[i]);
		out_base64(&o, "wrapped", NULL, bytes_of(items[i].wrapped.p, items[i].wrapped.n));
		out_bare_base64(&o, bytes_of(items[i].wrapped.p, items[i].wrapped.n));
		TRY(out_print(&o, &json, to));
	}
	return KMS_OK;
}

static kms_err rewrap_step(
    struct ctl *c, const struct wrapfile *in, size_t from, size_t n, struct buf *to)
{
	AUTO(kms_result_free) struct kms_result *r = NULL;
	const struct kms_context context = args_context_of(&c->args.context);
	const struct kms_context new_context = args_context_of(&c->args.new_context);
	struct kms_task *tasks = calloc(n, sizeof(*tasks));
	size_t items_n;

	if (tasks == NULL)
		return KMS_E_NO_MEMORY;
	for (size_t i = 0; i < n; i++) {
		tasks[i].data = in->blobs[from + i];
		tasks[i].context = context;
		tasks[i].new_context = c->args.given[OPT_NEW_CONTEXT] ? &new_context : NULL;
	}
	kms_err e = ctl_ask(c, kms_batch(c->kms, KMS_REWRAP, NULL, tasks, n, &r));
	free(tasks);
	TRY(e);
	const struct kms_item *items = kms_result_items(r, &items_n);
	if (in->n > 1)
		return give_many(c, items, items_n, to);
	return items[0].code == KMS_CODE_OK ? give_one(c, &items[0]) : ctl_keep(c, items[0].error);
}

/* An encrypted file begins with these bytes (docs/envelope.md); a wrapped key never does. */
static bool is_envelope(int fd)
{
	static const char magic[] = { 'K', 'M', 'S', 'F' };
	char begin[sizeof(magic)];

	return pread(fd, begin, sizeof(begin), 0) == (ssize_t)sizeof(begin) &&
	       memcmp(begin, magic, sizeof(magic)) == 0;
}

static void fd_close(const int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}

static kms_err refuse_file(struct ctl *c, const char *path, const char *why)
{
	return ctl_refuse(c, KMS_E_IO, "%s: %s", path, why);
}

/* In place: only the wrapped key in the file's head changes. */
static kms_err rewrap_envelope(struct ctl *c, const char *path, int fd)
{
	AUTO(out_done) struct out o = { .field_n = 0 };
	const struct kms_context context = args_context_of(&c->args.context);
	uint32_t version = 0;

	if (to_file(c) || c->args.new_context.n > 0)
		return ctl_usage(
		    c, "an encrypted file is rewrapped in place, under its own context");
	TRY(ctl_connect(c));
	kms_err e = ctl_ask(
	    c, kms_envelope_rewrap_fd(c->kms, context.n > 0 ? &context : NULL, fd, &version));
	if (e == KMS_E_IO)
		return refuse_file(c, path, kms_last_error(c->kms)->detail);
	TRY(e);
	if (fsync(fd) != 0)
		return refuse_file(c, path, strerrordesc_np(errno));
	out_str(&o, "file", NULL, path);
	out_u64(&o, "version", NULL, version);
	ctl_talk(c, "%s: its key is under version %u now.", path, (unsigned)version);
	return c->style.json ? ctl_print(c, &o) : KMS_OK;
}

/*
 * Opens an envelope for reading and writing; *out_fd is -1 for anything else. One that can only be
 * read is refused as a file: kmsd would take it for a damaged wrapped key.
 */
static kms_err open_envelope(struct ctl *c, const char *path, int *out_fd)
{
	struct stat st;

	/* To open a pipe and close it again would end its writer. */
	if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
		return KMS_OK;
	int fd = open(path, O_RDWR | O_CLOEXEC);
	int error = fd < 0 ? errno : 0;
	if (fd < 0)
		fd = open(path, O_RDONLY | O_CLOEXEC);
	bool envelope = fd >= 0 && is_envelope(fd);
	if (envelope && error == 0) {
		*out_fd = fd;
		return KMS_OK;
	}
	fd_close(&fd);
	return envelope ? refuse_file(c, path, strerrordesc_np(error)) : KMS_OK;
}

kms_err cmd_rewrap(struct ctl *c)
{
	AUTO(wrapfile_done) struct wrapfile in = { .n = 0 };
	AUTO(buf_done) struct buf text = { .n = 0 };
	const char *path = c->args.operand_n > 0 ? c->args.operands[0] : NULL;
	AUTO(fd_close) int fd = -1;

	if (path != NULL && !file_is_standard(path))
		TRY(open_envelope(c, path, &fd));
	if (fd >= 0)
		return rewrap_envelope(c, path, fd);
	TRY(wrapfile_read(c, path, &in));
	TRY(ctl_connect(c));
	for (size_t from = 0; from < in.n; from += BATCH_MAX) {
		size_t left = in.n - from;
		TRY(rewrap_step(c, &in, from, left < BATCH_MAX ? left : BATCH_MAX, &text));
	}
	return in.n > 1 ? file_put(c, c->args.text[OPT_OUTPUT], buf_bytes(&text)) : KMS_OK;
}

static kms_err parse_size(struct ctl *c, uint32_t *out)
{
	uint64_t n = RANDOM_USUAL;

	if (c->args.operand_n > 0 &&
	    (args_number(c->args.operands[0], &n) != KMS_OK || n == 0 || n > RANDOM_MAX))
		return ctl_usage(
		    c, "it gives 1 to %d bytes, not \"%.32s\"", RANDOM_MAX, c->args.operands[0]);
	*out = (uint32_t)n;
	return KMS_OK;
}

kms_err cmd_random(struct ctl *c)
{
	AUTO(kms_result_free) struct kms_result *r = NULL;
	AUTO(out_done) struct out o = { .field_n = 0 };
	AUTO(buf_done) struct buf line = { .n = 0 };
	uint32_t n = 0;

	TRY(parse_size(c, &n));
	bool text = c->args.given[OPT_BASE64] && !c->style.json;
	if (!text && !c->style.json && !to_file(c))
		TRY(ctl_check_no_terminal(c, "binary", "use --base64, or -o FILE"));
	TRY(ctl_connect(c));
	TRY(ctl_ask(c, kms_random(c->kms, n, &r)));
	struct kms_bytes bytes = kms_result_bytes(r);
	out_u64(&o, "bytes", NULL, bytes.n);
	if (!text)
		return give_secret(c, &o, "random", bytes);
	TRY(base64_encode(bytes_of(bytes.p, bytes.n), &line));
	TRY(buf_put_u8(&line, '\n'));
	return file_put(c, c->args.text[OPT_OUTPUT], buf_bytes(&line));
}
