/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For the author of a recorder: a fresh data key for each call, bound to the call's id; the audio
 * goes into a file that carries the wrapped key along. Needs the right `issue`.
 */
#include <fcntl.h>
#include <kms.h>
#include <stdio.h>
#include <unistd.h>

/* The clear key is in `issued` alone, and is wiped as soon as the writer has what it needs. */
static enum kms_code begin(const char *key, const char *call, const struct kms_sink *to,
    struct kms_writer **w, struct kms_error *err)
{
	const struct kms_pair pair = kms_pair_of("call", call);
	const struct kms_context context = { &pair, 1 };
	struct kms_envelope_key with = { .key = key, .context = &context };
	struct kms_result *issued = NULL;
	struct kms *c = NULL; /* a real one keeps its connection for the next call */
	size_t n;
	enum kms_code code = kms_connect(NULL, &c);
	if (code == KMS_CODE_OK)
		code = kms_issue(c, key, &context, 1, false, &issued);
	*err = *kms_last_error(c);
	if (code == KMS_CODE_OK) {
		with.wrapped = kms_result_items(issued, &n)->wrapped;
		with.plaintext = kms_result_items(issued, &n)->plaintext;
		code = kms_writer_open(&with, to, w, err);
	}
	kms_result_free(&issued);
	kms_close(&c);
	return code;
}

int main(int argc, char **argv)
{
	struct kms_writer *w = NULL;
	struct kms_error err;
	char piece[8000];
	size_t n;

	if (argc != 5)
		return fprintf(stderr, "usage: recorder KEY CALL IN.wav OUT.kms\n"), 2;
	FILE *audio = fopen(argv[3], "rb");
	int out = audio != NULL ? open(argv[4], O_WRONLY | O_CREAT | O_EXCL, 0600) : -1;
	if (out < 0)
		return perror(audio != NULL ? argv[4] : argv[3]), 7;
	const struct kms_sink to = kms_sink_fd(&out);
	enum kms_code code = begin(argv[1], argv[2], &to, &w, &err);
	while (code == KMS_CODE_OK && (n = fread(piece, 1, sizeof(piece), audio)) > 0)
		code = kms_writer_write(w, piece, n, &err);
	kms_wipe(piece, sizeof(piece));
	if (code == KMS_CODE_OK)
		code = kms_writer_finish(w, &err); /* a file without its end counts as cut */
	kms_writer_free(&w);
	if (code == KMS_CODE_OK)
		return fsync(out) == 0 ? 0 : (perror(argv[4]), 7);
	unlink(argv[4]);
	return fprintf(stderr, "%s %s %s\n", err.text, err.detail, err.hint), kms_exit_status(code);
}
