/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proofs: each that we make is accepted and no other is, over every pair of sizes up to some
 * dozens; published proofs, good and damaged, where their files are; and the file of one record with its
 * proof. Also kms/audit/proof_file.c's test.
 */
#include "kms/audit/proof.h"

#include <ftw.h>
#include <json-c/json.h>
#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "kms/audit/proof_file.h"
#include "kms/audit/record.h"
#include "tests/unit/secrets.h"
#include "tests/unit/signer.h"

enum {
	MANY = 40,
	PATH_LEN = 400,
	HASH_ROOM = 96
};

static uint8_t leaves[MANY][SHA256_LEN];
static struct proof_tree trees[MANY + 1];

static int set_up(void **state)
{
	struct tree t = { .size = 0 };

	for (uint32_t i = 0; i <= MANY; i++) {
		trees[i].size = i;
		if (tree_root(&t, trees[i].root) != KMS_OK)
			return -1;
		if (i < MANY && (tree_leaf(bytes_of(&i, sizeof(i)), leaves[i]) != KMS_OK ||
		                    tree_append(&t, leaves[i]) != KMS_OK))
			return -1;
	}
	return secrets_begin(state);
}

static struct proof inclusion(uint64_t index, uint64_t size)
{
	AUTO(proof_maker_free) struct proof_maker *m = NULL;
	struct proof p;

	assert_int_equal(proof_maker_inclusion(index, size, &m), KMS_OK);
	for (uint64_t i = 0; i < size; i++)
		assert_int_equal(proof_maker_add(m, leaves[i]), KMS_OK);
	assert_int_equal(proof_maker_end(m, &p), KMS_OK);
	return p;
}

static struct proof consistency(uint64_t before, uint64_t after)
{
	AUTO(proof_maker_free) struct proof_maker *m = NULL;
	struct proof p;

	assert_int_equal(proof_maker_consistency(before, after, &m), KMS_OK);
	for (uint64_t i = 0; i < after; i++)
		assert_int_equal(proof_maker_add(m, leaves[i]), KMS_OK);
	assert_int_equal(proof_maker_end(m, &p), KMS_OK);
	return p;
}

static void every_inclusion(void **state)
{
	(void)state;
	for (uint64_t size = 1; size <= MANY; size++) {
		for (uint64_t i = 0; i < size; i++) {
			const struct proof p = inclusion(i, size);
			/* Right for this place and no other. */
			for (uint64_t k = 0; k < size; k++) {
				kms_err e =
				    proof_check_inclusion(&p, k, size, leaves[k], trees[size].root);
				assert_int_equal(e, k == i ? KMS_OK : KMS_E_INTEGRITY);
			}
		}
	}
}

static void every_consistency(void **state)
{
	(void)state;
	for (uint64_t after = 1; after <= MANY; after++) {
		for (uint64_t before = 1; before <= after; before++) {
			const struct proof p = consistency(before, after);
			assert_int_equal(
			    proof_check_consistency(&p, &trees[before], &trees[after]), KMS_OK);
			for (uint64_t k = 0; k <= after; k++) {
				if (k != before)
					assert_int_equal(
					    proof_check_consistency(&p, &trees[k], &trees[after]),
					    KMS_E_INTEGRITY);
			}
			struct proof_tree other = trees[before];
			other.root[0] ^= 1;
			assert_int_equal(
			    proof_check_consistency(&p, &other, &trees[after]), KMS_E_INTEGRITY);
		}
	}
}

static void a_damaged_proof(void **state)
{
	(void)state;
	struct proof p = inclusion(5, 37), c = consistency(21, 37);

	for (size_t i = 0; i < p.n; i++) {
		p.hashes[i][7] ^= 4;
		assert_int_equal(
		    proof_check_inclusion(&p, 5, 37, leaves[5], trees[37].root), KMS_E_INTEGRITY);
		p.hashes[i][7] ^= 4;
	}
	for (size_t i = 0; i < c.n; i++) {
		c.hashes[i][7] ^= 4;
		assert_int_equal(
		    proof_check_consistency(&c, &trees[21], &trees[37]), KMS_E_INTEGRITY);
		c.hashes[i][7] ^= 4;
	}
	for (size_t n = 0; n <= PROOF_MAX; n++) {
		struct proof cut = p, less = c;
		cut.n = n;
		less.n = n;
		if (n != p.n)
			assert_int_equal(
			    proof_check_inclusion(&cut, 5, 37, leaves[5], trees[37].root),
			    KMS_E_INTEGRITY);
		if (n != c.n)
			assert_int_equal(proof_check_consistency(&less, &trees[21], &trees[37]),
			    KMS_E_INTEGRITY);
	}
}

static void what_can_not_be_proved(void **state)
{
	(void)state;
	AUTO(proof_maker_free) struct proof_maker *m = NULL;
	struct proof p;

	assert_int_equal(proof_maker_inclusion(3, 3, &m), KMS_E_NOT_FOUND);
	assert_int_equal(proof_maker_consistency(0, 3, &m), KMS_E_NOT_FOUND);
	assert_int_equal(proof_maker_consistency(4, 3, &m), KMS_E_NOT_FOUND);
	assert_null(m);
	/* Leaves are missing. */
	assert_int_equal(proof_maker_inclusion(0, 3, &m), KMS_OK);
	assert_int_equal(proof_maker_add(m, leaves[0]), KMS_OK);
	assert_int_equal(proof_maker_add(m, leaves[1]), KMS_OK);
	assert_int_equal(proof_maker_end(m, &p), KMS_E_NOT_FOUND);
}

static void largest_trees(void **state)
{
	(void)state;
	AUTO(proof_maker_free) struct proof_maker *a = NULL;
	AUTO(proof_maker_free) struct proof_maker *b = NULL;
	struct proof p = { .n = PROOF_MAX };

	assert_int_equal(proof_maker_inclusion(UINT64_MAX - 1, UINT64_MAX, &a), KMS_OK);
	assert_int_equal(proof_maker_consistency(UINT64_MAX - 1, UINT64_MAX, &b), KMS_OK);
	assert_int_equal(
	    proof_check_inclusion(&p, 0, UINT64_MAX, leaves[0], leaves[1]), KMS_E_INTEGRITY);
}

/* ---- published proofs ---- */

static size_t ran;

static bool take_hash(struct json_object *text, uint8_t out[static SHA256_LEN])
{
	uint8_t room[HASH_ROOM];
	int n = json_object_get_string_len(text);

	if (text == NULL || n != 44)
		return false;
	return EVP_DecodeBlock(room, (const uint8_t *)json_object_get_string(text), n) ==
	           SHA256_LEN + 1 &&
	       memcpy(out, room, SHA256_LEN) != NULL;
}

static bool take_proof(struct json_object *list, struct proof *out)
{
	size_t n = list == NULL ? 0 : json_object_array_length(list);

	*out = (struct proof){ .n = n };
	for (size_t i = 0; i < n && i < PROOF_MAX; i++)
		if (!take_hash(json_object_array_get_idx(list, i), out->hashes[i]))
			return false;
	return n <= PROOF_MAX;
}

static kms_err run_inclusion(struct json_object *o)
{
	struct proof p;
	uint8_t leaf[SHA256_LEN], root[SHA256_LEN];

	if (!take_proof(json_object_object_get(o, "proof"), &p) ||
	    !take_hash(json_object_object_get(o, "leafHash"), leaf) ||
	    !take_hash(json_object_object_get(o, "root"), root))
		return KMS_E_BAD_REQUEST;
	return proof_check_inclusion(&p,
	    json_object_get_uint64(json_object_object_get(o, "leafIdx")),
	    json_object_get_uint64(json_object_object_get(o, "treeSize")), leaf, root);
}

static kms_err run_consistency(struct json_object *o)
{
	struct proof p;
	struct proof_tree before, after;

	before.size = json_object_get_uint64(json_object_object_get(o, "size1"));
	after.size = json_object_get_uint64(json_object_object_get(o, "size2"));
	if (!take_proof(json_object_object_get(o, "proof"), &p) ||
	    !take_hash(json_object_object_get(o, "root1"), before.root) ||
	    !take_hash(json_object_object_get(o, "root2"), after.root))
		return KMS_E_BAD_REQUEST;
	return proof_check_consistency(&p, &before, &after);
}

static int run_file(const char *path, const struct stat *st, int kind, struct FTW *where)
{
	(void)st;
	(void)where;
	if (kind != FTW_F || strstr(path, ".json") == NULL)
		return 0;
	struct json_object *o = json_object_from_file(path);
	assert_non_null(o);
	bool bad = json_object_get_boolean(json_object_object_get(o, "wantErr"));
	kms_err e = strstr(path, "/consistency/") != NULL ? run_consistency(o) : run_inclusion(o);
	/* A "root" of a few bytes that is called right can't be one of ours. */
	bool ours = e != KMS_E_BAD_REQUEST || bad;
	if (ours && (e != KMS_OK) != bad)
		fail_msg("%s: %s", path, err_name(e));
	(void)json_object_put(o);
	ran += ours;
	return 0;
}

static void published_proofs(void **state)
{
	(void)state;
	const char *dir = getenv("KMS_VECTORS"); /* NOLINT(concurrency-mt-unsafe) */
	static const char *const kinds[] = { "inclusion", "consistency" };
	char path[PATH_LEN];

	ran = 0;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		(void)snprintf(path, sizeof(path), "%s/merkle/%s",
		    dir != NULL ? dir : KMS_SOURCE_DIR "/../shared/vectors", kinds[i]);
		(void)nftw(path, run_file, 8, FTW_PHYS);
	}
	if (ran == 0) {
		print_message("skipped: no files of merkle\n");
		skip();
	}
	print_message("%zu published proofs\n", ran);
	assert_true(ran >= 150);
}

/* ---- the file ---- */

static void make_file(struct buf *out, uint64_t seq, struct signer *s)
{
	AUTO(proof_file_done) struct proof_file f = { .index = seq };
	AUTO(buf_done) struct buf note = { 0 };
	AUTO(proof_maker_free) struct proof_maker *m = NULL;
	const struct record r = { .seq = seq, .identity = bytes_of_str("kmsd"), .op = OP_STOP };
	struct tree t = { .size = 0 };
	struct checkpoint c = { .size = 6 };
	uint8_t leaf[SHA256_LEN];

	assert_int_equal(record_encode(&r, &f.record), KMS_OK);
	assert_int_equal(tree_leaf(buf_bytes(&f.record), leaf), KMS_OK);
	assert_int_equal(proof_maker_inclusion(3, c.size, &m), KMS_OK);
	for (uint64_t i = 0; i < c.size; i++) {
		const uint8_t *x = i == 3 ? leaf : leaves[i];
		assert_int_equal(tree_append(&t, x), KMS_OK);
		assert_int_equal(proof_maker_add(m, x), KMS_OK);
	}
	assert_int_equal(proof_maker_end(m, &f.path), KMS_OK);
	checkpoint_origin((const uint8_t *)"0123456789abcdef", c.origin);
	assert_int_equal(tree_root(&t, c.root), KMS_OK);
	*s = signer_new(c.origin, 1);
	signer_note(s, &c, &note);
	f.note = buf_bytes(&note);
	assert_int_equal(proof_file_encode(&f, out), KMS_OK);
}

static kms_err check_file(struct bytes in, const struct signer *s)
{
	AUTO(proof_file_done) struct proof_file f = { .index = 0 };
	struct note n;
	struct checkpoint c;

	TRY(proof_file_decode(in, &f));
	TRY(proof_file_check(&f, &n, &c));
	return note_verify(&n, &s->key, s->public);
}

static void a_proof_file(void **state)
{
	(void)state;
	AUTO(buf_done) struct buf text = { 0 };
	struct signer s;

	make_file(&text, 3, &s);
	assert_int_equal(check_file(buf_bytes(&text), &s), KMS_OK);
	assert_memory_equal(text.p, "c2sp.org/tlog-proof@v1\nextra ", 29);
	for (size_t i = 0; i < text.n; i++) {
		text.p[i] ^= 1;
		assert_int_not_equal(check_file(buf_bytes(&text), &s), KMS_OK);
		text.p[i] ^= 1;
		assert_int_not_equal(check_file(bytes_of(text.p, i), &s), KMS_OK);
	}
	assert_int_equal(buf_put_u8(&text, '\n'), KMS_OK);
	assert_int_not_equal(check_file(buf_bytes(&text), &s), KMS_OK);
	signer_done(&s);
}

static void a_proof_of_another_number(void **state)
{
	(void)state;
	AUTO(buf_done) struct buf text = { 0 };
	AUTO(proof_file_done) struct proof_file f = { .index = 0 };
	struct signer s;
	struct note n;
	struct checkpoint c;

	/* The record says 4; the path is right for number 3 alone. */
	make_file(&text, 4, &s);
	assert_int_equal(proof_file_decode(buf_bytes(&text), &f), KMS_OK);
	assert_int_equal(proof_file_check(&f, &n, &c), KMS_E_INTEGRITY);
	f.index = 3;
	assert_int_equal(proof_file_check(&f, &n, &c), KMS_E_INTEGRITY);
	f.note = bytes_of_str("no note");
	assert_int_equal(proof_file_check(&f, &n, &c), KMS_E_BAD_REQUEST);
	signer_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_inclusion),
		cmocka_unit_test(every_consistency),
		cmocka_unit_test(a_damaged_proof),
		cmocka_unit_test(what_can_not_be_proved),
		cmocka_unit_test(largest_trees),
		cmocka_unit_test(published_proofs),
		cmocka_unit_test(a_proof_file),
		cmocka_unit_test(a_proof_of_another_number),
	};

	return cmocka_run_group_tests(tests, set_up, secrets_end);
}
