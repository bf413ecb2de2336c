/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree against the roots that certificate transparency's own tests give for eight leaves,
 * against RFC 6962's definition, and against published proofs' roots where those files are.
 */
#include "kms/audit/tree.h"

#include <json-c/json.h>
#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/hex.h"

enum {
	LEAVES = 8,
	MANY = 300,
	PATH_LEN = 400
};

static const char *const leaves[LEAVES] = { "", "00", "10", "2021", "3031", "40414243",
	"5051525354555657", "606162636465666768696a6b6c6d6e6f" };

/* Of the first n leaves. */
static const char *const roots[LEAVES + 1] = {
	"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
	"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
	"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
	"aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
	"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
	"4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
	"76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
	"ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
	"5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
};

static void root_is(const struct tree *t, const char *want)
{
	AUTO(hex_done) struct hex h = hex_of(want);
	uint8_t root[SHA256_LEN];

	assert_int_equal(tree_root(t, root), KMS_OK);
	assert_memory_equal(root, h.p, h.n);
}

static void add_hex(struct tree *t, const char *text)
{
	AUTO(hex_done) struct hex h = hex_of(text);
	uint8_t leaf[SHA256_LEN];

	assert_int_equal(tree_leaf(hex_bytes(h), leaf), KMS_OK);
	assert_int_equal(tree_append(t, leaf), KMS_OK);
}

static void roots_of_eight_leaves(void **state)
{
	(void)state;
	struct tree t = { .size = 0 };

	root_is(&t, roots[0]);
	for (size_t i = 0; i < LEAVES; i++) {
		add_hex(&t, leaves[i]);
		assert_int_equal(t.size, i + 1);
		root_is(&t, roots[i + 1]);
	}
}

/* RFC 6962 section 2.1, as it is written there. */
static void definition(uint8_t (*hashes)[SHA256_LEN], size_t n, uint8_t out[static SHA256_LEN])
{
	uint8_t left[SHA256_LEN], right[SHA256_LEN];
	size_t k = 1;

	if (n == 1) {
		memcpy(out, hashes[0], SHA256_LEN);
		return;
	}
	while (k * 2 < n)
		k *= 2;
	definition(hashes, k, left);
	definition(hashes + k, n - k, right);
	const struct bytes parts[] = { { (const uint8_t *)"\x01", 1 }, { left, sizeof(left) },
		{ right, sizeof(right) } };
	assert_int_equal(hash_sha256(parts, ARRAY_LEN(parts), out), KMS_OK);
}

static void it_is_the_tree_of_the_definition(void **state)
{
	(void)state;
	static uint8_t hashes[MANY][SHA256_LEN];
	struct tree t = { .size = 0 };
	uint8_t want[SHA256_LEN], got[SHA256_LEN];

	for (uint32_t i = 0; i < MANY; i++) {
		assert_int_equal(tree_leaf(bytes_of(&i, sizeof(i)), hashes[i]), KMS_OK);
		assert_int_equal(tree_append(&t, hashes[i]), KMS_OK);
		definition(hashes, i + 1, want);
		assert_int_equal(tree_root(&t, got), KMS_OK);
		assert_memory_equal(got, want, sizeof(want));
	}
}

/* The edge is what a segment's head keeps: full subtrees, the largest first. */
static void the_edge_is_full_subtrees(void **state)
{
	(void)state;
	struct tree t = { .size = 0 };

	for (size_t i = 0; i < 7; i++)
		add_hex(&t, leaves[i]);
	AUTO(hex_done) struct hex four = hex_of(roots[4]);
	assert_int_equal(tree_edge_len(t.size), 3);
	assert_memory_equal(t.edge[0], four.p, four.n);

	/* It alone goes on. */
	struct tree again = { .size = t.size };
	memcpy(again.edge, t.edge, sizeof(t.edge));
	add_hex(&again, leaves[7]);
	root_is(&again, roots[8]);
}

static void how_many_hashes_an_edge_has(void **state)
{
	(void)state;
	assert_int_equal(tree_edge_len(0), 0);
	assert_int_equal(tree_edge_len(1), 1);
	assert_int_equal(tree_edge_len(8), 1);
	assert_int_equal(tree_edge_len(0xff), 8);
	assert_int_equal(tree_edge_len(UINT64_MAX), TREE_EDGE_MAX);
}

static void a_leaf_is_no_node(void **state)
{
	(void)state;
	struct tree t = { .size = 0 };
	uint8_t pair[2][SHA256_LEN], as_leaf[SHA256_LEN], root[SHA256_LEN];

	for (size_t i = 0; i < 2; i++) {
		AUTO(hex_done) struct hex h = hex_of(leaves[i]);
		assert_int_equal(tree_leaf(hex_bytes(h), pair[i]), KMS_OK);
		assert_int_equal(tree_append(&t, pair[i]), KMS_OK);
	}
	assert_int_equal(tree_leaf(bytes_of(pair, sizeof(pair)), as_leaf), KMS_OK);
	assert_int_equal(tree_root(&t, root), KMS_OK);
	assert_memory_not_equal(root, as_leaf, sizeof(root));
}

static void order_and_content_matter(void **state)
{
	(void)state;
	struct tree a = { .size = 0 }, b = { .size = 0 };
	uint8_t x[SHA256_LEN], y[SHA256_LEN];

	add_hex(&a, "01");
	add_hex(&a, "02");
	add_hex(&b, "02");
	add_hex(&b, "01");
	assert_int_equal(tree_root(&a, x), KMS_OK);
	assert_int_equal(tree_root(&b, y), KMS_OK);
	assert_memory_not_equal(x, y, sizeof(x));
}

static void json_done(struct json_object **o)
{
	(void)json_object_put(*o);
}

/* The published root of our eight leaves at a size, where it is one of them. */
static bool root_matches(struct json_object *file, const char *size_name, const char *root_name)
{
	struct json_object *size = NULL, *root = NULL;
	uint8_t want[SHA256_LEN + 3];

	assert_true(json_object_object_get_ex(file, size_name, &size));
	assert_true(json_object_object_get_ex(file, root_name, &root));
	int64_t n = json_object_get_int64(size);
	if (n < 0 || n > LEAVES)
		return false;
	assert_int_equal(EVP_DecodeBlock(want, (const uint8_t *)json_object_get_string(root), 44),
	    SHA256_LEN + 1);

	struct tree t = { .size = 0 };
	uint8_t got[SHA256_LEN];
	for (int64_t i = 0; i < n; i++)
		add_hex(&t, leaves[i]);
	assert_int_equal(tree_root(&t, got), KMS_OK);
	assert_memory_equal(got, want, sizeof(got));
	return true;
}

static void published_roots(void **state)
{
	(void)state;
	const char *dir = getenv("KMS_VECTORS"); /* NOLINT(concurrency-mt-unsafe) */
	size_t ran = 0;

	for (int i = 0; i < 16; i++) {
		char path[PATH_LEN];
		(void)snprintf(path, sizeof(path), "%s/merkle/consistency/%d/happy-path.json",
		    dir != NULL ? dir : KMS_SOURCE_DIR "/../shared/vectors", i);
		AUTO(json_done)
		struct json_object *file =
		    access(path, R_OK) == 0 ? json_object_from_file(path) : NULL;
		if (file == NULL)
			continue;
		ran += root_matches(file, "size1", "root1");
		ran += root_matches(file, "size2", "root2");
	}
	if (ran == 0) {
		print_message("skipped: no files of merkle/consistency\n");
		skip();
	}
	print_message("%zu published roots\n", ran);
	assert_true(ran >= 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(roots_of_eight_leaves),
		cmocka_unit_test(it_is_the_tree_of_the_definition),
		cmocka_unit_test(the_edge_is_full_subtrees),
		cmocka_unit_test(how_many_hashes_an_edge_has),
		cmocka_unit_test(a_leaf_is_no_node),
		cmocka_unit_test(order_and_content_matter),
		cmocka_unit_test(published_roots),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
