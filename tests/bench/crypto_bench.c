/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The crypto of an issue on one core, without server, store or log: draw a data key, wrap it under
 * a master key with a context. Beside it the log's leaf hash and keyed tag, opening a wrapped key,
 * and a wrap whose expanded key is not cached. Prints ns for each; with --json one flat object.
 */
#include "kms/crypto/hash.h"
#include "kms/crypto/rand.h"
#include "kms/keys/context.h"
#include "kms/keys/ring.h"
#include "tests/bench/steps.h"

enum {
	LEAF_LEN = 256, /* a record of an issue */
	TAG_LEN = 48,
	BLOB_MAX = KEY_BITS_LEN + WRAPPED_OVERHEAD_MAX
};

/* What the measured steps work on. */
struct work {
	struct ring *ring;
	struct key *key;
	struct rand_block *rand;
	struct mac *mac;
	uint8_t canon[CONTEXT_CANON_MAX];
	size_t canon_n;
	uint8_t record[LEAF_LEN];
	uint8_t blob[BLOB_MAX];
};

static kms_err step_issue(struct work *w)
{
	AUTO(key_wipe) struct key256 data_key;

	TRY(rand_draw(w->rand, data_key.b, sizeof(data_key.b)));
	const struct wrap_input in = {
		.canon = bytes_of(w->canon, w->canon_n),
		.plain = bytes_of(data_key.b, sizeof(data_key.b)),
		.rand = w->rand,
	};
	return ring_wrap(w->ring, w->key, key_active(w->key), &in, w->blob);
}

static kms_err step_issue_cold(struct work *w)
{
	ring_touch(w->ring, w->key);
	return step_issue(w);
}

static kms_err step_unwrap(struct work *w)
{
	uint8_t out[BLOB_MAX];
	struct wrapped wrapped;
	size_t n;

	TRY(wrapped_decode(bytes_of(w->blob, sizeof(w->blob)), &wrapped));
	const struct unwrap_input in = { .canon = bytes_of(w->canon, w->canon_n), .w = &wrapped };
	return ring_unwrap(w->ring, w->key, key_active(w->key), &in, out, &n);
}

static kms_err step_leaf(struct work *w)
{
	uint8_t leaf[SHA256_LEN];
	const struct bytes record = bytes_of(w->record, sizeof(w->record));

	return hash_sha256(&record, 1, leaf);
}

static kms_err step_tag(struct work *w)
{
	uint8_t tag[SHA256_LEN];
	const struct bytes record = bytes_of(w->record, TAG_LEN);

	return mac_compute(w->mac, &record, 1, tag);
}

/* In this order: what an unwrap opens was made by the issues before it. */
static const struct step steps[] = {
	{ "crypto", "draw 32 bytes and wrap them", step_issue },
	{ "crypto_cold", "the same, key not expanded", step_issue_cold },
	{ "crypto_unwrap", "unwrap", step_unwrap },
	{ "crypto_leaf", "SHA-256 of 256 bytes", step_leaf },
	{ "crypto_tag", "HMAC-SHA-256 of 48 bytes", step_tag },
};

static kms_err make_key(struct work *w)
{
	AUTO(key_free) struct key *k = NULL;
	AUTO(key_wipe) struct key256 bits;
	struct key_version *v;

	TRY(key_new(&k));
	(void)snprintf(k->name, sizeof(k->name), "bench");
	k->algorithm = ALG_XAES_256_GCM;
	TRY(rand_bytes(k->id.b, sizeof(k->id.b)));
	TRY(rand_bytes(bits.b, sizeof(bits.b)));
	TRY(key_add_version(k, &v));
	v->state = STATE_ACTIVE;
	TRY(secret_from(bytes_of(bits.b, sizeof(bits.b)), &v->bits));
	TRY(mac_new(v->bits, &w->mac));
	TRY(ring_add(w->ring, k));
	w->key = MOVE(k);
	return KMS_OK;
}

static kms_err prepare(struct work *w)
{
	const struct context_pair call = { bytes_of_str("call"), bytes_of_str("20260301-0001") };

	TRY(secret_init(16, true));
	TRY(ring_new(16, &w->ring));
	TRY(rand_block_new(&w->rand));
	TRY(context_encode(&call, 1, w->canon, &w->canon_n));
	return make_key(w);
}

static void finish(struct work *w)
{
	mac_free(&w->mac);
	rand_block_free(&w->rand);
	ring_free(&w->ring);
	secret_done();
}

int main(int argc, char **argv)
{
	const struct step_rounds rounds = { .calls = 100000, .rounds = 7 };
	static struct work w;
	double ns[ARRAY_LEN(steps)];

	steps_pin();
	kms_err e = prepare(&w);
	if (e == KMS_OK)
		e = steps_measure(steps, ARRAY_LEN(steps), rounds, &w, ns);
	finish(&w);
	if (e != KMS_OK) {
		fprintf(stderr, "crypto_bench: %s\n", err_text(e));
		return 1;
	}
	steps_print(steps, ARRAY_LEN(steps), ns, steps_want_json(argc, argv));
	return 0;
}
