/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a rehearsal needs before it compares: the live configuration read and written anew
 * (kms/ctl/rehearse_conf.c), the backup that is meant (kms/ctl/backupview.c), and a kmsd that
 * starts, fails to start, and leaves nothing behind (kms/ctl/throwaway.c).
 */
#include "kms/ctl/rehearse_conf.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>

#include <cmocka.h>

#include "kms/ctl/backupview.h"
#include "kms/ctl/throwaway.h"
#include "tests/unit/fake_kmsd.h"
#include "tests/unit/folder.h"

static const char live[] = "# socket = \"/wrong\"\n"
                           "store = \"/var/lib/kms/store\" backup = \"/first\"\n"
                           "/* backup = \"/commented\" */ // backup = \"/too\"\n"
                           "slot_order = {\"tpm\", \"backup\", \"=\"}\n"
                           "pkcs11 \"backup\" {\n"
                           "\tmodule = \"/a } b\" backup = \"/inside\"\n"
                           "}\n"
                           "backup='/srv/kms' # the last one counts\n"
                           "tpm { pcrs = {0, 7} }\n"
                           "log_level = \"backup = no\"\n";

static void assert_found(const char *text, const char *want)
{
	struct bytes found = conf_find(bytes_of_str(text), "backup");

	assert_int_equal(found.n, strlen(want));
	assert_memory_equal(found.p, want, found.n);
}

static void the_last_value_outside_of_sections_counts(void **state)
{
	(void)state;
	assert_found(live, "/srv/kms");
	assert_found("backup = /bare", "/bare");
	assert_found("backup=\"/a\"backup = \"/b\"", "/b");
	assert_found("backup = \"\"", "");
}

static void what_only_looks_like_it_is_not_found(void **state)
{
	static const char *const none[] = { "", "backup", "backups = \"/a\"", "my_backup = \"/a\"",
		"\"backup\" = \"/a\"", "tpm { backup = \"/a\" }", "tpm { x { } backup = \"/a\"",
		"# backup = \"/a\"", "/* backup = \"/a\"", "x = \"backup = /a",
		"backup { x = \"/a\" }", "} backup", "backup \"x\" = \"/a\"" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(none); i++)
		assert_null(conf_find(bytes_of_str(none[i]), "backup").p);
}

/* ---- Files -------------------------------------------------------------------------------- */

struct place {
	struct folder folder; /* the live files */
	char conf[2 * FOLDER_PATH];
	struct ctl ctl;
};

static int set_up(void **state)
{
	struct place *p = calloc(1, sizeof(*p));
	char parts[2 * FOLDER_PATH + 8];

	CHECK(p != NULL);
	folder_make(&p->folder);
	folder_file(&p->folder, "live.conf", p->conf);
	file_write(p->conf, bytes_of_str(live));
	(void)snprintf(parts, sizeof(parts), "%s.d", p->conf);
	CHECK(mkdir(parts, 0700) == 0);
	p->ctl.style.quiet = true;
	*state = p;
	return 0;
}

/* A file of FOLDER that is named after the live one. */
static void put_part(const struct place *p, const char *name, const char *text)
{
	char path[3 * FOLDER_PATH];

	(void)snprintf(path, sizeof(path), "%.500s.d/%.60s", p->conf, name);
	file_write(path, bytes_of_str(text));
}

static int tear_down(void **state)
{
	struct place *p = *state;
	struct throwaway t = { .pid = 0 };

	/* Clears any folder away. */
	(void)snprintf(t.dir, sizeof(t.dir), "%.*s", THROWAWAY_DIR_MAX, p->folder.path);
	throwaway_done(&t);
	free(p);
	return 0;
}

static void the_folder_of_backups_is_found(void **state)
{
	struct place *p = *state;
	char folder[CONF_PATH_MAX];

	assert_int_equal(conf_backup_folder(&p->ctl, p->conf, folder), KMS_OK);
	assert_string_equal(folder, "/srv/kms");
	put_part(p, "10.conf", "backup = \"/ten\"");
	put_part(p, "20.conf", "log_level = \"info\"");
	put_part(p, "30.old", "backup = \"/thirty\"");
	assert_int_equal(conf_backup_folder(&p->ctl, p->conf, folder), KMS_OK);
	assert_string_equal(folder, "/ten");
	file_write(p->conf, bytes_of_str(""));
	put_part(p, "10.conf", "");
	assert_int_equal(conf_backup_folder(&p->ctl, p->conf, folder), KMS_OK);
	assert_string_equal(folder, "/var/lib/kms/backup");
}

static void other_folders_are_refused(void **state)
{
	struct place *p = *state;
	char folder[CONF_PATH_MAX], text[CONF_PATH_MAX + 32] = "backup = /";

	file_write(p->conf, bytes_of_str("backup = \"relative\""));
	assert_int_equal(conf_backup_folder(&p->ctl, p->conf, folder), KMS_E_BAD_CONFIG);
	file_write(p->conf, bytes_of_str("backup = \"\""));
	assert_int_equal(conf_backup_folder(&p->ctl, p->conf, folder), KMS_E_BAD_CONFIG);
	memset(text + 10, 'x', CONF_PATH_MAX);
	file_write(p->conf, bytes_of_str(text));
	assert_int_equal(conf_backup_folder(&p->ctl, p->conf, folder), KMS_E_BAD_CONFIG);
	assert_int_equal(
	    conf_backup_folder(&p->ctl, "/nonexistent/kms.conf", folder), KMS_E_BAD_REQUEST);
	assert_true(p->ctl.is_usage);
}

static void assert_file(const struct throwaway *t, const char *name, const char *want)
{
	AUTO(buf_done) struct buf text = { .n = 0 };
	char path[3 * FOLDER_PATH];

	(void)snprintf(path, sizeof(path), "%s/%s", t->dir, name);
	file_read(path, &text);
	assert_int_equal(buf_put_u8(&text, '\0'), KMS_OK);
	if (strstr((const char *)text.p, want) == NULL)
		fail_msg("%s: %s", name, (const char *)text.p);
}

/* Each file as it stands, in kmsd's order, and ours behind all of them. */
static void the_live_files_are_copied_and_ours_comes_last(void **state)
{
	struct place *p = *state;
	AUTO(throwaway_done) struct throwaway t = { .pid = 0 };
	char line[FOLDER_PATH];

	put_part(p, "zz.conf", "tpm { deadline = \"5s\" }");
	put_part(p, "aa.conf", "log_level = \"debug\"");
	assert_int_equal(throwaway_make(&p->ctl, &t), KMS_OK);
	assert_int_equal(conf_write(&p->ctl, p->conf, t.dir), KMS_OK);
	assert_file(&t, "kms.conf", live);
	assert_file(&t, "kms.conf.d/0001.conf", "log_level = \"debug\"");
	assert_file(&t, "kms.conf.d/0002.conf", "tpm { deadline = \"5s\" }");
	(void)snprintf(line, sizeof(line), "backup = \"%s/backup\"\n", t.dir);
	assert_file(&t, "kms.conf.d/9999.conf", line);
	(void)snprintf(line, sizeof(line), "socket = \"%s/kms.sock\"\n", t.dir);
	assert_file(&t, "kms.conf.d/9999.conf", line);
	(void)snprintf(
	    line, sizeof(line), "store = \"%s/store\"\naudit = \"%s/audit\"\n", t.dir, t.dir);
	assert_file(&t, "kms.conf.d/9999.conf", line);
	/* Not twice into the same folder. */
	assert_int_equal(conf_write(&p->ctl, p->conf, t.dir), KMS_E_IO);
}

static void folders_that_a_configuration_cannot_name_are_refused(void **state)
{
	static const char *const wrong[] = { "/tmp/a\"b", "/tmp/${HOME}", "/tmp/a\\b" };
	struct place *p = *state;

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_int_equal(conf_write(&p->ctl, p->conf, wrong[i]), KMS_E_BAD_REQUEST);
}

/* ---- Which backup ------------------------------------------------------------------------- */

static const struct kms_backup backups[] = {
	{ .name = "a", .state = "ok", .created_us = 1 },
	{ .name = "b", .state = "ok", .created_us = 3 },
	{ .name = "c", .state = "ok", .created_us = 2 },
	{ .name = "d", .state = "old-root", .created_us = 9 },
	{ .name = "e", .state = "cut_off", .created_us = 10 },
};

static void the_newest_good_backup_is_meant(void **state)
{
	(void)state;
	assert_ptr_equal(backupview_find(backups, 5, NULL), &backups[1]);
	assert_ptr_equal(backupview_find(backups, 5, "d"), &backups[3]);
	assert_ptr_equal(backupview_find(backups, 5, "e"), &backups[4]);
	assert_true(backupview_is_good(&backups[3]));
}

static void no_backup_is_none(void **state)
{
	(void)state;
	assert_null(backupview_find(backups, 0, NULL));
	assert_null(backupview_find(&backups[3], 2, NULL));
	assert_null(backupview_find(backups, 5, "x"));
	assert_null(backupview_find(backups, 5, ""));
	assert_false(backupview_is_good(&backups[4]));
}

static void a_backup_has_a_readable_size(void **state)
{
	struct kms_backup b = { .name = "a", .state = "ok", .detail = "", .size = 1536 };
	const struct style text = { .json = false };
	AUTO(buf_done) struct buf to = { .n = 0 };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		AUTO(out_done) struct out o = { .field_n = 0 };

		b.size = i == 0 ? 1536 : 12;
		backupview_put(&o, &b, 1);
		assert_int_equal(out_print(&o, &text, &to), KMS_OK);
	}
	assert_int_equal(buf_put_u8(&to, '\0'), KMS_OK);
	assert_non_null(strstr((const char *)to.p, "1.5 KiB"));
	assert_non_null(strstr((const char *)to.p, "12 B"));
}

/* ---- The kmsd that is thrown away --------------------------------------------------------- */

/* A program that does what the shell is told. */
static void make_program(const struct place *p, const char *does, char path[2 * FOLDER_PATH])
{
	char script[4 * FOLDER_PATH];

	folder_file(&p->folder, "kmsd", path);
	(void)snprintf(script, sizeof(script), "#!/bin/sh\n%s\n", does);
	file_write(path, bytes_of_str(script));
	CHECK(chmod(path, 0700) == 0);
}

static bool serve_status(struct fake *f, const struct request *r)
{
	fake_answer(f, &(struct answer){ .id = r->id, .kind = ANSWER_STATUS });
	return true;
}

static void it_starts_and_leaves_nothing(void **state)
{
	struct place *p = *state;
	struct throwaway t = { .pid = 0 };
	char program[2 * FOLDER_PATH], socket[3 * FOLDER_PATH], dir[THROWAWAY_DIR_MAX + 1];
	struct fake f;

	fake_start(&f, serve_status, NULL);
	make_program(p, "[ \"$1\" = -c ] && [ -z \"$KMS_TEST\" ] && exec sleep 60", program);
	CHECK(setenv("KMS_TEST", "1", 1) == 0);
	assert_int_equal(throwaway_make(&p->ctl, &t), KMS_OK);
	memcpy(dir, t.dir, sizeof(dir));
	(void)snprintf(socket, sizeof(socket), "%s/kms.sock", t.dir);
	CHECK(symlink(f.path, socket) == 0);
	assert_int_equal(throwaway_start(&p->ctl, &t, program), KMS_OK);
	assert_non_null(t.kms);
	pid_t pid = t.pid;
	assert_int_equal(kill(pid, 0), 0);
	throwaway_done(&t);
	assert_int_equal(kill(pid, 0), -1);
	assert_int_equal(errno, ESRCH);
	assert_int_equal(access(dir, F_OK), -1);
	assert_null(t.kms);
	throwaway_done(&t);
	fake_stop(&f);
}

static void one_that_does_not_start_says_why(void **state)
{
	struct place *p = *state;
	AUTO(throwaway_done) struct throwaway t = { .pid = 0 };
	char program[2 * FOLDER_PATH];

	make_program(p, "echo first; echo event=start-failed reason=nothing >&2; exit 2", program);
	assert_int_equal(throwaway_make(&p->ctl, &t), KMS_OK);
	assert_int_equal(throwaway_start(&p->ctl, &t, program), KMS_E_UNAVAILABLE);
	assert_string_equal(
	    p->ctl.error.detail, "the rehearsal's kmsd: event=start-failed reason=nothing");
	assert_int_equal(t.pid, 0);
}

static void a_signal_breaks_it_off(void **state)
{
	struct place *p = *state;
	AUTO(throwaway_done) struct throwaway t = { .pid = 0 };
	char program[2 * FOLDER_PATH];

	make_program(p, "exec sleep 60", program);
	assert_int_equal(throwaway_make(&p->ctl, &t), KMS_OK);
	assert_int_equal(throwaway_go_on(&p->ctl), KMS_OK);
	CHECK(raise(SIGINT) == 0);
	assert_int_equal(throwaway_go_on(&p->ctl), KMS_E_CANCELLED);
	assert_int_equal(throwaway_start(&p->ctl, &t, program), KMS_E_CANCELLED);
}

static void a_program_must_be_one(void **state)
{
	struct place *p = *state;
	char found[4096], path[2 * FOLDER_PATH];

	p->ctl.args.given[OPT_KMSD] = true;
	p->ctl.args.text[OPT_KMSD] = p->conf;
	assert_int_equal(throwaway_program(&p->ctl, found, sizeof(found)), KMS_E_BAD_REQUEST);
	p->ctl.args.text[OPT_KMSD] = "/";
	assert_int_equal(throwaway_program(&p->ctl, found, sizeof(found)), KMS_E_BAD_REQUEST);
	make_program(p, "", path);
	p->ctl.args.text[OPT_KMSD] = path;
	assert_int_equal(throwaway_program(&p->ctl, found, sizeof(found)), KMS_OK);
	assert_string_equal(found, path);
}

static void path_is_searched(void **state)
{
	struct place *p = *state;
	char found[4096], path[2 * FOLDER_PATH], list[3 * FOLDER_PATH];

	make_program(p, "", path);
	(void)snprintf(list, sizeof(list), "/nonexistent:.:%s:/bin", p->folder.path);
	CHECK(setenv("PATH", list, 1) == 0);
	assert_int_equal(throwaway_program(&p->ctl, found, sizeof(found)), KMS_OK);
	assert_string_equal(found, path);
	CHECK(setenv("PATH", "/nonexistent", 1) == 0);
	assert_int_equal(throwaway_program(&p->ctl, found, sizeof(found)), KMS_E_BAD_REQUEST);
}

static void the_configuration_is_chosen(void **state)
{
	struct place *p = *state;

	CHECK(unsetenv("KMS_CONFIG") == 0);
	assert_string_equal(conf_choose(&p->ctl), "/etc/kms/kms.conf");
	CHECK(setenv("KMS_CONFIG", "/from/env", 1) == 0);
	assert_string_equal(conf_choose(&p->ctl), "/from/env");
	p->ctl.args.given[OPT_CONFIG] = true;
	p->ctl.args.text[OPT_CONFIG] = "/from/option";
	assert_string_equal(conf_choose(&p->ctl), "/from/option");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define AT_PLACE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
		cmocka_unit_test(the_last_value_outside_of_sections_counts),
		cmocka_unit_test(what_only_looks_like_it_is_not_found),
		AT_PLACE(the_folder_of_backups_is_found),
		AT_PLACE(other_folders_are_refused),
		AT_PLACE(the_live_files_are_copied_and_ours_comes_last),
		AT_PLACE(folders_that_a_configuration_cannot_name_are_refused),
		cmocka_unit_test(the_newest_good_backup_is_meant),
		cmocka_unit_test(no_backup_is_none),
		cmocka_unit_test(a_backup_has_a_readable_size),
		AT_PLACE(it_starts_and_leaves_nothing),
		AT_PLACE(one_that_does_not_start_says_why),
		AT_PLACE(a_signal_breaks_it_off),
		AT_PLACE(a_program_must_be_one),
		AT_PLACE(path_is_searched),
		AT_PLACE(the_configuration_is_chosen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
