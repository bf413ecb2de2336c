/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kmsctl issue. The clear key is asked from kmsd only where somebody will get it: --key-out, or
 * JSON without --wrapped-only.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "kms/ctl/ctl.h"
#include "kms/ctl/file.h"

static const char fd_prefix[] = "fd:";

enum {
	FD_MAX = 1 << 20
};

static kms_err parse_fd(struct ctl *c, const char *text, int *out_fd)
{
	uint64_t fd;

	if (args_number(text, &fd) != KMS_OK || fd > FD_MAX || fcntl((int)fd, F_GETFD) < 0)
		return ctl_usage(c, "--key-out fd:%.16s is no open descriptor", text);
	*out_fd = (int)fd;
	return KMS_OK;
}

/* All clear keys, one after the other, to a file or a descriptor. */
static kms_err put_keys(struct ctl *c, const struct kms_item *items, size_t n)
{
	AUTO(buf_done) struct buf keys = { .n = 0 };
	const char *to = c->args.text[OPT_KEY_OUT];
	int fd = -1;

	/* Room for all of them first, so that no copy is made. */
	TRY(buf_reserve(&keys, n * KEY_BITS_LEN));
	for (size_t i = 0; i < n; i++)
		TRY(buf_put(&keys, bytes_of(items[i].plaintext.p, items[i].plaintext.n)));
	if (strncmp(to, fd_prefix, strlen(fd_prefix)) != 0)
		return file_put(c, to, buf_bytes(&keys));

	TRY(parse_fd(c, to + strlen(fd_prefix), &fd));
	int error = file_write_all(fd, buf_bytes(&keys));
	return error == 0 ? KMS_OK : ctl_refuse(c, KMS_E_IO, "%s: %s", to, strerrordesc_np(error));
}

static kms_err print_item(
    struct ctl *c, const struct kms_item *item, const struct kms_context *context, struct buf *to)
{
	AUTO(out_done) struct out o = { .field_n = 0 };
	struct bytes wrapped = bytes_of(item->wrapped.p, item->wrapped.n);

	out_str(&o, "key", NULL, item->key);
	out_u64(&o, "version", NULL, item->version);
	out_base64(&o, "wrapped", NULL, wrapped);
	out_context(&o, "context", NULL, context);
	if (c->style.json && item->plaintext.n > 0 && !c->args.given[OPT_KEY_OUT])
		out_secret(&o, "plaintext", bytes_of(item->plaintext.p, item->plaintext.n));
	out_bare_base64(&o, wrapped);
	return out_print(&o, &c->style, to);
}

static kms_err print_items(struct ctl *c, const struct kms_item *items, size_t n)
{
	AUTO(buf_done) struct buf text = { .n = 0 };
	const struct kms_context context = args_context_of(&c->args.context);

	for (size_t i = 0; i < n; i++)
		TRY(print_item(c, &items[i], &context, &text));
	return ctl_write(c, buf_bytes(&text));
}

static kms_err check_options(struct ctl *c, bool clear_in_json)
{
	const char *to = c->args.text[OPT_KEY_OUT];
	int fd;

	if (to != NULL && c->args.given[OPT_WRAPPED_ONLY])
		return ctl_usage(c, "--key-out and --wrapped-only exclude each other");
	if (to != NULL && file_is_standard(to))
		return ctl_usage(c, "--key-out takes a file or fd:N; stdout has the wrapped key");
	if (to != NULL && strncmp(to, fd_prefix, strlen(fd_prefix)) == 0)
		TRY(parse_fd(c, to + strlen(fd_prefix), &fd));
	if (clear_in_json)
		return ctl_check_no_terminal(
		    c, "the clear key", "use --wrapped-only, or --key-out FILE");
	return KMS_OK;
}

kms_err cmd_issue(struct ctl *c)
{
	AUTO(kms_result_free) struct kms_result *r = NULL;
	const struct kms_context context = args_context_of(&c->args.context);
	bool wanted = c->args.given[OPT_KEY_OUT];
	bool clear_in_json = c->style.json && !wanted && !c->args.given[OPT_WRAPPED_ONLY];
	uint32_t count =
	    c->args.given[OPT_ISSUE_COUNT] ? (uint32_t)c->args.number[OPT_ISSUE_COUNT] : 1;
	size_t n;

	TRY(check_options(c, clear_in_json));
	TRY(ctl_connect(c));
	TRY(ctl_ask(c, kms_issue(c->kms, c->args.operands[0], &context, count,
	                   !wanted && !clear_in_json, &r)));
	const struct kms_item *items = kms_result_items(r, &n);
	/* A wrapped key is worth nothing to somebody who did not get its clear one. */
	if (wanted)
		TRY(put_keys(c, items, n));
	return print_items(c, items, n);
}
