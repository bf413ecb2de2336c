/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of slots in a whole keeper: what they ask, and lines of shares. */
#pragma once

#include "tests/unit/keeper_world.h"

#include "kms/keeper/changes.h"
#include "kms/keeper/root_private.h"

enum {
	LINE_MAX_LEN = 128,
	SHARE_COUNT = 3
};

struct lines {
	char s[SHARE_COUNT][LINE_MAX_LEN];
	uint8_t confirm[16];
};

static inline kms_err add_slot(struct world *w, const char *slot)
{
	return ask(w, (struct request){ .op = OP_SLOT_ADD, .slot = bytes_of_str(slot) });
}

static inline kms_err remove_slot(struct world *w, const char *slot, bool rely_on_shares)
{
	return ask(w, (struct request){ .op = OP_SLOT_REMOVE,
	                  .slot = bytes_of_str(slot),
	                  .rely_on_shares = rely_on_shares });
}

static inline kms_err seal_and_open(struct world *w)
{
	assert_int_equal(ask_key(w, OP_SEAL, ""), KMS_OK);
	return ask_key(w, OP_UNSEAL, "");
}

static inline size_t slot_count(struct world *w)
{
	assert_int_equal(ask_key(w, OP_SLOT_LIST, ""), KMS_OK);
	return w->a.u.slots.n;
}

static inline void keep_lines(const struct world *w, struct lines *out)
{
	assert_int_equal(w->a.u.slots.share_n, SHARE_COUNT);
	for (size_t i = 0; i < SHARE_COUNT; i++) {
		struct bytes x = w->a.u.slots.shares[i];
		assert_true(x.n > 0 && x.n < LINE_MAX_LEN);
		memcpy(out->s[i], x.p, x.n);
		out->s[i][x.n] = '\0';
	}
	assert_int_equal(w->a.u.slots.confirm.n, sizeof(out->confirm));
	memcpy(out->confirm, w->a.u.slots.confirm.p, sizeof(out->confirm));
}

static inline kms_err confirm(struct world *w, enum op op, const struct lines *l)
{
	return ask(
	    w, (struct request){ .op = op, .confirm = bytes_of(l->confirm, sizeof(l->confirm)) });
}

static inline kms_err ask_shares(struct world *w, struct lines *out)
{
	TRY(ask(w, (struct request){
	               .op = OP_SLOT_ADD, .shares_needed = 2, .shares_total = SHARE_COUNT }));
	keep_lines(w, out);
	return KMS_OK;
}

static inline void add_shares(struct world *w, struct lines *out)
{
	assert_int_equal(ask_shares(w, out), KMS_OK);
	assert_int_equal(confirm(w, OP_SLOT_ADD, out), KMS_OK);
}

static inline kms_err give(struct world *w, const char *line)
{
	return ask(w, (struct request){ .op = OP_UNSEAL, .share = bytes_of_str(line) });
}

static inline void is_open(struct world *w)
{
	assert_int_equal(ask_key(w, OP_ISSUE, "rec"), KMS_OK);
}

/* Sends a request on a connection of its own and does not wait. */
static inline int send_only(struct world *w, const struct request *q)
{
	AUTO(buf_done) struct buf frame = { 0 };
	int fd = rig_connect(&w->rig);
	assert_int_equal(request_encode(q, &frame), KMS_OK);
	assert_int_equal(send(fd, frame.p, frame.n, MSG_NOSIGNAL), frame.n);
	return fd;
}
