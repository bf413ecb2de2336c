/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole keeper under thousands of random acts: uses and changes of keys, slots that come and go,
 * hardware that fails, new roots, seals, restarts, backups, a store that burns. After each act the
 * keeper must agree with an oracle: what was acknowledged is there, what was refused changed
 * nothing, what was destroyed stays destroyed. The same seed does the same again:
 * KMS_TEST_SEED=N KMS_TEST_ACTS=N.
 */
#include "tests/unit/keeper_world.h"

#include <inttypes.h>
#include <sys/time.h>

#include "kms/keeper/root_private.h"
#include "tests/unit/oracle.h"

enum {
	ACTS = 10000,
	SHARE_COUNT = 3,
	SHARE_LINE = 128,
	SLOW_RIG_US = 40000000 /* where a sanitizer makes all of this slow, fewer acts must do */
};

struct story {
	struct world *w;
	struct oracle oracle;
	struct dice dice;
	bool tpm, hsm, shares; /* slots that there are */
	char lines[SHARE_COUNT][SHARE_LINE];
	unsigned restores, done, refused;
	uint64_t acts;
};

static size_t roll(struct story *s, size_t n)
{
	return dice_below(&s->dice, n);
}

static const char *name_of(size_t key, char out[8])
{
	(void)snprintf(out, 8, "k%zu", key);
	return out;
}

/* Done or refused, as the keeper says; whether that is true is seen afterwards. */
static bool acked(struct story *s, kms_err e)
{
	s->done += e == KMS_OK;
	s->refused += e != KMS_OK;
	return e == KMS_OK;
}

/* ---- What is true after each act ---------------------------------------------------------- */

static void check_blob(
    const struct story *s, const struct oracle_blob *b, const struct item_result *got)
{
	enum key_state state = oracle_state(&s->oracle, b);
	bool opens = state == STATE_ACTIVE || state == STATE_DEACTIVATED;
	if (opens != (got->error.err == KMS_OK))
		print_error("act %" PRIu64 ": k%zu version %" PRIu32
		            " is %s, its blob's answer: %s\n",
		    s->acts, b->key, b->number, state_name(state), err_name(got->error.err));
	switch (state) {
	case STATE_ACTIVE:
	case STATE_DEACTIVATED:
		assert_int_equal(got->error.err, KMS_OK);
		assert_int_equal(got->plaintext.n, ORACLE_CLEAR);
		assert_memory_equal(got->plaintext.p, b->clear, ORACLE_CLEAR);
		break;
	case STATE_DESTROYED: assert_int_equal(got->error.err, KMS_E_DESTROYED); break;
	default: assert_int_not_equal(got->error.err, KMS_OK); break;
	}
}

static void check_blobs(struct story *s)
{
	static struct item items[ORACLE_BLOBS];
	const struct oracle *o = &s->oracle;
	if (o->blob_n == 0)
		return;
	for (size_t i = 0; i < o->blob_n; i++)
		items[i] = (struct item){ .data = bytes_of(o->blobs[i].wrapped, o->blobs[i].n) };
	(void)ask(
	    s->w, (struct request){ .op = OP_UNWRAP, .items = items, .item_count = o->blob_n });
	assert_int_equal(s->w->a.kind, ANSWER_ITEMS);
	assert_int_equal(s->w->a.u.items.n, o->blob_n);
	for (size_t i = 0; i < o->blob_n; i++)
		check_blob(s, &o->blobs[i], &s->w->a.u.items.p[i]);
}

static void check_key(struct story *s, size_t i)
{
	char name[8];
	struct oracle_key *k = &s->oracle.keys[i];
	kms_err e = ask_key(s->w, OP_KEY_SHOW, name_of(i, name));
	assert_int_equal(e, k->here ? KMS_OK : KMS_E_NOT_FOUND);
	if (!k->here)
		return;
	const struct key_info *info = &s->w->a.u.key;
	for (size_t n = 0, live = 0; n < info->version_n; n++) {
		const struct version_info *v = &info->versions[n];
		const struct oracle_version *own = oracle_version(k, v->version);
		live += own != NULL;
		if (n + 1 == info->version_n)
			assert_int_equal(live, k->n);
		enum key_state state = own != NULL ? own->state : STATE_DESTROYED;
		assert_true(bytes_equal(v->state, bytes_of_str(state_name(state))));
	}
}

static void check_slots(struct story *s)
{
	assert_int_equal(ask_key(s->w, OP_SLOT_LIST, ""), KMS_OK);
	assert_int_equal(s->w->a.u.slots.n, s->tpm + s->hsm + s->shares);
}

static void check(struct story *s)
{
	check_blobs(s);
	check_key(s, roll(s, ORACLE_KEYS));
	check_slots(s);
}

static void check_all(struct story *s)
{
	check(s);
	for (size_t i = 0; i < ORACLE_KEYS; i++)
		check_key(s, i);
}

/* ---- Opening ------------------------------------------------------------------------------ */

static bool hardware_opens(const struct story *s)
{
	return (s->tpm && fake_chip.fails == KMS_OK) || (s->hsm && fake_token.fails == KMS_OK);
}

static void people_open(struct story *s)
{
	size_t first = roll(s, SHARE_COUNT);
	for (size_t i = 0; i < 2; i++) {
		const char *line = s->lines[(first + i) % SHARE_COUNT];
		assert_int_equal(
		    ask(s->w, (struct request){ .op = OP_UNSEAL, .share = bytes_of_str(line) }),
		    KMS_OK);
	}
	assert_int_equal(s->w->a.kind, ANSWER_DONE);
}

/* By whatever opens; where nothing does, that is said, and the hardware is mended. */
static void open_up(struct story *s)
{
	if (root_state(s->w->rig.k.root) != ROOT_SEALED)
		return;
	if (!hardware_opens(s) && s->shares) {
		people_open(s);
		return;
	}
	if (!hardware_opens(s)) {
		assert_int_not_equal(ask_key(s->w, OP_UNSEAL, ""), KMS_OK);
		fake_chip.fails = fake_token.fails = KMS_OK;
	}
	assert_int_equal(ask_key(s->w, OP_UNSEAL, ""), KMS_OK);
}

static void stop(struct story *s)
{
	(void)close(s->w->fd);
	rig_stop(&s->w->rig);
}

static void start(struct story *s)
{
	const struct root *root;
	assert_int_equal(rig_start(&s->w->rig), KMS_OK);
	s->w->fd = rig_connect(&s->w->rig);
	root = s->w->rig.k.root;
	while (root->state == ROOT_OPENING || root->state == ROOT_BROKEN)
		CHECK(keeper_turn(&s->w->rig.k));
}

/* ---- Acts on keys ------------------------------------------------------------------------- */

static void act_issue(struct story *s)
{
	char name[8];
	struct oracle_blob b = { .key = roll(s, ORACLE_KEYS) };
	struct oracle_key *k = &s->oracle.keys[b.key];
	kms_err e = ask_key(s->w, OP_ISSUE, name_of(b.key, name));
	const struct oracle_version *v = oracle_active(k);
	assert_int_equal(e == KMS_OK, k->here && v != NULL);
	if (!acked(s, e) || v == NULL)
		return;
	const struct item_result *got = &s->w->a.u.items.p[0];
	assert_int_equal(got->version, v->number);
	assert_true(got->wrapped.n <= ORACLE_WRAPPED && got->plaintext.n == ORACLE_CLEAR);
	b.key_serial = k->serial;
	b.serial = v->serial;
	b.number = v->number;
	b.n = got->wrapped.n;
	memcpy(b.wrapped, got->wrapped.p, b.n);
	memcpy(b.clear, got->plaintext.p, ORACLE_CLEAR);
	oracle_note_blob(&s->oracle, &s->dice, &b);
}

static void act_create(struct story *s)
{
	char name[8];
	size_t i = roll(s, ORACLE_KEYS);
	struct oracle_key *k = &s->oracle.keys[i];
	kms_err e = ask_key(s->w, OP_KEY_CREATE, name_of(i, name));
	assert_int_equal(e, k->here ? KMS_E_EXISTS : KMS_OK);
	if (acked(s, e))
		oracle_create(&s->oracle, k);
}

static void act_rotate(struct story *s)
{
	char name[8];
	size_t i = roll(s, ORACLE_KEYS);
	struct oracle_key *k = &s->oracle.keys[i];
	if (k->n == ORACLE_VERSIONS)
		return;
	kms_err e = ask_key(s->w, OP_KEY_ROTATE, name_of(i, name));
	assert_int_equal(e, k->here ? KMS_OK : KMS_E_NOT_FOUND);
	if (acked(s, e))
		oracle_rotate(&s->oracle, k, s->w->a.u.key.version);
}

static void apply_move(struct story *s, enum op op, struct oracle_key *k, uint32_t number)
{
	if (op == OP_KEY_DESTROY) {
		oracle_destroy(&s->oracle, k, number);
		return;
	}
	struct oracle_version *v = oracle_version(k, number);
	assert_non_null(v);
	if (op == OP_KEY_SUSPEND)
		v->state = STATE_SUSPENDED;
	else if (op == OP_KEY_DEACTIVATE || oracle_active(k) != NULL)
		v->state = STATE_DEACTIVATED;
	else
		v->state = STATE_ACTIVE;
}

static void act_move(struct story *s)
{
	static const enum op ops[] = { OP_KEY_SUSPEND, OP_KEY_RESUME, OP_KEY_RESUME,
		OP_KEY_DEACTIVATE, OP_KEY_DESTROY, OP_KEY_DESTROY };
	char name[8];
	size_t i = roll(s, ORACLE_KEYS);
	struct oracle_key *k = &s->oracle.keys[i];
	struct request q = { .op = ops[roll(s, ARRAY_LEN(ops))],
		.key = bytes_of_str(name_of(i, name)),
		.version = k->n > 0 ? k->v[roll(s, k->n)].number : 1 };
	if (q.op == OP_KEY_DESTROY && roll(s, 10) == 0)
		q.version = 0;
	if (acked(s, ask(s->w, q)))
		apply_move(s, q.op, k, q.version);
}

/* ---- Acts on hardware and slots ----------------------------------------------------------- */

static void act_hardware(struct story *s)
{
	static const kms_err errors[] = { KMS_E_TPM_UNREACHABLE, KMS_E_HARDWARE_TIMEOUT,
		KMS_E_TPM_FAILED };
	struct fake_chip *chip = roll(s, 2) == 0 ? &fake_chip : &fake_token;
	chip->fails = chip->fails != KMS_OK ? KMS_OK : errors[roll(s, ARRAY_LEN(errors))];
}

/* New shares replace the old ones only when people have said that they hold them. */
static bool hand_out(struct story *s, enum op op)
{
	char lines[SHARE_COUNT][SHARE_LINE];
	uint8_t nonce[16];
	const struct answer *a = &s->w->a;
	assert_int_equal(a->u.slots.share_n, SHARE_COUNT);
	for (size_t i = 0; i < SHARE_COUNT; i++) {
		struct bytes x = a->u.slots.shares[i];
		assert_true(x.n < SHARE_LINE);
		memcpy(lines[i], x.p, x.n);
		lines[i][x.n] = '\0';
	}
	assert_int_equal(a->u.slots.confirm.n, sizeof(nonce));
	memcpy(nonce, a->u.slots.confirm.p, sizeof(nonce));
	if (roll(s, 6) == 0)
		return false;
	const struct request q = { .op = op, .confirm = bytes_of(nonce, sizeof(nonce)) };
	if (!acked(s, ask(s->w, q)))
		return false;
	memcpy(s->lines, lines, sizeof(lines));
	return true;
}

static void act_add(struct story *s)
{
	size_t which = roll(s, 3);
	struct request q = { .op = OP_SLOT_ADD };
	if (which == 2) {
		q.shares_needed = 2;
		q.shares_total = SHARE_COUNT;
	} else {
		q.slot = bytes_of_str(which == 0 ? "tpm" : "hsm");
	}
	if (!acked(s, ask(s->w, q)))
		return;
	assert_false(which == 0 ? s->tpm : which == 1 ? s->hsm : s->shares);
	if (which == 2)
		s->shares = hand_out(s, OP_SLOT_ADD);
	else
		*(which == 0 ? &s->tpm : &s->hsm) = true;
}

static void act_remove(struct story *s)
{
	static const char *const names[] = { "tpm", "hsm", "shares" };
	bool *const slots[] = { &s->tpm, &s->hsm, &s->shares };
	size_t i = roll(s, 3);
	const struct request q = { .op = OP_SLOT_REMOVE,
		.slot = bytes_of_str(names[i]),
		.rely_on_shares = roll(s, 2) == 0 };
	if (!acked(s, ask(s->w, q)))
		return;
	assert_true(*slots[i]);
	*slots[i] = false;
	assert_true(hardware_opens(s) || (s->shares && q.rely_on_shares));
}

static void act_new_root(struct story *s)
{
	const struct bytes hsm = bytes_of_str("hsm"), tpm = bytes_of_str("tpm");
	struct request q = { .op = OP_ROOT_ROTATE };
	bool chip = fake_chip.fails != KMS_OK, token = fake_token.fails != KMS_OK;
	if (roll(s, 2) == 0 && (chip || token)) {
		q.leave_out = chip ? &tpm : &hsm;
		q.leave_out_n = 1;
	}
	if (!acked(s, ask(s->w, q)))
		return;
	if (s->shares && !hand_out(s, OP_ROOT_ROTATE))
		return;
	/* Nothing that fails can have taken it. */
	if (q.leave_out_n > 0)
		*(chip ? &s->tpm : &s->hsm) = false;
	assert_false((s->tpm && chip) || (s->hsm && token));
}

/* ---- Acts on the whole -------------------------------------------------------------------- */

static void act_seal(struct story *s)
{
	assert_int_equal(ask_key(s->w, OP_SEAL, ""), KMS_OK);
	assert_int_equal(ask_key(s->w, OP_ISSUE, "k0"), KMS_E_SEALED);
	open_up(s);
	check_all(s);
}

static void act_restart(struct story *s)
{
	stop(s);
	start(s);
	open_up(s);
	check_all(s);
}

/* Two in a second would have one name, so each gets another. */
static void act_back_up(struct story *s)
{
	char from[512], to[512], name[16];
	size_t at = roll(s, ORACLE_BACKUPS);
	struct oracle_backup *b = &s->oracle.backups[at];
	(void)snprintf(name, sizeof(name), "b%zu", at);
	if (!acked(s, ask_key(s->w, OP_BACKUP_CREATE, "")))
		return;
	struct bytes made = s->w->a.u.backups.p[0].name;
	(void)snprintf(from, sizeof(from), "%s/%.*s", s->w->rig.config.backup, (int)made.n,
	    (const char *)made.p);
	(void)snprintf(to, sizeof(to), "%s/%s", s->w->rig.config.backup, name);
	assert_int_equal(rename(from, to), 0);
	oracle_back_up(&s->oracle, b, name);
	assert_int_equal(ask_key(s->w, OP_BACKUP_VERIFY, name), KMS_OK);
}

/* What opens the store now opens each backup, once that has been put into it. */
static void until_current(struct story *s)
{
	for (size_t late = 1; late > 0;) {
		late = 0;
		assert_int_equal(ask_key(s->w, OP_BACKUP_LIST, ""), KMS_OK);
		for (size_t i = 0; i < s->w->a.u.backups.n; i++)
			late += !bytes_equal(s->w->a.u.backups.p[i].state, bytes_of_str("ok"));
	}
}

static void empty_folder(const char *path)
{
	(void)nftw(path, rig_remove_one, 8, FTW_DEPTH | FTW_PHYS);
	assert_int_equal(mkdir(path, 0700), 0);
}

static void act_restore(struct story *s)
{
	const struct oracle_backup *b = &s->oracle.backups[roll(s, ORACLE_BACKUPS)];
	bool log_lost = roll(s, 5) == 0;
	if (!b->here)
		return;
	until_current(s);
	stop(s);
	empty_folder(s->w->rig.config.store);
	if (log_lost)
		empty_folder(s->w->rig.config.audit);
	start(s);
	assert_int_equal(root_state(s->w->rig.k.root), ROOT_UNINITIALISED);
	assert_int_equal(ask_key(s->w, OP_BACKUP_RESTORE, b->name), KMS_OK);
	open_up(s);
	oracle_restore(&s->oracle, b, log_lost);
	s->restores++;
	check_all(s);
}

/* ---- The story ---------------------------------------------------------------------------- */

static const struct {
	void (*act)(struct story *s);
	unsigned weight;
} acts[] = {
	{ act_issue, 300 },
	{ act_create, 40 },
	{ act_rotate, 60 },
	{ act_move, 100 },
	{ act_hardware, 30 },
	{ act_add, 40 },
	{ act_remove, 20 },
	{ act_new_root, 15 },
	{ act_seal, 15 },
	{ act_restart, 10 },
	{ act_back_up, 10 },
	{ act_restore, 5 },
};

static void act(struct story *s)
{
	size_t sum = 0;
	for (size_t i = 0; i < ARRAY_LEN(acts); i++)
		sum += acts[i].weight;
	size_t at = roll(s, sum), i = 0;
	for (; at >= acts[i].weight; i++)
		at -= acts[i].weight;
	s->acts++;
	acts[i].act(s);
	check(s);
}

static uint64_t setting(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);
	return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

static uint64_t now_us(void)
{
	struct timeval t;
	(void)gettimeofday(&t, NULL);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_usec;
}

static void nothing_is_lost_whatever_happens(void **state)
{
	struct story *s = calloc(1, sizeof(*s));
	uint64_t seed = setting("KMS_TEST_SEED", 1), n = setting("KMS_TEST_ACTS", ACTS), i = 0;
	uint64_t until = now_us() + SLOW_RIG_US;
	assert_non_null(s);
	s->w = *state;
	s->dice = dice_of(seed);
	s->tpm = true;
	print_message("KMS_TEST_SEED=%" PRIu64 " KMS_TEST_ACTS=%" PRIu64 "\n", seed, n);
	for (; i < n && (getenv("KMS_TEST_ACTS") != NULL || now_us() < until); i++)
		act(s);
	check_all(s);
	print_message("%" PRIu64 " acts: %u acknowledged, %u refused, %u restores; nothing lost\n",
	    i, s->done, s->refused, s->restores);
	assert_true(s->done > 0 && s->refused > 0);
	fake_token.fails = KMS_OK;
	free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    nothing_is_lost_whatever_happens, world_set_up, world_tear_down),
	};
	return cmocka_run_group_tests_name("keeper_schedule", tests, NULL, NULL);
}
