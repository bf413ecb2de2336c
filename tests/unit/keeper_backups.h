/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of backups in a whole keeper: making one, losing the host, restoring. */
#pragma once

#include "tests/unit/keeper_world.h"

#include <fcntl.h>

#include "kms/keeper/root_private.h"

enum {
	WRAPPED_MAX = 256
};

struct backup_name {
	char s[NAME_MAX_LEN + 1];
};

static inline struct backup_name make_backup(struct world *w)
{
	struct backup_name name = { 0 };
	assert_int_equal(ask_key(w, OP_BACKUP_CREATE, ""), KMS_OK);
	assert_int_equal(w->a.u.backups.n, 1);
	const struct backup_info *b = &w->a.u.backups.p[0];
	assert_true(bytes_equal(b->state, bytes_of_str("ok")));
	memcpy(name.s, b->name.p, b->name.n);
	return name;
}

static inline kms_err ask_backup(struct world *w, enum op op, const struct backup_name *name)
{
	return ask_key(w, op, name->s);
}

/* A keeper on the same folders, as after a restart; the connection is new as well. */
static inline void start_again(struct world *w)
{
	assert_int_equal(rig_start(&w->rig), KMS_OK);
	w->fd = rig_connect(&w->rig);
}

static inline void stop(struct world *w)
{
	(void)close(w->fd);
	rig_stop(&w->rig);
}

static inline void empty_folder(const char *path)
{
	(void)nftw(path, rig_remove_one, 8, FTW_DEPTH | FTW_PHYS);
	assert_int_equal(mkdir(path, 0700), 0);
}

/* The host burned: its store is gone, and its log too where with_log is false. */
static inline void burn(struct world *w, bool with_log)
{
	stop(w);
	empty_folder(w->rig.config.store);
	if (with_log)
		empty_folder(w->rig.config.audit);
	start_again(w);
	rig_until(&w->rig, ROOT_UNINITIALISED);
}

static inline void restore(struct world *w, const struct backup_name *name)
{
	assert_int_equal(ask_backup(w, OP_BACKUP_RESTORE, name), KMS_OK);
	assert_int_equal(root_state(w->rig.k.root), ROOT_SEALED);
	assert_int_equal(ask_key(w, OP_UNSEAL, ""), KMS_OK);
}

static inline struct bytes issue(struct world *w, const char *key, uint8_t out[static WRAPPED_MAX])
{
	assert_int_equal(ask_key(w, OP_ISSUE, key), KMS_OK);
	struct bytes b = w->a.u.items.p[0].wrapped;
	assert_true(b.n > 0 && b.n < WRAPPED_MAX);
	memcpy(out, b.p, b.n);
	return bytes_of(out, b.n);
}

static inline kms_err unwrap(struct world *w, struct bytes blob)
{
	const struct item item = { .data = blob };
	return ask(w, (struct request){ .op = OP_UNWRAP, .items = &item, .item_count = 1 });
}

static inline kms_err destroy(struct world *w, const char *key, uint32_t version)
{
	return ask(w,
	    (struct request){ .op = OP_KEY_DESTROY, .key = bytes_of_str(key), .version = version });
}

static inline void prove(struct world *w, const char *key, uint8_t out[static 32])
{
	assert_int_equal(ask(w, (struct request){ .op = OP_KEY_PROVE,
	                            .key = bytes_of_str(key),
	                            .version = 1,
	                            .challenge = bytes_of_str("a challenge of 25 letters") }),
	    KMS_OK);
	assert_int_equal(w->a.u.text.n, 32);
	memcpy(out, w->a.u.text.p, 32);
}
