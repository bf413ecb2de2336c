/* SPDX-License-Identifier: Apache-2.0 */
/* See proof_file.h. https://c2sp.org/tlog-proof is the text that this follows. */
#include "kms/audit/proof_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "kms/audit/record.h"
#include "kms/base/base64.h"

enum {
	LINE_MAX_LEN = 64
};

static const char first_line[] = "c2sp.org/tlog-proof@v1", extra[] = "extra ",
                  index_word[] = "index ";

void proof_file_done(struct proof_file *f)
{
	buf_done(&f->record);
	*f = (struct proof_file){ .index = 0 };
}

static kms_err put_line(struct buf *out, const char *word, struct bytes value)
{
	TRY(buf_put(out, bytes_of_str(word)));
	TRY(buf_put(out, value));
	return buf_put_u8(out, '\n');
}

static kms_err put_base64(struct buf *out, const char *word, struct bytes value)
{
	AUTO(buf_done) struct buf text = { 0 };

	TRY(base64_encode(value, &text));
	return put_line(out, word, buf_bytes(&text));
}

static kms_err put_index(struct buf *out, uint64_t index)
{
	char line[LINE_MAX_LEN];

	int n = snprintf(line, sizeof(line), "%" PRIu64, index);
	return put_line(out, index_word, bytes_of(line, (size_t)n));
}

static kms_err put_all(const struct proof_file *f, struct buf *out)
{
	TRY(put_line(out, first_line, (struct bytes){ 0 }));
	TRY(put_base64(out, extra, buf_bytes(&f->record)));
	TRY(put_index(out, f->index));
	for (size_t i = 0; i < f->path.n; i++)
		TRY(put_base64(out, "", bytes_of(f->path.hashes[i], SHA256_LEN)));
	TRY(buf_put_u8(out, '\n'));
	return buf_put(out, f->note);
}

kms_err proof_file_encode(const struct proof_file *f, struct buf *out)
{
	AUTO(buf_done) struct buf text = { 0 };

	TRY(put_all(f, &text));
	return buf_put(out, buf_bytes(&text));
}

/* The next line, without its newline. */
static bool take_line(struct bytes *in, struct bytes *out)
{
	const uint8_t *end = in->n == 0 ? NULL : memchr(in->p, '\n', in->n);

	if (end == NULL)
		return false;
	size_t n = (size_t)(end - in->p);
	*out = bytes_of(in->p, n);
	*in = bytes_of(end + 1, in->n - n - 1);
	return true;
}

/* What stands behind the word that the next line begins with. */
static bool take_word(struct bytes *in, const char *word, struct bytes *out)
{
	size_t n = strlen(word);
	struct bytes line;

	if (!take_line(in, &line) || line.n < n || memcmp(line.p, word, n) != 0)
		return false;
	*out = bytes_of(line.p + n, line.n - n);
	return true;
}

static uint64_t read_number(struct bytes text)
{
	uint64_t x = 0;

	for (size_t i = 0; i < text.n; i++)
		x = x * 10 + (uint64_t)(text.p[i] - '0');
	return x;
}

static kms_err take_hashes(struct bytes *in, struct proof *out)
{
	struct bytes line;

	for (;;) {
		AUTO(buf_done) struct buf hash = { 0 };
		if (!take_line(in, &line))
			return KMS_E_BAD_REQUEST;
		if (line.n == 0)
			return KMS_OK;
		TRY(base64_decode(line, &hash));
		if (hash.n != SHA256_LEN || out->n == PROOF_MAX)
			return KMS_E_BAD_REQUEST;
		memcpy(out->hashes[out->n++], hash.p, SHA256_LEN);
	}
}

kms_err proof_file_decode(struct bytes in, struct proof_file *out)
{
	AUTO(proof_file_done) struct proof_file f = { .index = 0 };
	AUTO(buf_done) struct buf again = { 0 };
	struct bytes rest = in, value;

	if (in.n > PROOF_FILE_MAX || !take_word(&rest, first_line, &value) ||
	    !take_word(&rest, extra, &value))
		return KMS_E_BAD_REQUEST;
	TRY(base64_decode(value, &f.record));
	if (!take_word(&rest, index_word, &value))
		return KMS_E_BAD_REQUEST;
	f.index = read_number(value);
	TRY(take_hashes(&rest, &f.path));
	f.note = rest;
	/* There is one way to write each file. */
	TRY(proof_file_encode(&f, &again));
	if (!bytes_equal(buf_bytes(&again), in))
		return KMS_E_BAD_REQUEST;
	*out = f;
	f = (struct proof_file){ .index = 0 };
	return KMS_OK;
}

kms_err proof_file_check(const struct proof_file *f, struct note *out_note, struct checkpoint *out)
{
	uint8_t leaf[SHA256_LEN];
	struct checkpoint c;
	struct note n;
	uint64_t seq = 0;

	TRY(note_decode(f->note, &n));
	TRY(checkpoint_decode(n.text, &c));
	if (record_seq(buf_bytes(&f->record), &seq) != KMS_OK || seq != f->index)
		return KMS_E_INTEGRITY;
	TRY(tree_leaf(buf_bytes(&f->record), leaf));
	TRY(proof_check_inclusion(&f->path, f->index, c.size, leaf, c.root));
	*out_note = n;
	*out = c;
	return KMS_OK;
}
