/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kmsctl as it is called, against a fake kmsd: slots, ceremonies, the root and backups
 * (kms/ctl/cmd_slot.c, cmd_unseal.c, cmd_root.c, cmd_backup.c), and what status and doctor say of
 * them. stdin is no terminal; stdout goes into a file.
 */
#include "kms/ctl/ctl.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/unit/fake_kmsd.h"
#include "tests/unit/folder.h"
#include "tests/unit/shares_vector.h"

enum {
	WORDS_MAX = 24
};

#define TEXT(s)                                                                                    \
	{                                                                                          \
		.p = (const uint8_t *)(s), .n = sizeof(s) - 1                                      \
	}

/* What the fake is asked and how it answers. */
struct world {
	struct fake fake;
	struct folder folder;
	char out[2 * FOLDER_PATH]; /* what kmsctl has written */
	int real_in, real_out;
	/* Of the last request. */
	enum op op;
	uint32_t needed, total;
	char slot[64], share[128];
	bool dry_run, flag; /* flag: rely_on_shares, renew_store, cancel or accept_restore */
	size_t left_out;
	unsigned changes;
	/* How it is. */
	bool no_shares; /* too old to know them */
	bool missing;   /* more shares are needed */
	struct key_info key;
};

static const uint8_t nonce[16] = { 0xab, 1 };
static const struct slot_info slots[] = {
	{ .kind = TEXT("tpm"), .name = TEXT("tpm"), .last = TEXT("ok") },
	{ .kind = TEXT("shares"), .name = TEXT("shares"), .last = TEXT("untried") },
};
static const struct backup_info backup = {
	.name = TEXT("one"), .state = TEXT("cut_off"), .slots = slots, .slot_n = 2
};
static const struct ceremony_info ceremony = {
	.nonce = { nonce, 16 }, .needed = 3, .have = 2, .expires_us = 1000000
};

static void copy(char *out, size_t size, struct bytes x)
{
	(void)snprintf(out, size, "%.*s", (int)x.n, x.n > 0 ? (const char *)x.p : "");
}

static void note(struct world *w, const struct request *r)
{
	w->op = r->op;
	w->needed = r->shares_needed;
	w->total = r->shares_total;
	w->dry_run = r->dry_run;
	w->flag = r->rely_on_shares || r->renew_store || r->cancel || r->accept_restore;
	w->left_out = r->leave_out_n;
	w->changes += r->op != OP_STATUS;
	copy(w->slot, sizeof(w->slot), r->slot);
	copy(w->share, sizeof(w->share), r->share);
}

static bool serve(struct fake *f, const struct request *r)
{
	static struct bytes shares[VECTOR_N];
	struct world *w = f->user;
	struct answer a = { .id = r->id, .kind = ANSWER_SLOTS, .u.slots = { .p = slots, .n = 2 } };

	note(w, r);
	for (size_t i = 0; i < VECTOR_N; i++)
		shares[i] = bytes_of_str(vector_texts[i]);
	if (r->op == OP_STATUS)
		a = (struct answer){ .id = r->id,
			.kind = ANSWER_STATUS,
			.u.status = { .state = TEXT("unsealed"),
			    .counter_state = TEXT("unchecked"),
			    .backup_state = TEXT("late"),
			    .rehearsal_state = TEXT("cut_off"),
			    .ceremony = ceremony,
			    .slots = slots,
			    .slot_n = 1 } };
	else if (r->op >= OP_KEY_CREATE && r->op <= OP_KEY_CANCEL_DESTROY)
		a = (struct answer){ .id = r->id, .kind = ANSWER_KEY, .u.key = w->key };
	else if (r->op == OP_WHOAMI)
		a = (struct answer){ .id = r->id, .kind = ANSWER_WHOAMI };
	else if (r->op == OP_UNSEAL)
		a = (struct answer){ .id = r->id,
			.kind = w->missing ? ANSWER_CEREMONY : ANSWER_DONE,
			.u.ceremony = ceremony };
	else if (r->op >= OP_BACKUP_CREATE)
		a = (struct answer){
			.id = r->id, .kind = ANSWER_BACKUPS, .u.backups = { &backup, 1 }
		};
	else if ((r->shares_total > 0 || r->op == OP_ROOT_ROTATE) && !r->dry_run && !w->no_shares)
		a.u.slots.shares = shares, a.u.slots.share_n = VECTOR_N;
	fake_answer(f, &a);
	return true;
}

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	CHECK(w != NULL);
	folder_make(&w->folder);
	folder_file(&w->folder, "out", w->out);
	fake_start(&w->fake, serve, w);
	w->real_in = dup(STDIN_FILENO);
	(void)fflush(stdout);
	w->real_out = dup(STDOUT_FILENO);
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int out = open(w->out, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	CHECK(dup2(null, STDIN_FILENO) == STDIN_FILENO && dup2(out, STDOUT_FILENO) >= 0);
	(void)close(null);
	(void)close(out);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	CHECK(dup2(w->real_in, STDIN_FILENO) >= 0 && dup2(w->real_out, STDOUT_FILENO) >= 0);
	(void)close(w->real_in);
	(void)close(w->real_out);
	fake_stop(&w->fake);
	folder_done(&w->folder);
	free(w);
	return 0;
}

/* Runs a line of words; its exit status. */
static int run(struct world *w, const char *line)
{
	static char program[] = "kmsctl", socket[] = "--socket";
	char copied[1024], *words[WORDS_MAX] = { program }, *rest = NULL;
	int n = 1;

	CHECK(ftruncate(STDOUT_FILENO, 0) == 0);
	w->changes = 0;
	(void)snprintf(copied, sizeof(copied), "%s", line);
	for (char *word = strtok_r(copied, " ", &rest); word != NULL;
	     word = strtok_r(NULL, " ", &rest))
		words[n++] = word;
	words[n++] = socket;
	words[n++] = w->fake.path;
	return ctl_run(n, words);
}

static bool said(const struct world *w, const char *what)
{
	AUTO(buf_done) struct buf text = { .n = 0 };

	file_read(w->out, &text);
	return memmem(text.p, text.n, what, strlen(what)) != NULL;
}

static void shares_are_asked_for_and_given_on(void **state)
{
	struct world *w = *state;

	assert_int_equal(run(w, "init --json --shares 2/3"), 0);
	assert_int_equal(w->op, OP_INIT);
	assert_int_equal(w->needed * 10 + w->total, 23);
	assert_string_equal(w->slot, "");
	assert_true(said(w, "\"shares\":[\"KMS1Q9AE6JN0QGPSR5KY"));
	assert_int_equal(run(w, "init --json -q --slot pkcs11:token=x --shares 2/3"), 0);
	assert_string_equal(w->slot, "pkcs11:token=x");
	assert_int_equal(run(w, "init -q"), 0);
	assert_string_equal(w->slot, "tpm");
	assert_int_equal(w->total, 0);
	assert_int_equal(run(w, "slot add --json hsm --shares 2/3"), 0);
	assert_int_equal(w->op, OP_SLOT_ADD);
	assert_string_equal(w->slot, "hsm");
	assert_int_equal(run(w, "slot add -q --shares 2/3 --dry-run"), 0);
	assert_true(w->dry_run);
	assert_false(said(w, "KMS1"));
}

static void shares_that_nobody_could_see_are_not_made(void **state)
{
	struct world *w = *state;

	assert_int_equal(run(w, "init --shares 2/3"), 2);
	assert_int_equal(run(w, "slot add --shares 2/3"), 2);
	assert_int_equal(run(w, "slot add"), 2);
	assert_int_equal(run(w, "slot add tpm --shares-out /tmp"), 2);
	assert_int_equal(run(w, "slot add tpm --qr"), 2);
	assert_int_equal(run(w, "init --slot tpm --png"), 2);
	assert_int_equal(w->fake.requests, 0);
	/* The state has one slot only, and that makes no shares. */
	assert_int_equal(run(w, "root rotate --yes --shares-out /tmp"), 2);
	assert_int_equal(run(w, "root rotate --yes --qr"), 2);
	assert_int_equal(w->changes, 0);
}

static void a_kmsd_without_shares_is_found_out(void **state)
{
	struct world *w = *state;

	w->no_shares = true;
	assert_int_equal(run(w, "init --json --shares 2/3"), 8);
	assert_true(said(w, "0 shares instead of 3"));
}

static void a_share_joins_a_ceremony(void **state)
{
	struct world *w = *state;
	char path[2 * FOLDER_PATH], line[4 * FOLDER_PATH];

	folder_file(&w->folder, "share", path);
	file_write(path, bytes_of_str(vector_texts[0]));
	w->missing = true;
	(void)snprintf(line, sizeof(line),
	    "unseal --json --share %s --ceremony ab010000000000000000000000000000", path);
	assert_int_equal(run(w, line), 0);
	assert_string_equal(w->share, vector_texts[0]);
	assert_true(said(w, "\"sealed\":true"));
	assert_true(said(w, "\"nonce\":\"ab010000000000000000000000000000\""));
	assert_true(said(w, "\"needed\":3,\"have\":2"));
	w->missing = false;
	assert_int_equal(run(w, line), 0);
	assert_true(said(w, "\"state\":\"unsealed\""));
	assert_int_equal(run(w, "unseal --json --cancel"), 0);
	assert_true(w->flag);
	assert_true(said(w, "\"state\":\"sealed\""));
	assert_int_equal(run(w, "unseal -q --slot tpm --accept-restore"), 0);
	assert_true(w->flag);
	assert_string_equal(w->slot, "tpm");
}

static void ceremonies_are_asked_for_in_one_way(void **state)
{
	static const char *const wrong[] = { "unseal --share a --share b",
		"unseal --cancel --share a", "unseal --slot tpm --share a",
		"unseal --slot tpm --cancel", "unseal --ceremony ab010000000000000000000000000000",
		"unseal --cancel --ceremony xb010000000000000000000000000000",
		"unseal --cancel --ceremony ab01", "unseal --share /nonexistent/share" };
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_int_equal(run(w, wrong[i]), 2);
	/* stdin has none. */
	assert_int_equal(run(w, "unseal --share -"), 5);
	assert_int_equal(w->fake.requests, 0);
}

static void what_is_final_wants_yes(void **state)
{
	struct world *w = *state;

	assert_int_equal(run(w, "slot remove tpm"), 2);
	assert_int_equal(run(w, "root rotate"), 2);
	assert_int_equal(w->changes, 0);
	assert_int_equal(run(w, "slot remove -q tpm --yes --rely-on-shares"), 0);
	assert_int_equal(w->op, OP_SLOT_REMOVE);
	assert_true(w->flag);
	assert_int_equal(run(w, "slot remove -q tpm --dry-run"), 0);
	assert_true(w->dry_run);
}

static void a_rotation_is_told_and_done(void **state)
{
	struct world *w = *state;

	assert_int_equal(run(w, "root rotate --json --yes --store --leave-out a --leave-out b"), 0);
	assert_int_equal(w->op, OP_ROOT_ROTATE);
	assert_int_equal(w->left_out, 2);
	assert_true(w->flag);
	assert_true(said(w, "KMS1"));
	assert_int_equal(run(w, "root rotate --json --dry-run"), 0);
	assert_true(w->dry_run);
	/* Shares that nobody expected do not go into a pipe, and it says so. */
	assert_int_equal(run(w, "root rotate -q --yes"), 7);
	assert_false(said(w, "KMS1"));
}

static void a_backup_that_is_bad_ends_badly(void **state)
{
	struct world *w = *state;

	assert_int_equal(run(w, "backup verify --json one"), 5);
	assert_true(said(w, "\"backup\":\"one\",\"state\":\"cut_off\""));
	assert_true(said(w, "\"slots\":[\"tpm\",\"shares\"]"));
	assert_int_equal(run(w, "backup list -q"), 0);
	assert_true(said(w, "one\n"));
	assert_int_equal(run(w, "backup create -q"), 0);
	assert_int_equal(w->op, OP_BACKUP_CREATE);
	assert_int_equal(run(w, "backup restore -q one"), 0);
	assert_int_equal(w->op, OP_BACKUP_RESTORE);
}

static void a_dry_run_makes_and_restores_nothing(void **state)
{
	struct world *w = *state;

	assert_int_equal(run(w, "backup create --json --dry-run"), 0);
	assert_true(said(w, "\"dry_run\":true"));
	assert_int_equal(w->changes, 0);
	assert_int_equal(run(w, "backup restore --json --dry-run one"), 0);
	assert_true(w->op == OP_BACKUP_RESTORE && w->dry_run);
	assert_true(said(w, "\"backup\":\"one\""));
	assert_int_equal(run(w, "backup restore one"), 0);
	assert_false(w->dry_run);
	/* It has a root key. */
	assert_int_equal(run(w, "init --json --dry-run"), 6);
}

static void a_destruction_tells_of_backups(void **state)
{
	struct world *w = *state;

	w->key = (struct key_info){
		.key = TEXT("rec"), .state = TEXT("destroyed"), .backed_up_until_us = 1000000
	};
	assert_int_equal(run(w, "key destroy rec --yes --json"), 0);
	assert_true(said(w, "\"backed_up_until\":\"1970-01-01T00:00:01"));
	w->key.backed_up_until_us = UINT64_MAX;
	assert_int_equal(run(w, "key destroy rec --yes"), 0);
	assert_true(said(w, "in backups until  never"));
	assert_int_equal(run(w, "key destroy rec --yes --json"), 0);
	assert_true(said(w, "\"backed_up_until\":\"never\""));
}

static void nothing_is_told_of_backups_that_are_not(void **state)
{
	struct world *w = *state;

	w->key = (struct key_info){ .key = TEXT("rec"), .state = TEXT("destroyed") };
	assert_int_equal(run(w, "key destroy rec --yes --json"), 0);
	assert_false(said(w, "backed_up_until"));
	assert_int_equal(run(w, "key destroy rec --yes"), 0);
	assert_false(said(w, "in backups"));
}

static void status_and_doctor_say_what_is_wrong(void **state)
{
	struct world *w = *state;

	assert_int_equal(run(w, "status"), 0);
	assert_true(said(w, "0, not checked"));
	assert_true(said(w, "2 of 3 shares are here, until 1970-01-01 00:00:01 UTC"));
	assert_true(said(w, "never (late)"));
	assert_int_equal(run(w, "status --json"), 0);
	assert_true(said(w, "\"backup_state\":\"late\""));
	(void)run(w, "doctor");
	assert_true(said(w, "one slot is one loss from nothing"));
	assert_true(said(w, "late, the last one was on no day yet"));
	assert_true(said(w, "the last one failed: The file is cut off."));
	assert_true(said(w, "not checked since the start"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define IN_WORLD(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
		IN_WORLD(shares_are_asked_for_and_given_on),
		IN_WORLD(shares_that_nobody_could_see_are_not_made),
		IN_WORLD(a_kmsd_without_shares_is_found_out),
		IN_WORLD(a_share_joins_a_ceremony),
		IN_WORLD(ceremonies_are_asked_for_in_one_way),
		IN_WORLD(what_is_final_wants_yes),
		IN_WORLD(a_rotation_is_told_and_done),
		IN_WORLD(a_backup_that_is_bad_ends_badly),
		IN_WORLD(a_dry_run_makes_and_restores_nothing),
		IN_WORLD(a_destruction_tells_of_backups),
		IN_WORLD(nothing_is_told_of_backups_that_are_not),
		IN_WORLD(status_and_doctor_say_what_is_wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
