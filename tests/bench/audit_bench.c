/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit record of an answer on one core, up to the hand-over: trail_append of the record of an
 * issue, with the group taken and freed after every 64; beside it the parts of which it is made.
 * Nothing is written. Prints ns for each; with --json one flat object.
 */
#include "kms/audit/trail.h"
#include "tests/bench/steps.h"

enum {
	GROUP = 64 /* records */
};

struct work {
	struct trail *trail;
	struct record record;
	struct record_item item;
	struct buf encoded;
	struct tree tree;
	uint8_t leaf[SHA256_LEN];
	uint32_t crc;
};

static kms_err step_append(struct work *w)
{
	AUTO(trail_group_free) struct trail_group *g = NULL;

	TRY(trail_append(w->trail, &w->record));
	return trail_pending(w->trail) < GROUP ? KMS_OK : trail_take(w->trail, &g);
}

static kms_err step_encode(struct work *w)
{
	w->encoded.n = 0;
	return record_encode(&w->record, &w->encoded);
}

static kms_err step_leaf(struct work *w)
{
	return tree_leaf(buf_bytes(&w->encoded), w->leaf);
}

static kms_err step_tree(struct work *w)
{
	return tree_append(&w->tree, w->leaf);
}

static kms_err step_crc(struct work *w)
{
	w->crc = crc32c(w->crc, buf_bytes(&w->encoded));
	return KMS_OK;
}

static const struct step steps[] = {
	{ "audit_append", "append a record, group of 64", step_append },
	{ "audit_encode", "encode it", step_encode },
	{ "audit_leaf", "its leaf hash", step_leaf },
	{ "audit_tree", "the tree's nodes", step_tree },
	{ "audit_crc", "its CRC", step_crc },
};

static kms_err prepare(struct work *w)
{
	static const uint8_t instance[INSTANCE_ID_LEN] = "bench";
	AUTO(secret_free) struct secret *key = NULL;
	AUTO(trail_end_done) struct trail_end end = { .fresh = true };

	TRY(secret_init(4, true));
	TRY(secret_new(KEY_BITS_LEN, &key));
	TRY(trail_new(&end, instance, SEGMENT_SIZE_DEFAULT, &w->trail));
	TRY(trail_set_key(w->trail, key));
	w->item.version = 1;
	memset(w->item.tag, 0x5a, sizeof(w->item.tag));
	w->record = (struct record){
		.time_us = 1772323200000000,
		.identity = bytes_of_str("unix:1000"),
		.source = bytes_of_str("unix"),
		.subject = bytes_of_str("agent-17"),
		.purpose = bytes_of_str("recording"),
		.op = OP_ISSUE,
		.key_class = bytes_of_str("default"),
		.version = 1,
		.batch = 1,
		.latency_us = 170,
	};
	memset(w->record.boot, 0x11, sizeof(w->record.boot));
	memset(w->record.key.b, 0x22, sizeof(w->record.key.b));
	memset(w->record.context_digest, 0x33, sizeof(w->record.context_digest));
	memset(w->record.tag, 0x44, sizeof(w->record.tag));
	return KMS_OK;
}

static void finish(struct work *w)
{
	trail_free(&w->trail);
	buf_done(&w->encoded);
	secret_done();
}

int main(int argc, char **argv)
{
	const struct step_rounds rounds = { .calls = 65536, .rounds = 9 };
	bool json = steps_want_json(argc, argv);
	static struct work w;
	double ns[ARRAY_LEN(steps)];

	steps_pin();
	kms_err e = prepare(&w);
	if (e == KMS_OK)
		e = steps_measure(steps, ARRAY_LEN(steps), rounds, &w, ns);
	if (e == KMS_OK && !json)
		printf("a record of %zu bytes\n", w.encoded.n);
	finish(&w);
	if (e != KMS_OK) {
		fprintf(stderr, "audit_bench: %s\n", err_text(e));
		return 1;
	}
	steps_print(steps, ARRAY_LEN(steps), ns, json);
	return 0;
}
