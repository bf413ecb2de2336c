/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For the author of a player: opens an encrypted recording and plays it from a second on. Only
 * the chunks from there are read and decrypted. Needs the right `unwrap`.
 */
#include <fcntl.h>
#include <kms.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	WAV_HEADER = 44,         /* bytes before the samples; a real player reads them */
	BYTES_PER_SECOND = 16000 /* 8,000 samples of 16 bits */
};

/* kmsd checks that the wrapped key is bound to what the file's header says of itself. */
static enum kms_code unlock(
    const struct kms_source *from, struct kms_envelope **e, struct kms_error *err)
{
	const struct kms_options who = { .purpose = "quality review" };
	struct kms *c = NULL;

	enum kms_code code = kms_envelope_open(from, e, err);
	if (code != KMS_CODE_OK)
		return code;
	code = kms_connect(&who, &c); /* a real one keeps it for the next call */
	if (code == KMS_CODE_OK)
		code = kms_envelope_unwrap(*e, c, NULL);
	*err = *kms_last_error(c);
	kms_close(&c);
	return code;
}

int main(int argc, char **argv)
{
	struct kms_envelope *e = NULL;
	struct kms_error err;
	char piece[BYTES_PER_SECOND];
	size_t n = 1;

	if (argc != 4)
		return fprintf(stderr, "usage: playback IN.kms SECOND OUT.raw\n"), 2;
	int in = open(argv[1], O_RDONLY);
	FILE *out = in >= 0 ? fopen(argv[3], "wb") : NULL;
	if (out == NULL)
		return perror(in >= 0 ? argv[3] : argv[1]), 7;
	const struct kms_source source = kms_source_fd(&in);
	uint64_t at = WAV_HEADER + strtoull(argv[2], NULL, 10) * BYTES_PER_SECOND;
	enum kms_code code = unlock(&source, &e, &err);
	while (code == KMS_CODE_OK && n > 0 && !ferror(out)) {
		code = kms_envelope_read_at(e, at, piece, sizeof(piece), &n, &err);
		if (code == KMS_CODE_OK)
			at += fwrite(piece, 1, n, out);
	}
	kms_wipe(piece, sizeof(piece));
	kms_envelope_free(&e);
	if (code == KMS_CODE_OK)
		return !ferror(out) && fclose(out) == 0 ? 0 : (perror(argv[3]), 7);
	return fprintf(stderr, "%s %s %s\n", err.text, err.detail, err.hint), kms_exit_status(code);
}
