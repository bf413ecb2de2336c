/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Restoring a backup into an empty keeper, with and without the log: what was wrapped opens, what
 * was destroyed stays so.
 */
#include "tests/unit/keeper_backups.h"

#include <dirent.h>

static void a_restored_store_opens_what_was_wrapped(void **state)
{
	struct world *w = *state;
	uint8_t room[WRAPPED_MAX], before[32], after[32];
	struct bytes blob = issue(w, "rec", room);
	prove(w, "rec", before);
	const struct backup_name name = make_backup(w);
	burn(w, true);
	restore(w, &name);
	assert_int_equal(unwrap(w, blob), KMS_OK);
	prove(w, "rec", after);
	assert_memory_equal(before, after, sizeof(before));
	/* No hardware counts for it, until a slot is made. */
	assert_int_equal(ask_key(w, OP_STATUS, ""), KMS_OK);
	assert_true(bytes_equal(w->a.u.status.counter_state, bytes_of_str("none")));
	/* And it is a store like any other. */
	stop(w);
	start_again(w);
	rig_until(&w->rig, ROOT_UNSEALED);
	assert_int_equal(unwrap(w, blob), KMS_OK);
}

static void what_was_destroyed_stays_destroyed(void **state)
{
	struct world *w = *state;
	uint8_t room[3][WRAPPED_MAX];
	assert_int_equal(ask_key(w, OP_KEY_CREATE, "other"), KMS_OK);
	struct bytes first = issue(w, "rec", room[0]), other = issue(w, "other", room[2]);
	assert_int_equal(ask_key(w, OP_KEY_ROTATE, "rec"), KMS_OK);
	struct bytes second = issue(w, "rec", room[1]);
	const struct backup_name name = make_backup(w);
	assert_int_equal(destroy(w, "rec", 1), KMS_OK);
	assert_int_equal(destroy(w, "other", 0), KMS_OK);
	burn(w, false);
	restore(w, &name);
	assert_int_equal(unwrap(w, first), KMS_E_DESTROYED);
	assert_int_equal(unwrap(w, other), KMS_E_DESTROYED);
	assert_int_equal(unwrap(w, second), KMS_OK);
	stop(w);
	start_again(w);
	rig_until(&w->rig, ROOT_UNSEALED);
	assert_int_equal(unwrap(w, first), KMS_E_DESTROYED);
	assert_int_equal(unwrap(w, second), KMS_OK);
}

/* Two made in the same second would have one name. */
static struct backup_name make_backup_as(struct world *w, const char *name)
{
	char from[512], to[512];
	const struct backup_name made = make_backup(w);
	struct backup_name out = { 0 };
	(void)snprintf(from, sizeof(from), "%s/%s", w->rig.config.backup, made.s);
	(void)snprintf(to, sizeof(to), "%s/%s", w->rig.config.backup, name);
	assert_int_equal(rename(from, to), 0);
	(void)snprintf(out.s, sizeof(out.s), "%s", name);
	return out;
}

static void a_lost_version_keeps_its_number(void **state)
{
	struct world *w = *state;
	uint8_t room[WRAPPED_MAX];
	const struct backup_name old = make_backup_as(w, "old");
	assert_int_equal(ask_key(w, OP_KEY_ROTATE, "rec"), KMS_OK);
	struct bytes second = issue(w, "rec", room);
	const struct backup_name new = make_backup_as(w, "new");
	burn(w, false);
	restore(w, &old);
	assert_int_equal(unwrap(w, second), KMS_E_DESTROYED);
	assert_int_equal(ask_key(w, OP_KEY_ROTATE, "rec"), KMS_OK);
	assert_int_equal(w->a.u.key.version, 3);
	assert_int_equal(destroy(w, "rec", 3), KMS_OK);
	/* Its destruction is not that of the second version, which the newer backup holds. */
	burn(w, false);
	restore(w, &new);
	assert_int_equal(unwrap(w, second), KMS_OK);
	assert_int_equal(ask_key(w, OP_KEY_ROTATE, "rec"), KMS_OK);
	assert_int_equal(w->a.u.key.version, 4);
}

static void copy_file(int from_dir, int to_dir, const char *name)
{
	int from = openat(from_dir, name, O_RDONLY | O_CLOEXEC);
	int to = openat(to_dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	ssize_t n;
	assert_true(from >= 0 && to >= 0);
	while ((n = copy_file_range(from, NULL, to, NULL, 1 << 20, 0)) > 0)
		continue;
	assert_int_equal(n, 0);
	(void)close(from);
	(void)close(to);
}

static void copy_folder(const char *from, const char *to)
{
	assert_int_equal(mkdir(to, 0700), 0);
	DIR *d = opendir(from);
	int target = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(d != NULL && target >= 0);
	for (const struct dirent *e; (e = readdir(d)) != NULL;) /* NOLINT(concurrency-mt-unsafe) */
		if (e->d_type == DT_REG)
			copy_file(dirfd(d), target, e->d_name);
	(void)closedir(d);
	(void)close(target);
}

/* The folders as they are at this moment: what a crash now would leave. */
static void photograph(const struct world *w)
{
	char to[512];
	(void)snprintf(to, sizeof(to), "%s/store.now", w->rig.dir);
	copy_folder(w->rig.config.store, to);
	(void)snprintf(to, sizeof(to), "%s/audit.now", w->rig.dir);
	copy_folder(w->rig.config.audit, to);
}

static void crash_to_photograph(struct world *w)
{
	char from[128], to[128];
	static const char *const folders[] = { "store", "audit" };
	stop(w);
	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		(void)snprintf(to, sizeof(to), "%s/%s", w->rig.dir, folders[i]);
		(void)snprintf(from, sizeof(from), "%s/%s.now", w->rig.dir, folders[i]);
		(void)nftw(to, rig_remove_one, 8, FTW_DEPTH | FTW_PHYS);
		assert_int_equal(rename(from, to), 0);
	}
	start_again(w);
}

/* The store has it, the last record has not been written, nobody has been answered. */
static void a_destruction_that_was_cut_off_stays_one(void **state)
{
	struct world *w = *state;
	uint8_t room[WRAPPED_MAX];
	AUTO(buf_done) struct buf frame = { 0 };
	const struct request q = { .id = 1, .op = OP_KEY_DESTROY, .key = bytes_of_str("rec") };
	struct bytes blob = issue(w, "rec", room);
	const struct backup_name name = make_backup(w);
	int fd = rig_connect(&w->rig);
	assert_int_equal(request_encode(&q, &frame), KMS_OK);
	assert_int_equal(send(fd, frame.p, frame.n, MSG_NOSIGNAL), frame.n);
	const struct key *key = ring_find(w->rig.k.ring, bytes_of_str("rec"));
	while (key->versions[0].state != STATE_DESTROYED)
		assert_true(keeper_turn(&w->rig.k));
	photograph(w);
	(void)close(fd);
	crash_to_photograph(w);
	rig_until(&w->rig, ROOT_UNSEALED);
	burn(w, false);
	restore(w, &name);
	assert_int_equal(unwrap(w, blob), KMS_E_DESTROYED);
}

static void uses_beyond_the_backup_are_counted(void **state)
{
	struct world *w = *state;
	uint8_t room[WRAPPED_MAX];
	const struct backup_name name = make_backup(w);
	for (int i = 0; i < 5; i++)
		(void)issue(w, "rec", room);
	const struct key *key = ring_find(w->rig.k.ring, bytes_of_str("rec"));
	uint64_t reserved = key->versions[0].reserved.issued;
	burn(w, false);
	restore(w, &name);
	key = ring_find(w->rig.k.ring, bytes_of_str("rec"));
	assert_true(key->versions[0].used.issued >= reserved);
}

static void a_lost_log_is_told(void **state)
{
	struct world *w = *state;
	const struct backup_name name = make_backup(w);
	burn(w, true);
	assert_int_equal(ask_backup(w, OP_BACKUP_RESTORE, &name), KMS_OK);
	assert_non_null(memmem(
	    w->a.u.backups.p[0].detail.p, w->a.u.backups.p[0].detail.n, "can't be known", 14));
	assert_int_equal(ask_key(w, OP_STATUS, ""), KMS_OK);
	assert_true(bytes_equal(w->a.u.status.restoring, bytes_of_str(name.s)));
}

static void only_an_empty_keeper_restores(void **state)
{
	struct world *w = *state;
	const struct backup_name name = make_backup(w);
	assert_int_equal(ask_backup(w, OP_BACKUP_RESTORE, &name), KMS_E_INITIALISED);
	burn(w, false);
	assert_int_equal(ask_key(w, OP_BACKUP_RESTORE, "none"), KMS_E_NOT_FOUND);
	assert_int_equal(ask_key(w, OP_BACKUP_RESTORE, "a/b"), KMS_E_BAD_NAME);
	/* Whoever fails to name one may still make a new instance. */
	assert_int_equal(ask_key(w, OP_INIT, ""), KMS_OK);
	assert_int_equal(ask_backup(w, OP_BACKUP_RESTORE, &name), KMS_E_INITIALISED);
}

#define WITH_WORLD(f) cmocka_unit_test_setup_teardown(f, world_set_up, world_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_WORLD(a_restored_store_opens_what_was_wrapped),
		WITH_WORLD(what_was_destroyed_stays_destroyed),
		WITH_WORLD(a_lost_version_keeps_its_number),
		WITH_WORLD(a_destruction_that_was_cut_off_stays_one),
		WITH_WORLD(uses_beyond_the_backup_are_counted),
		WITH_WORLD(a_lost_log_is_told),
		WITH_WORLD(only_an_empty_keeper_restores),
	};
	return cmocka_run_group_tests_name("keeper_restore", tests, NULL, NULL);
}
