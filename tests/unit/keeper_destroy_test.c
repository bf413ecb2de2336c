/* SPDX-License-Identifier: Apache-2.0 */
/* What a whole keeper says to whoever destroys a key: until when backups may still hold it. */
#include "tests/unit/keeper_world.h"

static kms_err destroy(struct world *w, const char *key)
{
	return ask_key(w, OP_KEY_DESTROY, key);
}

static void send_only(const struct world *w, int fd, enum op op)
{
	AUTO(buf_done) struct buf frame = { 0 };
	const struct request q = { .id = w->id, .op = op };
	assert_int_equal(request_encode(&q, &frame), KMS_OK);
	assert_int_equal(send(fd, frame.p, frame.n, MSG_NOSIGNAL), (ssize_t)frame.n);
}

static void a_destruction_says_what_backups_hold(void **state)
{
	struct world *w = *state;
	const uint64_t keep_us = w->rig.config.backup_keep_us;
	const struct request whoami = { .op = OP_WHOAMI };
	struct answer other;
	assert_int_equal(ask_key(w, OP_KEY_CREATE, "other"), KMS_OK);
	assert_int_equal(ask_key(w, OP_KEY_CREATE, "third"), KMS_OK);
	assert_int_equal(destroy(w, "third"), KMS_OK);
	assert_int_equal(w->a.u.key.backed_up_until_us, 0);
	/* Not one that is being made: it may have been copied before. */
	int fd = rig_connect(&w->rig);
	assert_int_equal(rig_ask(&w->rig, fd, &whoami, &w->in, &w->arena, &other), KMS_OK);
	send_only(w, fd, OP_BACKUP_CREATE);
	assert_int_equal(destroy(w, "other"), KMS_OK);
	assert_true(w->a.u.key.backed_up_until_us > keep_us);
	(void)close(fd);
	do
		assert_int_equal(ask_key(w, OP_BACKUP_LIST, ""), KMS_OK);
	while (w->a.u.backups.n == 0);
	uint64_t expires = w->a.u.backups.p[0].expires_us;
	assert_int_equal(ask_key(w, OP_KEY_SHOW, "rec"), KMS_OK);
	assert_int_equal(w->a.u.key.backed_up_until_us, 0);
	assert_int_equal(destroy(w, "rec"), KMS_OK);
	assert_int_equal(w->a.u.key.backed_up_until_us, expires);
}

static void backups_for_ever_hold_for_ever(void **state)
{
	struct world *w = *state;
	w->rig.config.backup_keep_us = 0;
	assert_int_equal(ask_key(w, OP_BACKUP_CREATE, ""), KMS_OK);
	assert_int_equal(ask(w, (struct request){ .op = OP_KEY_DESTROY,
	                            .key = bytes_of_str("rec"),
	                            .dry_run = true }),
	    KMS_OK);
	assert_true(w->a.u.key.backed_up_until_us == UINT64_MAX);
	assert_int_equal(destroy(w, "rec"), KMS_OK);
	assert_true(w->a.u.key.backed_up_until_us == UINT64_MAX);
}

static void what_fails_says_nothing_of_backups(void **state)
{
	struct world *w = *state;
	assert_int_equal(ask_key(w, OP_BACKUP_CREATE, ""), KMS_OK);
	assert_int_equal(destroy(w, "none"), KMS_E_NOT_FOUND);
	assert_int_equal(w->a.kind, ANSWER_ERROR);
	/* Other changes keep the bits, so there is nothing to be said. */
	assert_int_equal(ask_key(w, OP_KEY_SUSPEND, "rec"), KMS_OK);
	assert_int_equal(w->a.u.key.backed_up_until_us, 0);
}

#define WITH_WORLD(f) cmocka_unit_test_setup_teardown(f, world_set_up, world_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_WORLD(a_destruction_says_what_backups_hold),
		WITH_WORLD(backups_for_ever_hold_for_ever),
		WITH_WORLD(what_fails_says_nothing_of_backups),
	};
	return cmocka_run_group_tests_name("keeper_destroy", tests, NULL, NULL);
}
