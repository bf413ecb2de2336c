/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kmsctl inspect: what a wrapped key or an encrypted file says of itself. Needs no kmsd and no
 * key, so it proves nothing, and says so.
 */
#include <string.h>
#include <unistd.h>

#include "kms/ctl/ctl.h"
#include "kms/ctl/file.h"
#include "kms/ctl/wrapfile.h"

static const char magic[] = "KMSF";

enum {
	MAGIC_LEN = 4,
	PEEK_MAX =
	    128 * 1024 /* an envelope's head, or a wrapped key of the largest plaintext in base64 */
};

static void put_head(struct out *o, const struct wrapped_head *h)
{
	out_str(o, "algorithm", "algorithm", algorithm_name(h->algorithm));
	out_hex(o, "id", "key id", bytes_of(h->key.b, sizeof(h->key.b)));
	out_u64(o, "version", "version", h->version);
}

/* An envelope that was read from memory: only its head is there, which is all that is wanted. */
static int read_memory(void *user, uint64_t offset, void *p, size_t n, size_t *out_n)
{
	const struct buf *from = user;
	size_t left = offset < from->n ? from->n - (size_t)offset : 0;

	*out_n = n < left ? n : left;
	if (*out_n > 0)
		memcpy(p, from->p + offset, *out_n);
	return 0;
}

static kms_err inspect_envelope(struct ctl *c, struct buf *raw)
{
	AUTO(kms_envelope_free) struct kms_envelope *e = NULL;
	AUTO(out_done) struct out o = { .field_n = 0 };
	const struct kms_source source = { .read_at = read_memory, .user = raw };
	struct wrapped_head head;
	struct kms_error error;

	if (kms_envelope_open(&source, &e, &error) != KMS_CODE_OK)
		return ctl_keep(c, &error);
	const struct kms_envelope_info *info = kms_envelope_info(e);
	struct bytes wrapped = bytes_of(info->wrapped.p, info->wrapped.n);
	out_title(&o, "An encrypted file. Nothing below is proven before it is decrypted.");
	out_str(&o, "kind", NULL, "envelope");
	out_u64(&o, "format", "format", info->format);
	out_str(&o, "key", "key", info->key);
	if (wrapped_head_read(wrapped, &head) == KMS_OK)
		put_head(&o, &head);
	out_context(&o, "context", "context", &info->context);
	out_bool(&o, "values_hidden", "context hidden", info->values_hidden);
	out_u64(&o, "header_size", "head, bytes", info->header_size);
	out_base64(&o, "wrapped", "wrapped key", wrapped);
	out_name(&o, info->key);
	return ctl_print(c, &o);
}

static kms_err inspect_wrapped(struct ctl *c, struct kms_bytes blob, struct buf *to)
{
	AUTO(out_done) struct out o = { .field_n = 0 };
	struct wrapped_head head;

	kms_err e = wrapped_head_read(bytes_of(blob.p, blob.n), &head);
	if (e != KMS_OK)
		return ctl_refuse(c, e, "it is neither a wrapped key nor an encrypted file");
	out_title(&o, "A wrapped key. Nothing below is proven before it is unwrapped.");
	out_str(&o, "kind", NULL, "wrapped-key");
	out_u64(&o, "format", "format", head.format);
	put_head(&o, &head);
	out_u64(&o, "bytes", "bytes", blob.n);
	return out_print(&o, &c->style, to);
}

/* One object, or JSON Lines for the lines of a file. */
static kms_err inspect_keys(struct ctl *c, struct buf *raw)
{
	AUTO(wrapfile_done) struct wrapfile f = { .n = 0 };
	AUTO(buf_done) struct buf text = { .n = 0 };

	kms_err e = wrapfile_parse(raw, &f);
	if (e == KMS_E_BAD_REQUEST)
		return ctl_refuse(c, e, "the input is empty");
	TRY(e);
	for (size_t i = 0; i < f.n; i++)
		TRY(inspect_wrapped(c, f.blobs[i], &text));
	return ctl_write(c, buf_bytes(&text));
}

/* The beginning of the input: recordings may be larger than memory. */
static kms_err peek(struct ctl *c, const char *path, struct buf *out)
{
	AUTO(file_close) int fd = -1;

	TRY(file_open(c, path, &fd));
	TRY(buf_reserve(out, PEEK_MAX));
	while (out->n < PEEK_MAX) {
		ssize_t n = read(fd, out->p + out->n, PEEK_MAX - out->n);

		if (n < 0)
			return ctl_refuse(c, KMS_E_IO, "%s", path);
		if (n == 0)
			break;
		out->n += (size_t)n;
	}
	return KMS_OK;
}

kms_err cmd_inspect(struct ctl *c)
{
	AUTO(buf_done) struct buf raw = { .n = 0 };

	TRY(peek(c, c->args.operands[0], &raw));
	if (raw.n >= MAGIC_LEN && memcmp(raw.p, magic, MAGIC_LEN) == 0)
		return inspect_envelope(c, &raw);
	return inspect_keys(c, &raw);
}
