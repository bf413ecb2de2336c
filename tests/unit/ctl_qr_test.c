/* SPDX-License-Identifier: Apache-2.0 */
/*
 * QR codes (kms/ctl/qr.c, kms/ctl/qr_png.c): what stands on the terminal is the matrix, module by
 * module, and zbarimg, where it is installed, reads the file back to the text.
 */
#include "kms/ctl/qr.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "kms/seal/share_text.h"
#include "tests/unit/folder.h"
#include "tests/unit/shares_vector.h"

enum {
	SHARE_WIDTH = 33, /* version 4: 90 capitals and digits at 15 % */
	ALL_MAX = SHARE_WIDTH + QR_MARGINS
};

static const char pre[] = "\033[30;107m", post[] = "\033[0m";

static struct qr share_code(void)
{
	struct qr q;

	assert_int_equal(qr_encode(vector_texts[0], &q), KMS_OK);
	return q;
}

/* ---- The code ------------------------------------------------------------------------------ */

static void a_share_takes_33_modules(void **state)
{
	AUTO(qr_wipe) struct qr q = share_code();
	size_t dark = 0;

	(void)state;
	assert_int_equal(q.width, SHARE_WIDTH);
	for (size_t row = 0; row < q.width; row++) {
		for (size_t column = 0; column < q.width; column++)
			dark += qr_dark(&q, row, column);
	}
	/* Masks keep it near the half. */
	assert_in_range(dark, q.width * q.width * 2 / 5, q.width * q.width * 3 / 5);
	assert_false(qr_dark(&q, q.width, 0));
	assert_false(qr_dark(&q, 0, q.width));
	assert_false(qr_dark(&q, SIZE_MAX, SIZE_MAX));
}

/* The three corners that a reader looks for: ISO/IEC 18004 section 6.3.3. */
static void the_corners_are_there(void **state)
{
	static const char *const finder[] = { "#######", "#.....#", "#.###.#", "#.###.#", "#.###.#",
		"#.....#", "#######" };
	AUTO(qr_wipe) struct qr q = share_code();
	const size_t far = SHARE_WIDTH - 7;
	const size_t corners[][2] = { { 0, 0 }, { 0, far }, { far, 0 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(corners); i++) {
		for (size_t r = 0; r < 7; r++) {
			for (size_t c = 0; c < 7; c++)
				assert_int_equal(qr_dark(&q, corners[i][0] + r, corners[i][1] + c),
				    finder[r][c] == '#');
		}
	}
}

static void other_texts_are_refused(void **state)
{
	static const char *const bad[] = { "", "kms1q9ae", "KMS1Q\n", "KMS1Q\xc3\xa4" };
	char large[QR_TEXT_MAX + 2] = { 0 };
	struct qr q = { .width = 77 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(qr_encode(bad[i], &q), KMS_E_BAD_REQUEST);
	memset(large, 'Q', QR_TEXT_MAX + 1);
	assert_int_equal(qr_encode(large, &q), KMS_E_BAD_REQUEST);
	assert_int_equal(q.width, 77);
	large[QR_TEXT_MAX] = '\0';
	assert_int_equal(qr_encode(large, &q), KMS_OK);
	assert_true(q.width <= QR_WIDTH_MAX);
}

static void wiping_leaves_zeros(void **state)
{
	static const struct qr none;
	static const struct qr_picture blank;
	struct qr q = share_code();
	struct qr_picture p;

	(void)state;
	qr_draw(&q, QR_COLOUR, &p);
	qr_wipe(&q);
	qr_picture_wipe(&p);
	assert_memory_equal(&q, &none, sizeof(q));
	assert_memory_equal(&p, &blank, sizeof(p));
}

/* ---- On a terminal ------------------------------------------------------------------------- */

/* Takes `what` from the front of *p, or fails. */
static void take(const char **p, const char *what)
{
	assert_int_equal(strncmp(*p, what, strlen(what)), 0);
	*p += strlen(what);
}

/* The next character: bit 1 the upper half, bit 0 the lower. */
static unsigned take_glyph(const char **p)
{
	static const char *const glyphs[] = { " ", "▄", "▀", "█" };

	for (unsigned i = 0; i < ARRAY_LEN(glyphs); i++) {
		if (strncmp(*p, glyphs[i], strlen(glyphs[i])) == 0) {
			*p += strlen(glyphs[i]);
			return i;
		}
	}
	fail_msg("a character that is no half block");
	return 0;
}

/* Reads the picture back, quiet zone and all, and compares it with the matrix. */
static void reads_back(enum qr_ink ink)
{
	AUTO(qr_wipe) struct qr q = share_code();
	AUTO(qr_picture_wipe) struct qr_picture picture;
	bool light_ink = ink == QR_LIGHT_LETTERS;
	const char *p = picture.s;

	qr_draw(&q, ink, &picture);
	assert_int_equal(strlen(picture.s), picture.n);
	for (size_t row = 0; row < ALL_MAX; row += 2) {
		if (ink == QR_COLOUR)
			take(&p, pre);
		for (size_t column = 0; column < ALL_MAX; column++) {
			unsigned glyph = take_glyph(&p);
			size_t r = row - QR_QUIET, c = column - QR_QUIET;

			assert_int_equal((glyph >> 1) ^ light_ink, qr_dark(&q, r, c));
			assert_int_equal((glyph & 1) ^ light_ink, qr_dark(&q, r + 1, c));
		}
		if (ink == QR_COLOUR)
			take(&p, post);
		take(&p, "\n");
	}
	assert_int_equal(*p, '\0');
}

static void what_is_drawn_is_the_matrix(void **state)
{
	(void)state;
	reads_back(QR_COLOUR);
	reads_back(QR_DARK_LETTERS);
	reads_back(QR_LIGHT_LETTERS);
}

static void without_colour_there_are_no_escapes(void **state)
{
	AUTO(qr_wipe) struct qr q = share_code();
	struct qr_picture p;

	(void)state;
	qr_draw(&q, QR_DARK_LETTERS, &p);
	assert_null(strchr(p.s, '\033'));
	qr_draw(&q, QR_LIGHT_LETTERS, &p);
	assert_null(strchr(p.s, '\033'));
}

static void the_largest_fits(void **state)
{
	struct qr q = { .width = QR_WIDTH_MAX };
	struct qr_picture p;

	(void)state;
	memset(q.dark, 1, sizeof(q.dark));
	qr_draw(&q, QR_COLOUR, &p);
	assert_true(p.n > 0 && p.n < sizeof(p.s));
}

/* ---- As a file ----------------------------------------------------------------------------- */

static void a_png_is_new_and_closed_to_others(void **state)
{
	AUTO(qr_wipe) struct qr q = share_code();
	char path[2 * FOLDER_PATH];
	struct ctl c = { .status = 0 };
	struct stat st;
	uint8_t magic[8] = { 0 };

	folder_file(*state, "share.png", path);
	mode_t before = umask(0);
	assert_int_equal(qr_write_png(&c, &q, path), KMS_OK);
	(void)umask(before);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	int fd = open(path, O_RDONLY);
	assert_int_equal(read(fd, magic, sizeof(magic)), sizeof(magic));
	(void)close(fd);
	assert_memory_equal(magic, "\x89PNG\r\n\x1a\n", sizeof(magic));
}

static void what_is_there_is_never_overwritten(void **state)
{
	AUTO(qr_wipe) struct qr q = share_code();
	char path[2 * FOLDER_PATH], link[2 * FOLDER_PATH];
	struct ctl c = { .status = 0 };
	struct stat st;

	folder_file(*state, "there.png", path);
	folder_file(*state, "link.png", link);
	int fd = open(path, O_WRONLY | O_CREAT, 0600);
	assert_int_equal(write(fd, "mine", 4), 4);
	(void)close(fd);
	assert_int_equal(qr_write_png(&c, &q, path), KMS_E_EXISTS);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 4);
	/* Nor through a link, wherever it leads. */
	assert_int_equal(symlink("nowhere", link), 0);
	assert_int_equal(qr_write_png(&c, &q, link), KMS_E_EXISTS);
	folder_file(*state, "nowhere", path);
	assert_int_not_equal(stat(path, &st), 0);
}

static void a_folder_that_is_not_there_is_told(void **state)
{
	AUTO(qr_wipe) struct qr q = share_code();
	char path[2 * FOLDER_PATH];
	struct ctl c = { .status = 0 };

	folder_file(*state, "no/share.png", path);
	assert_int_equal(qr_write_png(&c, &q, path), KMS_E_IO);
}

/* The limit on a file's size stands for a full disk; it is met at each length. */
static void a_full_disk_leaves_nothing(void **state)
{
	AUTO(qr_wipe) struct qr q = share_code();
	char path[2 * FOLDER_PATH];
	struct ctl c = { .status = 0 };
	struct rlimit all;
	struct stat st;

	folder_file(*state, "full.png", path);
	void (*before)(int) = signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &all), 0);
	for (rlim_t room = 0; room < 256; room += 17) {
		struct rlimit small = { .rlim_cur = room, .rlim_max = all.rlim_max };

		assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
		kms_err e = qr_write_png(&c, &q, path);
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &all), 0);
		assert_int_equal(e, KMS_E_IO);
		assert_int_not_equal(stat(path, &st), 0);
	}
	(void)signal(SIGXFSZ, before);
}

/* What zbarimg prints, at most n - 1 bytes; -1 if it isn't there, else its exit status. */
static int run_zbarimg(const char *path, char *out, size_t n)
{
	int ends[2], status;
	size_t got = 0;

	assert_int_equal(pipe(ends), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)dup2(ends[1], STDOUT_FILENO);
		(void)execlp("zbarimg", "zbarimg", "--nodbus", "--quiet", "--raw", path, NULL);
		_exit(127);
	}
	(void)close(ends[1]);
	for (ssize_t r = 1; r > 0 && got < n - 1; got += (size_t)r) {
		r = read(ends[0], out + got, n - 1 - got);
		assert_true(r >= 0);
	}
	out[got] = '\0';
	(void)close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status) == 127 ? -1 : WEXITSTATUS(status);
}

static void zbarimg_reads_the_file(void **state)
{
	char path[2 * FOLDER_PATH], out[256];
	struct ctl c = { .status = 0 };

	if (run_zbarimg("--version", out, sizeof(out)) < 0) {
		print_message("zbarimg is not installed (zbar-tools)\n");
		skip();
	}
	for (size_t i = 0; i < VECTOR_N; i++) {
		AUTO(qr_wipe) struct qr q;
		char name[] = "0.png";

		name[0] = (char)('0' + i);
		folder_file(*state, name, path);
		assert_int_equal(qr_encode(vector_texts[i], &q), KMS_OK);
		assert_int_equal(qr_write_png(&c, &q, path), KMS_OK);
		assert_int_equal(run_zbarimg(path, out, sizeof(out)), 0);
		out[strcspn(out, "\n")] = '\0';
		assert_string_equal(out, vector_texts[i]);
	}
}

static int folder_setup(void **state)
{
	static struct folder f;

	folder_make(&f);
	*state = &f;
	return 0;
}

static int folder_teardown(void **state)
{
	folder_done(*state);
	return 0;
}

#define STORY(f) cmocka_unit_test_setup_teardown(f, folder_setup, folder_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_share_takes_33_modules),
		cmocka_unit_test(the_corners_are_there),
		cmocka_unit_test(other_texts_are_refused),
		cmocka_unit_test(wiping_leaves_zeros),
		cmocka_unit_test(what_is_drawn_is_the_matrix),
		cmocka_unit_test(without_colour_there_are_no_escapes),
		cmocka_unit_test(the_largest_fits),
		STORY(a_png_is_new_and_closed_to_others),
		STORY(what_is_there_is_never_overwritten),
		STORY(a_folder_that_is_not_there_is_told),
		STORY(a_full_disk_leaves_nothing),
		STORY(zbarimg_reads_the_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
