/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signed notes and the checkpoints in them: what is written is read, by the letter of C2SP's texts,
 * and what could be written in another way is refused. Also kms/audit/checkpoint.c's test.
 */
#include "kms/audit/note.h"

#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "kms/audit/checkpoint.h"
#include "tests/unit/secrets.h"
#include "tests/unit/signer.h"

enum {
	LINE = 400
};

static const char name[] = "kms/log/00112233445566778899aabbccddeeff";
static const uint8_t instance[INSTANCE_ID_LEN] = { 0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
	0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff };

static struct checkpoint some_checkpoint(void)
{
	struct checkpoint c = { .size = 1234 };

	checkpoint_origin(instance, c.origin);
	memset(c.root, 0xab, sizeof(c.root));
	return c;
}

static void a_checkpoint_is_three_lines(void **state)
{
	(void)state;
	AUTO(buf_done) struct buf text = { 0 };
	const struct checkpoint c = some_checkpoint();
	struct checkpoint back;
	static const char want[] = "kms/log/00112233445566778899aabbccddeeff\n1234\n"
	                           "q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=\n";

	assert_int_equal(checkpoint_encode(&c, &text), KMS_OK);
	assert_true(bytes_equal(buf_bytes(&text), bytes_of_str(want)));
	assert_int_equal(checkpoint_decode(buf_bytes(&text), &back), KMS_OK);
	assert_string_equal(back.origin, c.origin);
	assert_int_equal(back.size, c.size);
	assert_memory_equal(back.root, c.root, sizeof(c.root));
}

static void other_ways_to_write_a_checkpoint(void **state)
{
	(void)state;
#define ORIGIN "kms/log/00112233445566778899aabbccddeeff\n"
#define ROOT   "q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s="
	static const char *const bad[] = { "", "\n\n\n", ORIGIN, ORIGIN "1\n", ORIGIN "1\n" ROOT,
		ORIGIN "01\n" ROOT "\n", ORIGIN "+1\n" ROOT "\n", ORIGIN "-1\n" ROOT "\n",
		ORIGIN " 1\n" ROOT "\n", ORIGIN "\n" ROOT "\n", ORIGIN "1x\n" ROOT "\n",
		ORIGIN "18446744073709551616\n" ROOT "\n",
		ORIGIN "99999999999999999999999\n" ROOT "\n", ORIGIN "1\n" ROOT "\n\n",
		ORIGIN "1\n" ROOT "\nextension\n", ORIGIN "1\n " ROOT "\n", ORIGIN "1\nq6s=\n",
		ORIGIN "1\n" ROOT "=\n", "kms/loG/00112233445566778899aabbccddeeff\n1\n" ROOT "\n",
		"kms/log/0011\n1\n" ROOT "\n" };
	struct checkpoint c;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(checkpoint_decode(bytes_of_str(bad[i]), &c), KMS_E_BAD_REQUEST);
	assert_int_equal(
	    checkpoint_decode(bytes_of_str(ORIGIN "18446744073709551615\n" ROOT "\n"), &c), KMS_OK);
	assert_true(c.size == UINT64_MAX);
	assert_int_equal(checkpoint_decode(bytes_of_str(ORIGIN "0\n" ROOT "\n"), &c), KMS_OK);
}

static void a_note_is_read_back_and_verifies(void **state)
{
	(void)state;
	AUTO(signer_done) struct signer a = signer_new(name, 1);
	AUTO(signer_done) struct signer b = signer_new(name, 2);
	AUTO(signer_done) struct signer c = signer_new("other", 1);
	AUTO(buf_done) struct buf text = { 0 };
	const struct checkpoint point = some_checkpoint();
	struct note n;

	signer_note(&a, &point, &text);
	assert_int_equal(note_decode(buf_bytes(&text), &n), KMS_OK);
	assert_int_equal(n.n, 1);
	assert_int_equal(note_verify(&n, &a.key, a.public), KMS_OK);
	assert_int_equal(note_verify(&n, &b.key, b.public), KMS_E_NOT_FOUND);
	/* A key is its name too. */
	assert_int_equal(note_verify(&n, &c.key, c.public), KMS_E_NOT_FOUND);
	struct bytes signed_text = n.text;
	AUTO(buf_done) struct buf copy = { 0 };
	assert_int_equal(buf_put(&copy, signed_text), KMS_OK);
	signer_sign(&b, buf_bytes(&copy), &text);
	assert_int_equal(note_decode(buf_bytes(&text), &n), KMS_OK);
	assert_int_equal(n.n, 2);
	assert_int_equal(note_verify(&n, &a.key, a.public), KMS_OK);
	assert_int_equal(note_verify(&n, &b.key, b.public), KMS_OK);
}

/* Byte by byte as the standard says, without our encoder. */
static void the_form_of_a_signature_line(void **state)
{
	(void)state;
	AUTO(signer_done) struct signer s = signer_new("example.com/log", 1);
	AUTO(buf_done) struct buf line = { 0 };
	const uint8_t sig[3] = { 1, 2, 3 };
	uint8_t hash[32], raw[7];
	char want[LINE], text[16];

	assert_int_equal(
	    EVP_Digest(s.key.spki, sizeof(s.key.spki), hash, NULL, EVP_sha256(), NULL), 1);
	memcpy(raw, hash, 4);
	memcpy(raw + 4, sig, 3);
	(void)EVP_EncodeBlock((uint8_t *)text, raw, sizeof(raw));
	(void)snprintf(want, sizeof(want), "\xe2\x80\x94 example.com/log %s\n", text);
	assert_int_equal(note_sign(&s.key, bytes_of(sig, sizeof(sig)), &line), KMS_OK);
	assert_true(bytes_equal(buf_bytes(&line), bytes_of_str(want)));
}

static void a_changed_note_does_not_verify(void **state)
{
	(void)state;
	AUTO(signer_done) struct signer s = signer_new(name, 1);
	AUTO(buf_done) struct buf text = { 0 };
	const struct checkpoint point = some_checkpoint();
	struct note n;

	signer_note(&s, &point, &text);
	for (size_t i = 0; i < text.n; i++) {
		for (unsigned bit = 1; bit < 256; bit <<= 1) {
			text.p[i] ^= (uint8_t)bit;
			kms_err e = note_decode(buf_bytes(&text), &n);
			if (e == KMS_OK)
				e = note_verify(&n, &s.key, s.public);
			assert_int_not_equal(e, KMS_OK);
			text.p[i] ^= (uint8_t)bit;
		}
	}
	for (size_t i = 0; i < text.n; i++)
		assert_int_not_equal(note_decode(bytes_of(text.p, i), &n), KMS_OK);
}

static void what_is_no_note(void **state)
{
	(void)state;
#define SIG "\xe2\x80\x94 k AAAAAAA=\n"
	static const char *const bad[] = { "", "\n", "text\n", "text\n\n", "text\n\nx\n",
		"\n\n" SIG, /* no text */
		"text" SIG, "text\n" SIG, "te\txt\n\n" SIG, "te\x7fxt\n\n" SIG, "t\xc3\xa9\n\n" SIG,
		"text\n\n- k AAAAAAA=\n", "text\n\n\xe2\x80\x94k AAAAAAA=\n",
		"text\n\n\xe2\x80\x94  AAAAAAA=\n", "text\n\n\xe2\x80\x94 k+k AAAAAAA=\n",
		"text\n\n\xe2\x80\x94 k AAAAAA==\n", /* an id and nothing behind it */
		"text\n\n\xe2\x80\x94 k AAAAAAA= \n", "text\n\n\xe2\x80\x94 k AAAA AAA=\n",
		"text\n\n\xe2\x80\x94 k AAAAAAB=\n", "text\n\n\xe2\x80\x94 k\n",
		"text\n\n\xe2\x80\x94 k AAAAAAA=", "text\n\n" SIG "\n", "text\n\n" SIG "x" };
	struct note n;

	assert_int_equal(note_decode(bytes_of_str("text\n\n" SIG), &n), KMS_OK);
	assert_int_equal(note_decode(bytes_of_str("two\n\nparts\n\n" SIG SIG), &n), KMS_OK);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (note_decode(bytes_of_str(bad[i]), &n) != KMS_E_BAD_REQUEST)
			fail_msg("%zu is read as a note", i);
}

static void too_much_is_refused(void **state)
{
	(void)state;
	AUTO(buf_done) struct buf text = { 0 };
	struct note n;

	assert_int_equal(buf_put(&text, bytes_of_str("text\n\n")), KMS_OK);
	for (int i = 0; i <= NOTE_SIGNATURES_MAX; i++) {
		kms_err e = i == 0 ? KMS_E_BAD_REQUEST : KMS_OK;
		assert_int_equal(note_decode(buf_bytes(&text), &n), e);
		assert_int_equal(buf_put(&text, bytes_of_str(SIG)), KMS_OK);
	}
	assert_int_equal(note_decode(buf_bytes(&text), &n), KMS_E_BAD_REQUEST);
	text.n = 0;
	while (text.n <= NOTE_MAX)
		assert_int_equal(buf_put(&text, bytes_of_str("text\n")), KMS_OK);
	assert_int_equal(buf_put(&text, bytes_of_str("\n" SIG)), KMS_OK);
	assert_int_equal(note_decode(buf_bytes(&text), &n), KMS_E_BAD_REQUEST);
}

static void a_key_as_text(void **state)
{
	(void)state;
	AUTO(signer_done) struct signer s = signer_new(name, 1);
	AUTO(buf_done) struct buf text = { 0 };
	struct note_key k;
	char id[9];

	assert_int_equal(note_key_encode(&s.key, &text), KMS_OK);
	(void)snprintf(
	    id, sizeof(id), "%02x%02x%02x%02x", s.key.id[0], s.key.id[1], s.key.id[2], s.key.id[3]);
	assert_memory_equal(text.p + strlen(name) + 1, id, 8);
	assert_int_equal(note_key_decode(buf_bytes(&text), &k), KMS_OK);
	assert_true(note_key_equal(&k, &s.key));
	assert_memory_equal(k.id, s.key.id, sizeof(k.id));
	/* No other text is a key, so none is another key's. */
	for (size_t i = strlen(name); i < text.n; i++) {
		text.p[i] ^= 1;
		assert_int_equal(note_key_decode(buf_bytes(&text), &k), KMS_E_BAD_REQUEST);
		text.p[i] ^= 1;
	}
	for (size_t i = 0; i < text.n; i++)
		assert_int_equal(note_key_decode(bytes_of(text.p, i), &k), KMS_E_BAD_REQUEST);
	assert_int_equal(
	    note_key_make("", bytes_of(s.key.spki, ECDSA_SPKI_LEN), &k), KMS_E_BAD_REQUEST);
	assert_int_equal(
	    note_key_make("a b", bytes_of(s.key.spki, ECDSA_SPKI_LEN), &k), KMS_E_BAD_REQUEST);
	assert_int_equal(note_key_make("k", bytes_of(s.key.spki, 4), &k), KMS_E_BAD_REQUEST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_checkpoint_is_three_lines),
		cmocka_unit_test(other_ways_to_write_a_checkpoint),
		cmocka_unit_test(a_note_is_read_back_and_verifies),
		cmocka_unit_test(the_form_of_a_signature_line),
		cmocka_unit_test(a_changed_note_does_not_verify),
		cmocka_unit_test(what_is_no_note),
		cmocka_unit_test(too_much_is_refused),
		cmocka_unit_test(a_key_as_text),
	};

	return cmocka_run_group_tests(tests, secrets_begin, secrets_end);
}
