/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shares as somebody types them, and the blob of a slot as somebody changed it. A line that reads is
 * written again as the same line; one wrong character is named where it is. No blob opens but the
 * one that these shares were made with.
 */
#include <ctype.h>

#include "kms/seal/share_text.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/hex.h"
#include "tests/unit/shares_vector.h"

enum {
	TRY_TEXT,
	TRY_SLIP,
	TRY_BLOB,
	TRY_PATCH,
	CHOICES
};

struct world {
	struct share shares[VECTOR_N];
	struct hex blob;
};

/* Kept for all inputs. */
static const struct world *world(void)
{
	static struct world w;

	if (w.blob.p != NULL)
		return &w;
	(void)fuzz_secret();
	w.blob = hex_of(vector_blob);
	for (size_t i = 0; i < VECTOR_N; i++) {
		struct share_slip slip;
		CHECK(share_text_decode(bytes_of_str(vector_texts[i]), &w.shares[i], &slip) ==
		      KMS_OK);
	}
	return &w;
}

/* Whether the line is what was typed, but for case and separators. */
static bool same_line(const char *line, struct bytes typed)
{
	for (size_t i = 0; i < typed.n; i++) {
		if (typed.p[i] == '-' || isspace(typed.p[i]))
			continue;
		if (*line == '\0' || toupper(typed.p[i]) != *line++)
			return false;
	}
	return *line == '\0';
}

static void try_text(struct bytes typed)
{
	AUTO(share_done) struct share s = { .value = NULL };
	AUTO(share_text_wipe) struct share_text again;
	struct share_slip slip;
	kms_err e = share_text_decode(typed, &s, &slip);

	CHECK(e == KMS_OK || e == KMS_E_SHARE_FORM || e == KMS_E_SHARE_TYPO ||
	      e == KMS_E_NEWER_FORMAT);
	CHECK(slip.at <= slip.typed && slip.typed <= typed.n);
	if (e != KMS_E_SHARE_TYPO)
		CHECK(slip.at == 0);
	if (e != KMS_OK)
		return;
	CHECK(slip.typed == SHARE_TEXT_LEN);
	CHECK(share_text_encode(&s, &again) == KMS_OK && same_line(again.s, typed));
	(void)shares_check(hex_bytes(world()->blob), &s);
}

/* One to three wrong characters in a good line, at the places and with the values of the input. */
static void try_slip(const uint8_t *p, size_t n)
{
	static const char charset[] = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L";
	const char *right = vector_texts[n % VECTOR_N];
	struct share_text t = { { 0 } };
	struct share s;
	struct share_slip slip;
	size_t wrong = 0, last = 0;

	memcpy(t.s, right, SHARE_TEXT_LEN);
	for (size_t i = 0; i + 1 < n && i < 6; i += 2)
		t.s[4 + p[i] % (SHARE_TEXT_LEN - 4)] = charset[p[i + 1] % 32];
	for (size_t i = 0; i < SHARE_TEXT_LEN; i++) {
		wrong += t.s[i] != right[i];
		last = t.s[i] != right[i] ? i + 1 : last;
	}
	if (wrong == 0)
		return;
	CHECK(share_text_decode(bytes_of_str(t.s), &s, &slip) == KMS_E_SHARE_TYPO);
	CHECK(slip.at == (wrong == 1 ? last : 0));
}

static void try_blob(struct bytes blob)
{
	const struct world *w = world();
	bool same = bytes_equal(blob, hex_bytes(w->blob));
	struct secret *root = NULL;
	struct shares_info info;
	kms_err e = shares_info(blob, &info);

	CHECK(e == KMS_OK || e == KMS_E_STORE_CORRUPT || e == KMS_E_NEWER_FORMAT);
	for (size_t i = 0; i < VECTOR_N; i++) {
		kms_err checked = shares_check(blob, &w->shares[i]);
		CHECK(e == KMS_OK || checked == e);
		CHECK(!same || checked == KMS_OK);
	}
	kms_err opened = shares_open(blob, vector_instance, w->shares, VECTOR_K, &root);
	CHECK((opened == KMS_OK) == same);
	CHECK(e == KMS_OK || opened == e);
	if (same)
		CHECK(secret_equal(root, bytes_of(vector_root, sizeof(vector_root))));
	secret_free(&root);
}

/* The good blob with the input laid over it, so that its form holds more often. */
static void try_patch(const uint8_t *p, size_t n)
{
	uint8_t patched[512];
	size_t len = world()->blob.n;

	CHECK(len <= sizeof(patched));
	memcpy(patched, world()->blob.p, len);
	for (size_t i = 0; i + 1 < n; i += 2)
		patched[p[i] % len] ^= p[i + 1];
	try_blob(bytes_of(patched, len));
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	(void)world();
	switch (fuzz_choice(&p, &n) % CHOICES) {
	case TRY_TEXT: try_text(bytes_of(p, n)); break;
	case TRY_SLIP: try_slip(p, n); break;
	case TRY_BLOB: try_blob(bytes_of(p, n)); break;
	default: try_patch(p, n); break;
	}
	return 0;
}
