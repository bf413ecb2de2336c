/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of libkms: a fake kmsd that answers each operation with something canned, each field
 * of it another value, so that none can stand for another.
 */
#pragma once

#include "tests/unit/fake_kmsd.h"

static const uint8_t id16[16] = { 1, 2, 3 };
static const struct bytes words[] = { TEXT("landlock"), TEXT("seccomp") };
static const struct slot_info slot_list[] = {
	{ .id = { id16, 16 },
	    .kind = TEXT("tpm"),
	    .name = TEXT("tpm"),
	    .last = TEXT("ok"),
	    .detail = TEXT("a chip"),
	    .created_us = 7 },
	{ .id = { id16, 16 }, .kind = TEXT("tpm"), .name = TEXT("spare"), .last = TEXT("untried") },
};
static const struct version_info version_list[] = {
	{ .version = 1,
	    .state = TEXT("deactivated"),
	    .reason = TEXT("old"),
	    .created_us = 1,
	    .since_us = 2,
	    .issued = 3,
	    .wrapped = 4,
	    .unwrapped = 5,
	    .above_floor = true },
	{ .version = 2, .state = TEXT("active") },
};
static const struct key_info key_list[] = {
	{ .key = TEXT("rec"),
	    .id = { id16, 16 },
	    .key_class = TEXT("default"),
	    .algorithm = TEXT("xaes-256-gcm"),
	    .state = TEXT("active"),
	    .version = 2,
	    .floor = 1,
	    .version_count = 2,
	    .created_us = 8,
	    .rotate_every_s = 9,
	    .backed_up_until_us = 10,
	    .versions = version_list,
	    .version_n = 2 },
	{ .key = TEXT("crm"), .version = 1 },
};
static const struct item_result item_list[] = {
	{ .wrapped = TEXT("wrapped"),
	    .plaintext = TEXT("clear"),
	    .key = TEXT("rec"),
	    .version = 2,
	    .rewrap_advised = true },
	{ .error = { .err = KMS_E_INTEGRITY, .detail = TEXT("item 1") }, .compromised = true },
};

static const struct answer status_answer = { .kind = ANSWER_STATUS,
	.u.status = { .program = TEXT("kmsd 0.1.0"),
	    .state = TEXT("sealed"),
	    .why = TEXT("tpm_lockout"),
	    .audit_state = TEXT("ok"),
	    .instance = { id16, 16 },
	    .protocol = 1,
	    .wrapped_format = 2,
	    .store_schema = 3,
	    .connections = 4,
	    .keeper_starts = 5,
	    .epoch = 6,
	    .counter = 7,
	    .counter_moves = 8,
	    .keys = 9,
	    .versions = 10,
	    .audit_records = 11,
	    .started_us = 12,
	    .counter_behind = true,
	    .memory_locked = true,
	    .memory_hidden = true,
	    .sandbox = words,
	    .sandbox_n = 2,
	    .slots = slot_list,
	    .slot_n = 2 } };
static const struct answer whoami_answer = { .kind = ANSWER_WHOAMI,
	.u.whoami = {
	    .identity = TEXT("unix:1000"), .admin = true, .groups = words, .group_n = 2 } };

/* An answer that fits the operation, with as many items as were asked for. */
static inline struct answer canned_answer(const struct request *r)
{
	static const struct item_result many[BATCH_MAX];
	size_t n = r->op == OP_ISSUE ? (r->count == 0 ? 1 : r->count) : r->item_count;

	switch (r->op) {
	case OP_STATUS: return status_answer;
	case OP_WHOAMI: return whoami_answer;
	case OP_METRICS:
		return (struct answer){ .kind = ANSWER_METRICS, .u.text = TEXT("kms_up 1\n") };
	case OP_RANDOM: return (struct answer){ .kind = ANSWER_RANDOM, .u.text = TEXT("dice") };
	case OP_INIT:
	case OP_SLOT_LIST:
	case OP_SLOT_CHECK:
		return (
		    struct answer){ .kind = ANSWER_SLOTS, .u.slots = { .p = slot_list, .n = 2 } };
	case OP_UNSEAL:
	case OP_SEAL: return (struct answer){ .kind = ANSWER_DONE };
	case OP_KEY_LIST:
		return (struct answer){ .kind = ANSWER_KEYS, .u.keys = { key_list, 2, true } };
	case OP_ISSUE:
	case OP_WRAP:
	case OP_UNWRAP:
	case OP_REWRAP:
	case OP_MAC:
		return (struct answer){ .kind = ANSWER_ITEMS,
			.u.items = { n <= 2 ? item_list : many, n } };
	case OP_AUDIT_READ:
		return (struct answer){ .kind = ANSWER_RECORDS,
			.u.records = { .p = words, .n = 2, .first = 40, .size = 42 } };
	default: return (struct answer){ .kind = ANSWER_KEY, .u.key = key_list[0] };
	}
}

static inline bool canned_serve(struct fake *f, const struct request *r)
{
	struct answer a = canned_answer(r);

	a.id = r->id;
	fake_answer(f, &a);
	return true;
}

static inline int canned_start(void **state)
{
	struct fake *f = calloc(1, sizeof(*f));

	CHECK(f != NULL);
	fake_start(f, canned_serve, NULL);
	*state = f;
	return 0;
}

static inline int canned_stop(void **state)
{
	struct fake *f = *state;

	fake_stop(f);
	free(f);
	return 0;
}
