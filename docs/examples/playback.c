/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For the author of a player: opens an encrypted recording and plays it from a second on. Only
 * the chunks from there are read and decrypted. Needs the right `unwrap`.
 *
 *   cc playback.c $(pkg-config --cflags --libs kms) -o playback
 *   ./playback in.kms SECOND out.raw
 */
#include <fcntl.h>
#include <kms.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	WAV_HEADER = 44,         /* bytes before the samples; a real player reads them */
	BYTES_PER_SECOND = 16000 /* 8,000 samples of 16 bits */
};

static int fail(const struct kms_error *e)
{
	fprintf(stderr, "playback: %s %s (%s) %s\n", e->text, e->detail, e->code, e->hint);
	return kms_exit_status(e->number);
}

/* kmsd checks that the wrapped key is bound to what the file's header says of itself. */
static enum kms_code unlock(
    const struct kms_source *from, struct kms_envelope **e, struct kms_error *err)
{
	const struct kms_options who = { .purpose = "quality review" };
	struct kms *c = NULL;

	enum kms_code code = kms_envelope_open(from, e, err);
	if (code != KMS_CODE_OK)
		return code;
	code = kms_connect(&who, &c);
	if (code == KMS_CODE_OK)
		code = kms_envelope_unwrap(*e, c, NULL);
	*err = *kms_last_error(c);
	kms_close(&c);
	return code;
}

static enum kms_code play(struct kms_envelope *e, uint64_t from, FILE *out, struct kms_error *err)
{
	unsigned char piece[BYTES_PER_SECOND];
	enum kms_code code = KMS_CODE_OK;
	size_t n = 1;

	while (code == KMS_CODE_OK && n > 0 && !ferror(out)) {
		code = kms_envelope_read_at(e, from, piece, sizeof(piece), &n, err);
		if (code == KMS_CODE_OK)
			from += fwrite(piece, 1, n, out);
	}
	kms_wipe(piece, sizeof(piece));
	return code;
}

int main(int argc, char **argv)
{
	struct kms_envelope *e = NULL;
	struct kms_error err;

	if (argc != 4)
		return fprintf(stderr, "usage: playback IN SECOND OUT\n"), 2;
	int in = open(argv[1], O_RDONLY);
	if (in < 0)
		return perror(argv[1]), 7;
	FILE *out = fopen(argv[3], "wb");
	if (out == NULL)
		return perror(argv[3]), 7;

	const struct kms_source source = kms_source_fd(&in);
	uint64_t second = strtoull(argv[2], NULL, 10);
	enum kms_code code = unlock(&source, &e, &err);
	if (code == KMS_CODE_OK)
		code = play(e, WAV_HEADER + second * BYTES_PER_SECOND, out, &err);
	kms_envelope_free(&e);
	close(in);
	if (ferror(out) || fclose(out) != 0)
		return perror(argv[3]), 7;
	return code == KMS_CODE_OK ? 0 : fail(&err);
}
