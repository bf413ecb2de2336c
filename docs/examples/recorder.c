/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For the author of a recorder: a fresh data key for each call, bound to the call's id, and the
 * audio into an encrypted file that carries the wrapped key with it. Needs the right `issue`.
 *
 *   cc recorder.c $(pkg-config --cflags --libs kms) -o recorder
 *   ./recorder KEY CALL in.wav out.kms
 */
#include <fcntl.h>
#include <kms.h>
#include <stdio.h>
#include <unistd.h>

static int fail(const struct kms_error *e)
{
	fprintf(stderr, "recorder: %s %s (%s) %s\n", e->text, e->detail, e->code, e->hint);
	return kms_exit_status(e->number);
}

/* The clear key is in `issued` alone, and is wiped as soon as the writer has what it needs. */
static enum kms_code begin(struct kms *c, const char *key, const char *call,
    const struct kms_sink *to, struct kms_writer **w, struct kms_error *err)
{
	const struct kms_pair pair = kms_pair_of("call", call);
	const struct kms_context context = { &pair, 1 };
	struct kms_result *issued = NULL;
	size_t n;

	enum kms_code code = kms_issue(c, key, &context, 1, false, &issued);
	*err = *kms_last_error(c);
	if (code != KMS_CODE_OK)
		return code;
	const struct kms_item *item = kms_result_items(issued, &n);
	const struct kms_envelope_key with = { .key = key,
		.wrapped = item->wrapped,
		.plaintext = item->plaintext,
		.context = &context };
	code = kms_writer_open(&with, to, w, err);
	kms_result_free(&issued);
	return code;
}

/* Without its end a file counts as cut: finish also where a call broke off. */
static enum kms_code record(struct kms_writer *w, FILE *audio, struct kms_error *err)
{
	unsigned char piece[8000];
	enum kms_code code = KMS_CODE_OK;
	size_t n;

	while (code == KMS_CODE_OK && (n = fread(piece, 1, sizeof(piece), audio)) > 0)
		code = kms_writer_write(w, piece, n, err);
	kms_wipe(piece, sizeof(piece));
	return code == KMS_CODE_OK ? kms_writer_finish(w, err) : code;
}

int main(int argc, char **argv)
{
	struct kms *c = NULL;
	struct kms_writer *w = NULL;
	struct kms_error err;

	if (argc != 5)
		return fprintf(stderr, "usage: recorder KEY CALL IN OUT\n"), 2;
	FILE *audio = fopen(argv[3], "rb");
	if (audio == NULL)
		return perror(argv[3]), 7;
	if (kms_connect(NULL, &c) != KMS_CODE_OK)
		return fail(kms_last_error(c));
	int out = open(argv[4], O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (out < 0)
		return perror(argv[4]), 7;

	const struct kms_sink to = kms_sink_fd(&out);
	enum kms_code code = begin(c, argv[1], argv[2], &to, &w, &err);
	if (code == KMS_CODE_OK)
		code = record(w, audio, &err);
	kms_writer_free(&w);
	kms_close(&c);
	(void)fclose(audio);
	if (code != KMS_CODE_OK) {
		unlink(argv[4]);
		return fail(&err);
	}
	if (fsync(out) != 0 || close(out) != 0)
		return perror(argv[4]), 7;
	return 0;
}
