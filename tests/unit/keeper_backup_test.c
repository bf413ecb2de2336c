/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backups of a whole keeper: made while it serves, listed, verified, given new doors, kept beside
 * a new store key; and what is remembered of rehearsals.
 */
#include "tests/unit/keeper_backups.h"

static void a_backup_is_made_and_verified(void **state)
{
	struct world *w = *state;
	const struct backup_name name = make_backup(w);
	assert_int_equal(ask_key(w, OP_BACKUP_LIST, ""), KMS_OK);
	assert_int_equal(w->a.u.backups.n, 1);
	assert_true(bytes_equal(w->a.u.backups.p[0].name, bytes_of_str(name.s)));
	assert_int_equal(w->a.u.backups.p[0].slot_n, 1);
	assert_int_equal(ask_backup(w, OP_BACKUP_VERIFY, &name), KMS_OK);
	assert_int_equal(ask_key(w, OP_BACKUP_VERIFY, "none"), KMS_E_NOT_FOUND);
	assert_int_equal(ask_key(w, OP_BACKUP_VERIFY, "../x"), KMS_E_BAD_NAME);
	assert_int_equal(ask_key(w, OP_STATUS, ""), KMS_OK);
	assert_true(w->a.u.status.backup_us > 0);
	assert_true(bytes_equal(w->a.u.status.backup_state, bytes_of_str("ok")));
}

static void send_only(const struct world *w, int fd, enum op op)
{
	AUTO(buf_done) struct buf frame = { 0 };
	const struct request q = { .id = w->id, .op = op };
	assert_int_equal(request_encode(&q, &frame), KMS_OK);
	assert_int_equal(send(fd, frame.p, frame.n, MSG_NOSIGNAL), (ssize_t)frame.n);
}

/* Two ask in one turn of the loop. */
static void one_backup_is_made_at_a_time(void **state)
{
	struct world *w = *state;
	const struct request whoami = { .op = OP_WHOAMI };
	struct answer other;
	int fd = rig_connect(&w->rig);
	assert_int_equal(rig_ask(&w->rig, fd, &whoami, &w->in, &w->arena, &other), KMS_OK);
	send_only(w, fd, OP_BACKUP_CREATE);
	kms_err mine = ask_key(w, OP_BACKUP_CREATE, "");
	assert_int_equal(rig_ask(&w->rig, fd, &whoami, &w->in, &w->arena, &other), KMS_OK);
	kms_err theirs = other.kind == ANSWER_ERROR ? other.error.err : KMS_OK;
	assert_int_equal(mine == KMS_OK ? theirs : mine, KMS_E_BACKUP_WORK);
	(void)close(fd);
	do
		assert_int_equal(ask_key(w, OP_BACKUP_LIST, ""), KMS_OK);
	while (w->a.u.backups.n == 0);
	assert_int_equal(w->a.u.backups.n, 1);
}

static void a_damaged_backup_is_refused(void **state)
{
	struct world *w = *state;
	const struct backup_name name = make_backup(w);
	char path[512];
	uint8_t byte = 0;
	(void)snprintf(path, sizeof(path), "%s/%s", w->rig.config.backup, name.s);
	int fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	off_t last = lseek(fd, -20, SEEK_END);
	assert_int_equal(pread(fd, &byte, 1, last), 1);
	byte ^= 4;
	assert_int_equal(pwrite(fd, &byte, 1, last), 1);
	assert_int_equal(ask_backup(w, OP_BACKUP_VERIFY, &name), KMS_E_BACKUP_DAMAGED);
	assert_int_equal(ftruncate(fd, last), 0);
	assert_int_equal(ask_backup(w, OP_BACKUP_VERIFY, &name), KMS_E_BACKUP_DAMAGED);
	(void)close(fd);
	burn(w, false);
	assert_int_equal(ask_backup(w, OP_BACKUP_RESTORE, &name), KMS_OK);
	assert_int_equal(ask_key(w, OP_UNSEAL, ""), KMS_E_BACKUP_DAMAGED);
	assert_int_equal(ask_key(w, OP_ISSUE, "rec"), KMS_E_SEALED);
}

/* Neither a look nor a slip of the pen does away with what waits to be opened. */
static void a_backup_that_waits_is_not_lost(void **state)
{
	struct world *w = *state;
	const struct backup_name name = make_backup(w);
	burn(w, true);
	const struct request look = {
		.op = OP_BACKUP_RESTORE, .key = bytes_of_str(name.s), .dry_run = true
	};
	assert_int_equal(ask(w, look), KMS_OK);
	assert_true(bytes_equal(w->a.u.backups.p[0].name, bytes_of_str(name.s)));
	assert_true(w->a.u.backups.p[0].size > 0);
	assert_true(bytes_equal(w->a.u.backups.p[0].slots[0].name, bytes_of_str("tpm")));
	assert_int_equal(root_state(w->rig.k.root), ROOT_UNINITIALISED);
	assert_int_equal(ask_key(w, OP_UNSEAL, ""), KMS_E_NOT_INITIALISED);
	assert_int_equal(ask_backup(w, OP_BACKUP_RESTORE, &name), KMS_OK);
	assert_int_equal(ask(w, look), KMS_OK);
	assert_int_equal(ask_key(w, OP_BACKUP_RESTORE, "none"), KMS_E_NOT_FOUND);
	assert_int_equal(root_state(w->rig.k.root), ROOT_SEALED);
	assert_int_equal(ask_key(w, OP_UNSEAL, ""), KMS_OK);
	assert_int_equal(ask(w, look), KMS_E_INITIALISED);
}

/* Turns the loop until what was begun without an answer has happened. */
static void until_current(struct world *w, const struct backup_name *name)
{
	do {
		assert_int_equal(ask_key(w, OP_BACKUP_LIST, ""), KMS_OK);
		assert_true(bytes_equal(w->a.u.backups.p[0].name, bytes_of_str(name->s)));
	} while (!bytes_equal(w->a.u.backups.p[0].state, bytes_of_str("ok")));
}

static void new_slots_and_roots_open_old_backups(void **state)
{
	struct world *w = *state;
	uint8_t room[WRAPPED_MAX];
	struct bytes blob = issue(w, "rec", room);
	const struct backup_name name = make_backup(w);
	assert_int_equal(
	    ask(w, (struct request){ .op = OP_SLOT_ADD, .slot = bytes_of_str("hsm") }), KMS_OK);
	assert_int_equal(ask_key(w, OP_ROOT_ROTATE, ""), KMS_OK);
	until_current(w, &name);
	assert_int_equal(w->a.u.backups.p[0].slot_n, 2);
	burn(w, true);
	fake_chip.fails = KMS_E_TPM_UNREACHABLE;
	restore(w, &name);
	assert_int_equal(unwrap(w, blob), KMS_OK);
	assert_int_equal(w->rig.k.root->rows.slot_n, 2);
	stop(w);
	start_again(w);
	rig_until(&w->rig, ROOT_UNSEALED);
	assert_int_equal(unwrap(w, blob), KMS_OK);
}

/* Everything is sealed anew, and nobody notices but who looks at the file. */
static void a_new_store_key_keeps_everything(void **state)
{
	struct world *w = *state;
	uint8_t room[2][WRAPPED_MAX], before[32], after[32];
	const struct request renew = { .op = OP_ROOT_ROTATE, .renew_store = true };
	assert_int_equal(ask_key(w, OP_KEY_CREATE, "gone"), KMS_OK);
	assert_int_equal(destroy(w, "gone", 0), KMS_OK);
	assert_int_equal(ask(w,
	                     (struct request){
	                         .op = OP_BACKUP_REHEARSED, .key = bytes_of_str("x"), .count = 2 }),
	    KMS_OK);
	struct bytes first = issue(w, "rec", room[0]);
	assert_int_equal(ask_key(w, OP_KEY_ROTATE, "rec"), KMS_OK);
	struct bytes second = issue(w, "rec", room[1]);
	prove(w, "rec", before);
	assert_int_equal(ask(w, renew), KMS_OK);
	assert_int_equal(ask_key(w, OP_KEY_ROTATE, "rec"), KMS_OK);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(unwrap(w, first), KMS_OK);
		assert_int_equal(unwrap(w, second), KMS_OK);
		prove(w, "rec", after);
		assert_memory_equal(before, after, sizeof(before));
		stop(w);
		start_again(w);
		rig_until(&w->rig, ROOT_UNSEALED);
	}
	assert_int_equal(ask_key(w, OP_ISSUE, "gone"), KMS_E_NO_ACTIVE_VERSION);
	assert_int_equal(ask_key(w, OP_STATUS, ""), KMS_OK);
	assert_true(w->a.u.status.rehearsal_us > 0);
}

static void a_backup_is_read_with_its_own_store_key(void **state)
{
	struct world *w = *state;
	uint8_t room[WRAPPED_MAX];
	const struct request renew = { .op = OP_ROOT_ROTATE, .renew_store = true };
	struct bytes blob = issue(w, "rec", room);
	const struct backup_name name = make_backup(w);
	assert_int_equal(ask(w, renew), KMS_OK);
	until_current(w, &name);
	assert_int_equal(ask_backup(w, OP_BACKUP_VERIFY, &name), KMS_OK);
	burn(w, true);
	restore(w, &name);
	assert_int_equal(unwrap(w, blob), KMS_OK);
	stop(w);
	start_again(w);
	rig_until(&w->rig, ROOT_UNSEALED);
	assert_int_equal(unwrap(w, blob), KMS_OK);
}

static void a_foreign_backup_is_not_touched(void **state)
{
	struct world *w = *state;
	const struct backup_name name = make_backup(w);
	burn(w, true);
	assert_int_equal(ask_key(w, OP_INIT, ""), KMS_OK);
	assert_int_equal(ask_key(w, OP_BACKUP_LIST, ""), KMS_OK);
	assert_int_equal(w->a.u.backups.n, 1);
	assert_true(bytes_equal(w->a.u.backups.p[0].state, bytes_of_str("foreign")));
	assert_int_equal(ask_backup(w, OP_BACKUP_VERIFY, &name), KMS_E_BACKUP_DAMAGED);
}

static void a_rehearsal_is_remembered(void **state)
{
	struct world *w = *state;
	const struct request good = {
		.op = OP_BACKUP_REHEARSED, .key = bytes_of_str("kms-x.kmsb"), .count = 3
	};
	struct request bad = good;
	bad.failed = true;
	assert_int_equal(ask(w, good), KMS_OK);
	stop(w);
	start_again(w);
	rig_until(&w->rig, ROOT_UNSEALED);
	assert_int_equal(ask_key(w, OP_STATUS, ""), KMS_OK);
	assert_true(w->a.u.status.rehearsal_us > 0);
	assert_int_equal(ask(w, bad), KMS_OK);
	assert_int_equal(ask_key(w, OP_BACKUP_REHEARSED, ""), KMS_E_BAD_NAME);
}

static void proofs_differ(void **state)
{
	struct world *w = *state;
	uint8_t one[32], other[32];
	const struct request none = { .op = OP_KEY_PROVE,
		.key = bytes_of_str("rec"),
		.version = 9,
		.challenge = bytes_of_str("a challenge of 25 letters") };
	assert_int_equal(ask_key(w, OP_KEY_CREATE, "other"), KMS_OK);
	prove(w, "rec", one);
	prove(w, "other", other);
	assert_memory_not_equal(one, other, sizeof(one));
	assert_int_equal(ask(w, none), KMS_E_NOT_FOUND);
	assert_int_equal(ask_key(w, OP_KEY_PROVE, "rec"), KMS_E_BAD_REQUEST);
	assert_int_equal(destroy(w, "rec", 1), KMS_OK);
	struct request gone = none;
	gone.version = 1;
	assert_int_equal(ask(w, gone), KMS_E_DESTROYED);
}

static void without_a_folder_there_are_no_backups(void **state)
{
	struct world *w = *state;
	stop(w);
	w->rig.config.backup[0] = '\0';
	start_again(w);
	rig_until(&w->rig, ROOT_UNSEALED);
	assert_int_equal(ask_key(w, OP_BACKUP_CREATE, ""), KMS_E_BACKUP_OFF);
	assert_int_equal(ask_key(w, OP_BACKUP_LIST, ""), KMS_E_BACKUP_OFF);
	assert_int_equal(ask_key(w, OP_STATUS, ""), KMS_OK);
	assert_true(bytes_equal(w->a.u.status.backup_state, bytes_of_str("off")));
}

#define WITH_WORLD(f) cmocka_unit_test_setup_teardown(f, world_set_up, world_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_WORLD(a_backup_is_made_and_verified),
		WITH_WORLD(one_backup_is_made_at_a_time),
		WITH_WORLD(a_damaged_backup_is_refused),
		WITH_WORLD(a_backup_that_waits_is_not_lost),
		WITH_WORLD(new_slots_and_roots_open_old_backups),
		WITH_WORLD(a_new_store_key_keeps_everything),
		WITH_WORLD(a_backup_is_read_with_its_own_store_key),
		WITH_WORLD(a_foreign_backup_is_not_touched),
		WITH_WORLD(a_rehearsal_is_remembered),
		WITH_WORLD(proofs_differ),
		WITH_WORLD(without_a_folder_there_are_no_backups),
	};
	return cmocka_run_group_tests_name("keeper_backup", tests, NULL, NULL);
}
