/* SPDX-License-Identifier: Apache-2.0 */
/* kms-verify's words, its exit statuses, and what it says. */
#include "kms/verify/verify.h"

#include "kms/audit/proof_file.h"
#include "kms/audit/record.h"
#include "tests/unit/log_story.h"
#include "tests/unit/signer.h"

static enum verify_status ask(size_t n, const char *const *words)
{
	char room[4][16], *argv[4];
	FILE *nowhere = fopen("/dev/null", "we");
	struct verify_args a;

	assert_non_null(nowhere);
	for (size_t i = 0; i < n; i++) {
		(void)snprintf(room[i], sizeof(room[i]), "%s", words[i]);
		argv[i] = room[i];
	}
	enum verify_status s = verify_args((int)n, argv, nowhere, &a);
	(void)fclose(nowhere);
	return s;
}

static void words(void **state)
{
	(void)state;
	static const struct {
		size_t n;
		const char *words[4];
		enum verify_status want;
	} cases[] = {
		{ 2, { "v", "log" }, VERIFY_RIGHT },
		{ 4, { "v", "--key", "k", "log" }, VERIFY_RIGHT },
		{ 4, { "v", "log", "--key", "k" }, VERIFY_RIGHT },
		{ 2, { "v", "--help" }, VERIFY_HELP },
		{ 2, { "v", "--version" }, VERIFY_HELP },
		{ 1, { "v" }, VERIFY_USAGE },
		{ 3, { "v", "a", "b" }, VERIFY_USAGE },
		{ 3, { "v", "log", "--key" }, VERIFY_USAGE },
		{ 3, { "v", "--key", "k" }, VERIFY_USAGE },
		{ 3, { "v", "-x", "log" }, VERIFY_USAGE },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(ask(cases[i].n, cases[i].words), cases[i].want);
}

/* Its status, and that it says `want`. */
static enum verify_status run(const char *key, const char *what, const char *want)
{
	const struct verify_args a = { .key = key, .what = what };
	char *said = NULL;
	size_t n = 0;
	FILE *to = open_memstream(&said, &n);

	assert_non_null(to);
	enum verify_status s = verify_run(&a, to, to);
	(void)fclose(to);
	if (strstr(said, want) == NULL)
		fail_msg("'%s' is not in: %s", want, said);
	free(said);
	return s;
}

/* Puts a file into the folder; its path. */
static const char *put(const struct log_dir *d, const char *name, struct bytes x)
{
	static char path[LOG_PATH_MAX + 20];

	(void)snprintf(path, sizeof(path), "%s/%s", d->path, name);
	FILE *f = fopen(path, "we");
	assert_non_null(f);
	assert_int_equal(fwrite(x.p, 1, x.n, f), x.n);
	(void)fclose(f);
	return path;
}

static void put_key(const struct log_dir *d, const struct signer *s, char path[static LOG_PATH_MAX])
{
	AUTO(buf_done) struct buf text = { 0 };

	assert_int_equal(note_key_encode(&s->key, &text), KMS_OK);
	(void)snprintf(path, LOG_PATH_MAX, "%s", put(d, "key", buf_bytes(&text)));
}

static struct signer our_signer(uint8_t fill, char origin[static CHECKPOINT_ORIGIN_LEN + 1])
{
	checkpoint_origin(story_instance, origin);
	return signer_new(origin, fill);
}

static void a_folder(void **state)
{
	(void)state;
	AUTO(log_dir_done) struct log_dir d = log_dir_new(), other = log_dir_new();
	AUTO(story_close) struct story s = story_open_unsealed(&d);
	char origin[CHECKPOINT_ORIGIN_LEN + 1], key[LOG_PATH_MAX];
	AUTO(signer_done) struct signer ours = our_signer(1, origin);

	put_key(&other, &ours, key);
	assert_int_equal(run(NULL, d.path, "no audit log"), VERIFY_NO_READ);
	story_group(&s, 2);
	assert_int_equal(run(NULL, d.path, "signature: not signed."), VERIFY_RIGHT);
	assert_int_equal(run(key, d.path, "signature: not signed."), VERIFY_UNSIGNED);
	log_patch(&d, 0, 200, bytes_of_str("x"));
	assert_int_equal(run(NULL, d.path, "record: 0 is the first"), VERIFY_WRONG);
	assert_int_equal(run(NULL, "/nonexistent", "/nonexistent"), VERIFY_NO_READ);
	assert_int_equal(run("/nonexistent", d.path, "/nonexistent"), VERIFY_NO_READ);
	const char *bad = put(&other, "bad", bytes_of_str("no key\n"));
	assert_int_equal(run(bad, d.path, "bad"), VERIFY_USAGE);
	bad = put(&other, "bad", bytes_of_str(""));
	assert_int_equal(run(bad, d.path, "bad"), VERIFY_USAGE);
}

/* A log of one record, whose path is empty. */
static void make_proof(const struct signer *s, const char *origin, struct buf *out)
{
	AUTO(proof_file_done) struct proof_file f = { .index = 0 };
	AUTO(buf_done) struct buf note = { 0 };
	struct checkpoint c = { .size = 1 };
	struct record r = log_record();

	(void)snprintf(c.origin, sizeof(c.origin), "%s", origin);
	assert_int_equal(record_encode(&r, &f.record), KMS_OK);
	assert_int_equal(tree_leaf(buf_bytes(&f.record), c.root), KMS_OK);
	signer_note(s, &c, &note);
	f.note = buf_bytes(&note);
	assert_int_equal(proof_file_encode(&f, out), KMS_OK);
}

static void a_proof(void **state)
{
	(void)state;
	AUTO(log_dir_done) struct log_dir d = log_dir_new();
	char origin[CHECKPOINT_ORIGIN_LEN + 1], key[LOG_PATH_MAX], stranger[LOG_PATH_MAX];
	AUTO(signer_done) struct signer ours = our_signer(1, origin), other = our_signer(2, origin);
	AUTO(buf_done) struct buf text = { 0 };

	make_proof(&ours, origin, &text);
	const char *path = put(&d, "proof", buf_bytes(&text));
	assert_int_equal(run(NULL, path, "not checked"), VERIFY_RIGHT);
	put_key(&d, &ours, key);
	path = put(&d, "proof", buf_bytes(&text));
	assert_int_equal(run(key, path, "signature: right."), VERIFY_RIGHT);
	put_key(&d, &other, stranger);
	path = put(&d, "proof", buf_bytes(&text));
	assert_int_equal(run(stranger, path, "does not prove"), VERIFY_WRONG);
	path = put(&d, "proof", bytes_of(text.p, text.n - 1));
	assert_int_equal(run(NULL, path, "no proof"), VERIFY_WRONG);
	path = put(&d, "proof", bytes_of_str(""));
	assert_int_equal(run(NULL, path, "no proof"), VERIFY_WRONG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words),
		cmocka_unit_test(a_folder),
		cmocka_unit_test(a_proof),
	};

	return cmocka_run_group_tests(tests, story_set_up, story_tear_down);
}
