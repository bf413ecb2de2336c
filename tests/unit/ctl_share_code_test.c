/* SPDX-License-Identifier: Apache-2.0 */
/*
 * QR codes of new shares (kms/ctl/share_show.c): under the text on a terminal, beside a file. That a
 * code reads back as its text is ctl_qr_test.c's.
 */
#include "kms/ctl/share_show.h"

#include "kms/ctl/qr.h"
#include "tests/unit/share_desk.h"

static void a_code_stands_beside_each_file(void **state)
{
	struct desk *d = *state;
	struct ctl c = { .style = { .quiet = true } };
	AUTO(out_done) struct out o = { .field_n = 0 };
	char path[2 * FOLDER_PATH], file[LINE_LEN];

	folder_file(&d->folder, "codes", path);
	c.args.given[OPT_PNG] = true;
	c.args.given[OPT_SHARES_OUT] = true;
	c.args.text[OPT_SHARES_OUT] = path;
	assert_int_equal(share_show_check(&c), KMS_OK);
	assert_int_equal(share_show(&c, &o, vector_texts, VECTOR_N), KMS_OK);
	for (int i = 0; i < VECTOR_N; i++) {
		AUTO(buf_done) struct buf png = { .n = 0 };
		struct stat st;

		assert_share_file(path, i);
		(void)snprintf(file, sizeof(file), "%s/share-%d-of-3.png", path, i + 1);
		assert_int_equal(stat(file, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
		file_read(file, &png);
		assert_memory_equal(png.p, "\x89PNG\r\n", 6);
		assert_int_equal(unlink(file), 0);
	}
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(written(d), 0);
}

static void a_code_that_is_there_is_not_replaced(void **state)
{
	struct desk *d = *state;
	struct ctl c = { .style = { .quiet = true } };
	AUTO(out_done) struct out o = { .field_n = 0 };
	char path[2 * FOLDER_PATH], file[LINE_LEN];

	folder_file(&d->folder, "taken", path);
	c.args.given[OPT_PNG] = true;
	c.args.given[OPT_SHARES_OUT] = true;
	c.args.text[OPT_SHARES_OUT] = path;
	assert_int_equal(share_show_check(&c), KMS_OK);
	(void)snprintf(file, sizeof(file), "%s/share-1-of-3.png", path);
	assert_int_equal(symlink("/dev/null", file), 0);
	assert_int_equal(share_show(&c, &o, vector_texts, VECTOR_N), KMS_E_EXISTS);
	assert_int_equal(unlink(file), 0);
	assert_share_file(path, 0);
	assert_int_equal(rmdir(path), 0);
}

static void codes_want_the_right_place(void **state)
{
	static const struct {
		bool qr, png, files, json;
		const char *says;
	} wrong[] = { { false, true, false, false, "--png goes with --shares-out" },
		{ true, false, true, false, "into files --png draws" },
		{ true, true, true, false, "into files --png draws" },
		{ true, false, false, true, "--json" },
		{ true, false, false, false, "--shares-out DIR" } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct ctl c = { .style = { .quiet = true, .json = wrong[i].json } };

		c.args.given[OPT_QR] = wrong[i].qr;
		c.args.given[OPT_PNG] = wrong[i].png;
		c.args.given[OPT_SHARES_OUT] = wrong[i].files;
		c.args.text[OPT_SHARES_OUT] = wrong[i].files ? "/nonexistent/x" : NULL;
		assert_true(share_show_is_said(&c));
		assert_int_equal(share_show_check(&c), KMS_E_BAD_REQUEST);
		assert_non_null(strstr(c.error.text, wrong[i].says));
	}
	assert_false(share_show_is_said(&(struct ctl){ .style = { .json = true } }));
}

static int show_codes(void)
{
	struct ctl c = { .style = { .quiet = true } };
	AUTO(out_done) struct out o = { .field_n = 0 };

	c.args.given[OPT_QR] = true;
	if (share_show_check(&c) != KMS_OK)
		return 1;
	return share_show(&c, &o, vector_texts, 2) == KMS_OK ? 0 : 2;
}

/* The first line of a share's code that is not all light, as qr_draw makes it. */
static void first_line(const char *share, char out[static QR_PICTURE_MAX])
{
	struct qr code;
	struct qr_picture p;

	CHECK(qr_encode(share, &code) == KMS_OK);
	qr_draw(&code, QR_COLOUR, &p);
	const char *line = p.s;
	for (int i = 0; i < QR_QUIET; i++)
		line = strchr(line, '\n') + 1;
	(void)snprintf(out, QR_PICTURE_MAX, "%.*s", (int)strcspn(line, "\n"), line);
}

static void a_terminal_shows_the_code_under_the_text(void **state)
{
	char shown[32768], lines[2][QR_PICTURE_MAX];

	(void)state;
	first_line(vector_texts[0], lines[0]);
	first_line(vector_texts[1], lines[1]);
	assert_int_equal(at_terminal(show_codes, "press Enter", "\n", shown, sizeof(shown)), 0);
	const char *first = strstr(shown, vector_texts[0]),
	           *second = strstr(shown, vector_texts[1]);
	assert_non_null(first);
	assert_non_null(second);
	const char *code = strstr(shown, lines[0]), *other = strstr(shown, lines[1]);
	assert_true(code > first && code < second);
	assert_true(other > second);
	/* Cleared before the second person looks. */
	assert_true(strstr(code, "\x1b[2J\x1b[3J") < second);
	assert_non_null(strstr(other, "\x1b[2J\x1b[3J"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		AT_DESK(a_code_stands_beside_each_file),
		AT_DESK(a_code_that_is_there_is_not_replaced),
		AT_DESK(codes_want_the_right_place),
		AT_DESK(a_terminal_shows_the_code_under_the_text),
	};
	return cmocka_run_group_tests_name("ctl_share_code", tests, NULL, NULL);
}
