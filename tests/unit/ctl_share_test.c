/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shares in and out of kmsctl: what is shown to whom (kms/ctl/share_show.c), what is taken from a
 * file, a pipe or a terminal (kms/ctl/share_read.c, kms/ctl/unseen.c). stdin and stdout are put
 * back after each test.
 */
#include "kms/ctl/share_show.h"

#include <ctype.h>
#include <termios.h>

#include "kms/ctl/share_read.h"
#include "kms/ctl/unseen.h"
#include "tests/unit/share_desk.h"

/* ---- Showing ------------------------------------------------------------------------------ */

static void without_a_terminal_nothing_is_shown(void **state)
{
	struct ctl c = { .style = { .quiet = true } };
	AUTO(out_done) struct out o = { .field_n = 0 };

	assert_int_equal(share_show_check(&c), KMS_E_BAD_REQUEST);
	assert_true(c.is_usage);
	assert_non_null(strstr(c.error.text, "--shares-out"));
	/* And not by whoever forgets to ask first. */
	assert_int_equal(share_show(&c, &o, vector_texts, VECTOR_N), KMS_E_IO);
	assert_int_equal(written(*state), 0);
}

static void a_dry_run_needs_no_terminal(void **state)
{
	struct ctl c = { .style = { .quiet = true } };
	AUTO(out_done) struct out o = { .field_n = 0 };

	(void)state;
	c.args.given[OPT_DRY_RUN] = true;
	assert_int_equal(share_show_check(&c), KMS_OK);
	assert_int_equal(share_show(&c, &o, NULL, 0), KMS_OK);
}

static void json_has_all_of_them(void **state)
{
	struct ctl c = { .style = { .json = true } };
	AUTO(out_done) struct out o = { .field_n = 0 };
	AUTO(buf_done) struct buf text = { .n = 0 };

	(void)state;
	assert_int_equal(share_show_check(&c), KMS_OK);
	assert_int_equal(share_show(&c, &o, vector_texts, VECTOR_N), KMS_OK);
	assert_int_equal(out_print(&o, &c.style, &text), KMS_OK);
	assert_int_equal(buf_put_u8(&text, '\0'), KMS_OK);
	assert_non_null(strstr((const char *)text.p, "{\"shares\":[\"KMS1Q9AE6JN0QGPSR5KY"));
	assert_non_null(strstr((const char *)text.p, vector_texts[2]));
}

static void a_folder_gets_a_file_each(void **state)
{
	struct desk *d = *state;
	struct ctl c = { .style = { .quiet = true } };
	AUTO(out_done) struct out o = { .field_n = 0 };
	char path[2 * FOLDER_PATH];
	struct stat st;

	folder_file(&d->folder, "shares", path);
	c.args.given[OPT_SHARES_OUT] = true;
	c.args.text[OPT_SHARES_OUT] = path;
	assert_int_equal(share_show_check(&c), KMS_OK);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(share_show(&c, &o, vector_texts, VECTOR_N), KMS_OK);
	/* Another set would be mistaken for this one. */
	assert_int_equal(share_show_check(&c), KMS_E_BAD_REQUEST);
	assert_non_null(strstr(c.error.text, "not empty"));
	for (int i = 0; i < VECTOR_N; i++)
		assert_share_file(path, i);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(written(d), 0);
}

static void a_folder_that_cannot_be_made_is_refused(void **state)
{
	struct ctl c = { .style = { .quiet = true } };

	(void)state;
	c.args.given[OPT_SHARES_OUT] = true;
	c.args.text[OPT_SHARES_OUT] = "/proc/none/shares";
	assert_int_equal(share_show_check(&c), KMS_E_IO);
	c.args.text[OPT_SHARES_OUT] = "/dev/null";
	assert_int_equal(share_show_check(&c), KMS_E_IO);
}

static void shares_that_a_terminal_would_obey_are_refused(void **state)
{
	static const char *const wrong[] = { "", "KMS1\x1b[2J", "kms1qq", "KMS1 QQ" };
	struct ctl c = { .style = { .quiet = true } };
	AUTO(out_done) struct out o = { .field_n = 0 };

	(void)state;
	c.args.given[OPT_SHARES_OUT] = true;
	c.args.text[OPT_SHARES_OUT] = "/nonexistent";
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_int_equal(share_show(&c, &o, &wrong[i], 1), KMS_E_BAD_ANSWER);
}

/* ---- At a terminal ------------------------------------------------------------------------ */

static int show_two(void)
{
	struct ctl c = { .style = { .quiet = true } };
	AUTO(out_done) struct out o = { .field_n = 0 };

	if (share_show_check(&c) != KMS_OK)
		return 1;
	return share_show(&c, &o, vector_texts, 2) == KMS_OK ? 0 : 2;
}

/* Each stands between a question and a cleared screen. */
static void a_terminal_shows_one_at_a_time(void **state)
{
	char shown[8192];

	(void)state;
	assert_int_equal(at_terminal(show_two, "press Enter", "\n", shown, sizeof(shown)), 0);
	const char *first = strstr(shown, vector_texts[0]),
	           *second = strstr(shown, vector_texts[1]);
	assert_non_null(first);
	assert_non_null(second);
	assert_true(strstr(shown, "Share 1 of 2.") < first);
	assert_non_null(strstr(first, "\x1b[2J"));
	assert_true(strstr(first, "\x1b[2J") < second);
	assert_true(strstr(first, "Share 2 of 2.") < second);
	assert_non_null(strstr(second, "\x1b[2J\x1b[3J"));
}

static int show_json(void)
{
	struct ctl c = { .style = { .json = true } };

	return share_show_check(&c) == KMS_E_BAD_REQUEST ? 0 : 1;
}

static void a_terminal_never_shows_them_all_at_once(void **state)
{
	char shown[1024];

	(void)state;
	assert_int_equal(at_terminal(show_json, "Enter", "\n", shown, sizeof(shown)), 0);
	assert_null(strstr(shown, "KMS1"));
}

static int type_one(void)
{
	struct ctl c = { .style = { .quiet = true } };
	AUTO(buf_done) struct buf share = { .n = 0 };

	if (share_read(&c, "-", &share) != KMS_OK)
		return 1;
	return bytes_equal(buf_bytes(&share), bytes_of_str(vector_texts[1])) ? 0 : 2;
}

static void what_is_typed_is_not_shown(void **state)
{
	char shown[1024], typed[128];

	(void)state;
	(void)snprintf(typed, sizeof(typed), "%.20s %s\n", vector_texts[1], vector_texts[1] + 20);
	assert_int_equal(at_terminal(type_one, "not shown: ", typed, shown, sizeof(shown)), 0);
	assert_null(strstr(shown, "KMS1"));
}

static int interrupted(void)
{
	struct termios before, after;
	AUTO(buf_done) struct buf line = { .n = 0 };

	(void)signal(SIGINT, SIG_IGN);
	if (tcgetattr(STDIN_FILENO, &before) != 0)
		return 1;
	if (unseen_read(STDIN_FILENO, "? ", 16, &line) != KMS_E_IO)
		return 2;
	if (tcgetattr(STDIN_FILENO, &after) != 0)
		return 3;
	return before.c_lflag == after.c_lflag ? 0 : 4;
}

static void an_interrupt_leaves_the_terminal_as_it_was(void **state)
{
	char shown[1024];

	(void)state;
	assert_int_equal(at_terminal(interrupted, "? ", "abc\x03", shown, sizeof(shown)), 0);
	assert_null(strstr(shown, "abc"));
}

static int no_terminal(void)
{
	AUTO(buf_done) struct buf line = { .n = 0 };
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	return unseen_read(fd, "? ", 16, &line) == KMS_E_IO ? 0 : 1;
}

static void only_a_terminal_is_asked(void **state)
{
	(void)state;
	assert_int_equal(no_terminal(), 0);
}

/* ---- From files --------------------------------------------------------------------------- */

static kms_err read_text(struct desk *d, const char *text, struct ctl *c, struct buf *out)
{
	char path[2 * FOLDER_PATH];

	*c = (struct ctl){ .style = { .quiet = true } };
	folder_file(&d->folder, "typed", path);
	file_write(path, bytes_of_str(text));
	return share_read(c, path, out);
}

/* As people write: in fours, and in small letters. */
static void write_by_hand(const char *share, char out[static 256])
{
	size_t n = 0;

	for (const char *p = share; *p != '\0'; p++) {
		if (n % 5 == 4)
			out[n++] = ' ';
		out[n++] = (char)(tolower)((unsigned char)*p);
	}
	memcpy(out + n, "\r\n", 3);
}

static void a_file_may_have_spaces_and_small_letters(void **state)
{
	AUTO(buf_done) struct buf out = { .n = 0 };
	char text[256];
	struct ctl c;

	write_by_hand(vector_texts[0], text);
	assert_int_equal(read_text(*state, text, &c, &out), KMS_OK);
	assert_int_equal(out.n, strlen(vector_texts[0]));
	assert_memory_equal(out.p, "kms1q9ae6", 9);
}

static void a_slip_is_told_by_its_place(void **state)
{
	AUTO(buf_done) struct buf out = { .n = 0 };
	char text[128];
	struct ctl c;

	(void)snprintf(text, sizeof(text), "%s", vector_texts[0]);
	text[29] = text[29] == 'Q' ? 'P' : 'Q';
	assert_int_equal(read_text(*state, text, &c, &out), KMS_E_SHARE_TYPO);
	assert_string_equal(c.error.detail, "character 30");
	text[60] = '\0';
	assert_int_equal(read_text(*state, text, &c, &out), KMS_E_SHARE_TYPO);
	assert_non_null(strstr(c.error.detail, "60 characters"));
	assert_int_equal(read_text(*state, "correct horse", &c, &out), KMS_E_SHARE_FORM);
	assert_int_equal(read_text(*state, "", &c, &out), KMS_E_SHARE_FORM);
	assert_int_equal(out.n, 0);
}

static void what_is_no_share_by_its_size_is_not_read(void **state)
{
	AUTO(buf_done) struct buf out = { .n = 0 };
	static char text[4096];
	struct ctl c;

	memset(text, 'Q', sizeof(text) - 1);
	assert_int_equal(read_text(*state, text, &c, &out), KMS_E_PLAINTEXT_TOO_BIG);
	c = (struct ctl){ .style = { .quiet = true } };
	assert_int_equal(share_read(&c, "/nonexistent/share", &out), KMS_E_BAD_REQUEST);
	assert_true(c.is_usage);
	assert_int_equal(out.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		AT_DESK(without_a_terminal_nothing_is_shown),
		AT_DESK(a_dry_run_needs_no_terminal),
		AT_DESK(json_has_all_of_them),
		AT_DESK(a_folder_gets_a_file_each),
		AT_DESK(a_folder_that_cannot_be_made_is_refused),
		AT_DESK(shares_that_a_terminal_would_obey_are_refused),
		AT_DESK(a_terminal_shows_one_at_a_time),
		AT_DESK(a_terminal_never_shows_them_all_at_once),
		AT_DESK(what_is_typed_is_not_shown),
		AT_DESK(an_interrupt_leaves_the_terminal_as_it_was),
		AT_DESK(only_a_terminal_is_asked),
		AT_DESK(a_file_may_have_spaces_and_small_letters),
		AT_DESK(a_slip_is_told_by_its_place),
		AT_DESK(what_is_no_share_by_its_size_is_not_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
