/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One change of one key, in three steps that never mix: check it against what is, stage its
 * sealed rows, and, when they are durable, apply it to memory.
 */
#pragma once

#include <sys/queue.h>

#include "kms/base/base.h"
#include "kms/keeper/changes.h"

/* A version that goes to another state. */
struct change_move {
	uint32_t version;
	enum key_state to;
};

struct change {
	TAILQ_ENTRY(change) entry;
	struct task *task;
	struct change_want want; /* borrows text */
	struct buf text;
	uint64_t now_us;  /* when it was checked: the date of its states */
	bool checked;     /* the fields below are filled */
	struct key *key;  /* the ring's; a new key is `made` until it is applied */
	struct key *made; /* OP_KEY_CREATE; owned */
	struct key_version
	    fresh; /* OP_KEY_ROTATE: the new version; owns its bits; number 0: none */
	struct change_move *moves;
	size_t move_n;
	struct root_plan *plan; /* of the ways to open the root, and no key's change; owned */
};

/* Copies what it needs. KMS_E_NO_MEMORY. */
MUST_USE kms_err change_new(const struct change_want *want, struct change **out);
void change_free(struct change **c);
/* Is it possible now? Fills the plan and changes nothing. Every error that a client may see. */
MUST_USE kms_err change_check(struct keeper *k, struct change *c);
/* Seals its rows into b. Any failure leaves the set hash unusable: the store must be read anew. */
MUST_USE kms_err change_stage(struct keeper *k, struct change *c, struct row_batch *b);
/* Puts one version's row, its bits sealed, into b. As change_stage. */
MUST_USE kms_err change_stage_version(
    struct keeper *k, const struct key *key, const struct key_version *v, struct row_batch *b);
/* Its rows are durable: memory follows. Can't fail. */
void change_apply(struct keeper *k, struct change *c);
