/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One byte of what a keeper finds at its start was changed: in its store's file, in the row of a
 * slot, in the backup that it is to restore. Each is refused by name, or does no harm: then
 * everything that was wrapped opens. KMS_TEST_LONG=1 tries 10,000 bytes.
 */
#include "tests/unit/keeper_world.h"

#include "kms/keeper/root_private.h"
#include "kms/store/sqlite.h"
#include "tests/unit/dice.h"
#include "tests/unit/folder.h"

enum {
	TRIES = 800, /* of all four together */
	LONG_TRIES = 10000,
	BLOBS = 24,
	WRAPPED_ROOM = 160,
	CLEAR_LEN = 32,
	FILES_MAX = 8
};

/* The files of one folder, in memory. */
struct copy {
	char name[FILES_MAX][64];
	struct buf bytes[FILES_MAX];
	size_t n;
};

struct bench {
	struct world *w;
	struct dice dice;
	struct copy store, log;
	struct copy live_store, live_log; /* as kill -9 leaves them */
	char backup[NAME_MAX_LEN + 1];
	struct buf backup_bytes;
	uint64_t counter;
	bool running; /* also when a check has failed in the middle */
	struct {
		uint8_t wrapped[WRAPPED_ROOM], clear[CLEAR_LEN];
		size_t n;
	} blobs[BLOBS];
	unsigned refused, harmless;
	size_t at; /* the byte that was changed */
	unsigned named[KMS_ERR_COUNT];
};

static void copy_one(const char *path, void *arg)
{
	struct copy *c = arg;
	assert_true(c->n < FILES_MAX);
	(void)snprintf(c->name[c->n], sizeof(c->name[0]), "%s", strrchr(path, '/') + 1);
	file_read(path, &c->bytes[c->n++]);
}

static void take_copy(const char *path, struct copy *out)
{
	struct folder f;
	(void)snprintf(f.path, sizeof(f.path), "%s", path);
	folder_each(&f, copy_one, out);
}

static void empty_folder(const char *path)
{
	(void)nftw(path, rig_remove_one, 8, FTW_DEPTH | FTW_PHYS);
	assert_int_equal(mkdir(path, 0700), 0);
}

static void put_back(const char *path, const struct copy *c)
{
	char file[512];
	empty_folder(path);
	for (size_t i = 0; i < c->n; i++) {
		(void)snprintf(file, sizeof(file), "%s/%s", path, c->name[i]);
		file_write(file, buf_bytes(&c->bytes[i]));
	}
}

static void copy_done(struct copy *c)
{
	for (size_t i = 0; i < c->n; i++)
		buf_done(&c->bytes[i]);
}

static struct buf *file_in(struct copy *c, const char *name)
{
	for (size_t i = 0; i < c->n; i++)
		if (strcmp(c->name[i], name) == 0)
			return &c->bytes[i];
	fail_msg("no %s", name);
	return NULL;
}

static struct buf *store_file(struct bench *b)
{
	return file_in(&b->store, "store.db");
}

/* ---- One trial ---------------------------------------------------------------------------- */

static bool is_opening(const struct root *r)
{
	return root_state(r) == ROOT_OPENING ||
	       (root_state(r) == ROOT_BROKEN && root_last(r) == KMS_E_STOPPING);
}

static void start(struct bench *b)
{
	struct rig *r = &b->w->rig;
	fake_chip.counter = b->counter;
	assert_int_equal(rig_start(r), KMS_OK);
	while (is_opening(r->k.root))
		CHECK(keeper_turn(&r->k));
	b->w->fd = rig_connect(r);
	b->running = true;
}

static void stop(struct bench *b)
{
	b->running = false;
	(void)close(b->w->fd);
	rig_stop(&b->w->rig);
}

/* Everything that was wrapped opens, and new keys can be had. */
static void is_whole(struct bench *b)
{
	struct item items[BLOBS];
	for (size_t i = 0; i < BLOBS; i++)
		items[i] = (struct item){ .data = bytes_of(b->blobs[i].wrapped, b->blobs[i].n) };
	assert_int_equal(
	    ask(b->w, (struct request){ .op = OP_UNWRAP, .items = items, .item_count = BLOBS }),
	    KMS_OK);
	for (size_t i = 0; i < BLOBS; i++) {
		const struct item_result *got = &b->w->a.u.items.p[i];
		assert_int_equal(got->error.err, KMS_OK);
		assert_int_equal(got->plaintext.n, CLEAR_LEN);
		assert_memory_equal(got->plaintext.p, b->blobs[i].clear, CLEAR_LEN);
	}
}

/* Refused with a word that says what is wrong; nothing is handed out. */
static void is_refused(struct bench *b, kms_err e)
{
	assert_int_not_equal(e, KMS_OK);
	assert_int_not_equal(e, KMS_E_INTERNAL);
	assert_int_not_equal(ask_key(b->w, OP_ISSUE, "rec"), KMS_OK);
	b->refused++;
	b->named[e]++;
}

static void judge(struct bench *b)
{
	const struct root *r = b->w->rig.k.root;
	if (r->state == ROOT_UNINITIALISED)
		print_error("byte %zu changed: the store looks empty\n", b->at);
	/* An empty store would be given a new root, and the old one's keys forgotten. */
	assert_int_not_equal(r->state, ROOT_UNINITIALISED);
	if (r->state != ROOT_UNSEALED) {
		is_refused(b, root_last(r));
		return;
	}
	is_whole(b);
	b->harmless++;
}

static void try_file(struct bench *b, struct copy *store, const struct copy *log, const char *name)
{
	struct buf *file = file_in(store, name);
	uint8_t flip = (uint8_t)(1 + dice_below(&b->dice, 255));
	file->p[b->at] ^= flip;
	put_back(b->w->rig.config.store, store);
	file->p[b->at] ^= flip;
	put_back(b->w->rig.config.audit, log);
	start(b);
	judge(b);
	stop(b);
}

static void try_store(struct bench *b, size_t at)
{
	b->at = at;
	try_file(b, &b->store, &b->log, "store.db");
}

static void try_backup(struct bench *b, size_t at)
{
	char path[512];
	uint8_t flip = (uint8_t)(1 + dice_below(&b->dice, 255));
	(void)snprintf(path, sizeof(path), "%s/%s", b->w->rig.config.backup, b->backup);
	b->backup_bytes.p[at] ^= flip;
	file_write(path, buf_bytes(&b->backup_bytes));
	b->backup_bytes.p[at] ^= flip;
	empty_folder(b->w->rig.config.store);
	put_back(b->w->rig.config.audit, &b->log);
	start(b);
	assert_int_equal(root_state(b->w->rig.k.root), ROOT_UNINITIALISED);
	kms_err e = ask_key(b->w, OP_BACKUP_RESTORE, b->backup);
	if (e == KMS_OK)
		e = ask_key(b->w, OP_UNSEAL, "");
	is_refused(b, e);
	stop(b);
}

/* ---- The bench ---------------------------------------------------------------------------- */

static void fill_blobs(struct bench *b)
{
	for (size_t i = 0; i < BLOBS; i++) {
		assert_int_equal(ask_key(b->w, OP_ISSUE, "rec"), KMS_OK);
		const struct item_result *got = &b->w->a.u.items.p[0];
		assert_true(got->wrapped.n <= WRAPPED_ROOM);
		b->blobs[i].n = got->wrapped.n;
		memcpy(b->blobs[i].wrapped, got->wrapped.p, got->wrapped.n);
		memcpy(b->blobs[i].clear, got->plaintext.p, CLEAR_LEN);
		if (i % 6 == 0)
			assert_int_equal(ask_key(b->w, OP_KEY_ROTATE, "rec"), KMS_OK);
	}
}

static int bench_set_up(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	void *world = NULL;
	char path[512];
	assert_non_null(b);
	assert_int_equal(world_set_up(&world), 0);
	b->w = world;
	b->dice = dice_of(1);
	assert_int_equal(
	    ask(b->w, (struct request){ .op = OP_SLOT_ADD, .slot = bytes_of_str("hsm") }), KMS_OK);
	fill_blobs(b);
	assert_int_equal(ask_key(b->w, OP_BACKUP_CREATE, ""), KMS_OK);
	struct bytes name = b->w->a.u.backups.p[0].name;
	memcpy(b->backup, name.p, name.n);
	take_copy(b->w->rig.config.store, &b->live_store);
	take_copy(b->w->rig.config.audit, &b->live_log);
	stop(b);
	(void)snprintf(path, sizeof(path), "%s/%s", b->w->rig.config.backup, b->backup);
	file_read(path, &b->backup_bytes);
	take_copy(b->w->rig.config.store, &b->store);
	take_copy(b->w->rig.config.audit, &b->log);
	b->counter = fake_chip.counter;
	*state = b;
	return 0;
}

static int bench_tear_down(void **state)
{
	struct bench *b = *state;
	void *world = b->w;
	if (b->running)
		stop(b);
	put_back(b->w->rig.config.store, &b->store);
	put_back(b->w->rig.config.audit, &b->log);
	start(b);
	copy_done(&b->store);
	copy_done(&b->log);
	copy_done(&b->live_store);
	copy_done(&b->live_log);
	buf_done(&b->backup_bytes);
	free(b);
	return world_tear_down(&world);
}

static size_t tries(void)
{
	const char *is_long = getenv("KMS_TEST_LONG");
	size_t n = is_long != NULL && strcmp(is_long, "1") == 0 ? LONG_TRIES : TRIES;
	return n / 4;
}

static void tell(const struct bench *b, const char *what)
{
	print_message("%s: %u bytes, %u refused, %u harmless:", what, b->refused + b->harmless,
	    b->refused, b->harmless);
	for (size_t e = 0; e < ARRAY_LEN(b->named); e++)
		if (b->named[e] > 0)
			print_message(" %s %u", err_name((kms_err)e), b->named[e]);
	print_message("\n");
}

static void undamaged_files_are_whole(void **state)
{
	struct bench *b = *state;
	put_back(b->w->rig.config.store, &b->store);
	put_back(b->w->rig.config.audit, &b->log);
	start(b);
	judge(b);
	stop(b);
	assert_int_equal(b->harmless, 1);
	empty_folder(b->w->rig.config.store);
	put_back(b->w->rig.config.audit, &b->log);
	start(b);
	assert_int_equal(ask_key(b->w, OP_BACKUP_RESTORE, b->backup), KMS_OK);
	assert_int_equal(ask_key(b->w, OP_UNSEAL, ""), KMS_OK);
	is_whole(b);
	stop(b);
}

static void a_damaged_store_is_named_or_harmless(void **state)
{
	struct bench *b = *state;
	for (size_t n = tries(); n > 0; n--)
		try_store(b, dice_below(&b->dice, store_file(b)->n));
	tell(b, "store");
	assert_true(b->refused > 0);
}

static void drop_row(struct bench *b, enum store_table table, const char *key)
{
	char path[512];
	struct store *s = NULL;
	const struct store_write w = { .table = table, .key = bytes_of_str(key) };
	(void)snprintf(path, sizeof(path), "%s/store.db", b->w->rig.config.store);
	put_back(b->w->rig.config.store, &b->store);
	put_back(b->w->rig.config.audit, &b->log);
	assert_int_equal(sqlite_store_open(path, &s), KMS_OK);
	assert_int_equal(store_begin(s), KMS_OK);
	assert_int_equal(store_put(s, &w), KMS_OK);
	assert_int_equal(store_commit(s), KMS_OK);
	store_close(&s);
}

/* Each of these is written once, with everything else: alone it can't be missing. */
static void a_store_without_its_head_is_not_empty(void **state)
{
	struct bench *b = *state;
	static const struct {
		enum store_table table;
		const char *key;
		kms_err e;
	} rows[] = { { TABLE_ROOT, "keyring", KMS_E_STORE_CORRUPT },
		{ TABLE_META, "instance", KMS_E_STORE_CORRUPT },
		{ TABLE_META, "owner", KMS_E_ROW_ROLLBACK },
		{ TABLE_EPOCH, "epoch", KMS_E_ROW_ROLLBACK } };
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		drop_row(b, rows[i].table, rows[i].key);
		start(b);
		judge(b);
		assert_int_equal(root_last(b->w->rig.k.root), rows[i].e);
		assert_int_not_equal(ask_key(b->w, OP_INIT, ""), KMS_OK);
		stop(b);
	}
}

static void a_damaged_wal_is_named_or_harmless(void **state)
{
	struct bench *b = *state;
	static const char *const names[] = { "store.db-wal", "store.db" };
	for (size_t n = tries(); n > 0; n--) {
		const char *name = names[dice_below(&b->dice, 4) == 0];
		b->at = dice_below(&b->dice, file_in(&b->live_store, name)->n);
		try_file(b, &b->live_store, &b->live_log, name);
	}
	tell(b, "killed");
	assert_true(b->refused > 0);
}

static void a_damaged_slot_is_named(void **state)
{
	struct bench *b = *state;
	const struct buf *file = store_file(b);
	struct bytes slot[2] = { { 0 } };
	const struct root_rows *rows;
	put_back(b->w->rig.config.store, &b->store);
	put_back(b->w->rig.config.audit, &b->log);
	start(b);
	rows = &b->w->rig.k.root->rows;
	assert_int_equal(rows->slot_n, 2);
	for (size_t i = 0; i < 2; i++) {
		struct bytes row = buf_bytes(&rows->slots[i]);
		slot[i].p = memmem(file->p, file->n, row.p, row.n);
		slot[i].n = row.n;
		assert_non_null(slot[i].p);
	}
	stop(b);
	for (size_t n = tries(); n > 0; n--) {
		size_t i = dice_below(&b->dice, 2);
		CHECK(slot[i].n > 0);
		try_store(b, (size_t)(slot[i].p - file->p) + dice_below(&b->dice, slot[i].n));
	}
	tell(b, "slot");
	assert_int_equal(b->harmless, 0);
}

static void a_damaged_backup_is_named(void **state)
{
	struct bench *b = *state;
	for (size_t n = tries(); n > 0; n--)
		try_backup(b, dice_below(&b->dice, b->backup_bytes.n));
	tell(b, "backup");
}

#define WITH_BENCH(f) cmocka_unit_test_setup_teardown(f, bench_set_up, bench_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_BENCH(undamaged_files_are_whole),
		WITH_BENCH(a_damaged_store_is_named_or_harmless),
		WITH_BENCH(a_store_without_its_head_is_not_empty),
		WITH_BENCH(a_damaged_wal_is_named_or_harmless),
		WITH_BENCH(a_damaged_slot_is_named),
		WITH_BENCH(a_damaged_backup_is_named),
	};
	return cmocka_run_group_tests_name("keeper_damage", tests, NULL, NULL);
}
