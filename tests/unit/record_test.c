/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records written and read back, their bytes pinned, and everything that must not pass for one.
 */
#include "kms/audit/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/unit/hex.h"

static struct record_item items[BATCH_MAX];

/* For what holds no text: the bytes are gone when it returns. */
static kms_err decode_hex(const char *text, struct record *out)
{
	AUTO(hex_done) struct hex h = hex_of(text);

	return record_decode(hex_bytes(h), items, out);
}

static void is_corrupt(const char *text)
{
	struct record r = { .seq = 77 };

	assert_int_equal(decode_hex(text, &r), KMS_E_AUDIT_CORRUPT);
	assert_int_equal(r.seq, 77);
}

static struct record full(struct record_item two[static 2])
{
	struct record r = {
		.seq = UINT64_MAX,
		.time_us = 1772323200000001,
		.identity = bytes_of_str("unix:1000"),
		.source = bytes_of_str("unix"),
		.asserted = bytes_of_str("tls:crm.example"),
		.subject = bytes_of_str("agent-17"),
		.purpose = bytes_of_str("playback"),
		.op = OP_UNWRAP,
		.key_class = bytes_of_str("voice"),
		.version = UINT32_MAX,
		.batch = 2,
		.result = KMS_E_INTEGRITY,
		.latency_us = 170,
		.new_state = STATE_SUSPENDED,
		.epoch = 300,
		.counter = 1,
		.detail = bytes_of_str("tpm"),
		.items = two,
		.item_n = 2,
	};

	memset(r.boot, 1, sizeof(r.boot));
	memset(r.key.b, 2, sizeof(r.key.b));
	memset(r.context_digest, 3, sizeof(r.context_digest));
	memset(r.tag, 4, sizeof(r.tag));
	memset(r.set_digest, 5, sizeof(r.set_digest));
	two[0] = (struct record_item){ .version = 7, .result = KMS_E_DESTROYED };
	memset(two[0].tag, 6, sizeof(two[0].tag));
	two[1] = (struct record_item){ .version = 0 };
	return r;
}

static void texts_equal(struct bytes a, struct bytes b)
{
	assert_true(bytes_equal(a, b));
}

static void records_equal(const struct record *a, const struct record *b)
{
	assert_true(a->seq == b->seq && a->time_us == b->time_us && a->epoch == b->epoch);
	assert_true(a->counter == b->counter && a->version == b->version && a->batch == b->batch);
	assert_true(a->op == b->op && a->result == b->result && a->new_state == b->new_state);
	assert_int_equal(a->latency_us, b->latency_us);
	assert_memory_equal(a->boot, b->boot, sizeof(a->boot));
	assert_memory_equal(a->key.b, b->key.b, sizeof(a->key.b));
	assert_memory_equal(a->context_digest, b->context_digest, sizeof(a->context_digest));
	assert_memory_equal(a->tag, b->tag, sizeof(a->tag));
	assert_memory_equal(a->set_digest, b->set_digest, sizeof(a->set_digest));
	texts_equal(a->identity, b->identity);
	texts_equal(a->source, b->source);
	texts_equal(a->asserted, b->asserted);
	texts_equal(a->subject, b->subject);
	texts_equal(a->purpose, b->purpose);
	texts_equal(a->key_class, b->key_class);
	texts_equal(a->detail, b->detail);
	assert_int_equal(a->item_n, b->item_n);
	for (size_t i = 0; i < a->item_n; i++) {
		assert_memory_equal(a->items[i].tag, b->items[i].tag, RECORD_TAG_LEN);
		assert_int_equal(a->items[i].version, b->items[i].version);
		assert_int_equal(a->items[i].result, b->items[i].result);
	}
}

static void every_field_comes_back(void **state)
{
	(void)state;
	AUTO(buf_done) struct buf b = { 0 };
	struct record_item two[2];
	const struct record r = full(two);
	struct record got;
	uint64_t seq = 0;

	assert_int_equal(record_encode(&r, &b), KMS_OK);
	assert_true(b.n <= record_room(&r));
	assert_int_equal(record_decode(buf_bytes(&b), items, &got), KMS_OK);
	records_equal(&r, &got);
	assert_int_equal(record_seq(buf_bytes(&b), &seq), KMS_OK);
	assert_true(seq == r.seq);
}

/* What stands here stands in logs: it may never change. */
static void the_bytes_are_pinned(void **state)
{
	(void)state;
	static const char want[] =
	    "0801"
	    "10ffffffffffffffffff01"
	    "1881c08db6b2fd9203"
	    "221001010101010101010101010101010101"
	    "2a09756e69783a31303030"
	    "3204756e6978"
	    "3a0f746c733a63726d2e6578616d706c65"
	    "42086167656e742d3137"
	    "4a08706c61796261636b"
	    "5016"
	    "5a1002020202020202020202020202020202"
	    "6205766f696365"
	    "68ffffffff0f"
	    "7002"
	    "7a09696e74656772697479"
	    "8001aa01"
	    "8a0120"
	    "0303030303030303030303030303030303030303030303030303030303030303"
	    "92011004040404040404040404040404040404"
	    "980103"
	    "a001ac02"
	    "aa0120"
	    "0505050505050505050505050505050505050505050505050505050505050505"
	    "b00101"
	    "ba010374706d"
	    "c2011f0a100606060606060606060606060606060610071a0964657374726f796564"
	    "c20100";
	AUTO(buf_done) struct buf b = { 0 };
	AUTO(hex_done) struct hex h = hex_of(want);
	struct record_item two[2];
	const struct record r = full(two);

	assert_int_equal(record_encode(&r, &b), KMS_OK);
	assert_int_equal(b.n, h.n);
	assert_memory_equal(b.p, h.p, h.n);
}

static void an_empty_record_is_four_bytes(void **state)
{
	(void)state;
	AUTO(buf_done) struct buf b = { 0 };
	const struct record r = { .seq = 0 };
	struct record got;

	assert_int_equal(record_encode(&r, &b), KMS_OK);
	assert_int_equal(b.n, 4);
	assert_memory_equal(b.p, "\x08\x01\x10\x00", 4);
	assert_int_equal(record_decode(buf_bytes(&b), items, &got), KMS_OK);
	records_equal(&r, &got);
}

static void it_is_appended(void **state)
{
	(void)state;
	AUTO(buf_done) struct buf b = { 0 };
	const struct record r = { .seq = 5 };

	assert_int_equal(buf_put(&b, bytes_of_str("before")), KMS_OK);
	assert_int_equal(record_encode(&r, &b), KMS_OK);
	assert_memory_equal(b.p, "before\x08\x01\x10\x05", 10);
}

static void a_whole_batch_fits_with_every_error(void **state)
{
	(void)state;
	static struct record_item all[BATCH_MAX + 1];
	AUTO(buf_done) struct buf b = { 0 };
	struct record_item two[2];
	struct record r = full(two), got;

	for (int e = KMS_OK; e < KMS_ERR_COUNT; e++) {
		for (size_t i = 0; i < ARRAY_LEN(all); i++) {
			memset(all[i].tag, 0xff, sizeof(all[i].tag));
			all[i].version = UINT32_MAX;
			all[i].result = (kms_err)e;
		}
		r.items = all;
		r.item_n = BATCH_MAX;
		b.n = 0;
		assert_int_equal(record_encode(&r, &b), KMS_OK);
		assert_int_equal(record_decode(buf_bytes(&b), items, &got), KMS_OK);
		records_equal(&r, &got);
	}
	r.item_n = BATCH_MAX + 1;
	b.n = 3;
	assert_int_equal(record_encode(&r, &b), KMS_E_INTERNAL);
	assert_int_equal(b.n, 3);
}

static void too_long_a_record_is_refused(void **state)
{
	(void)state;
	AUTO(buf_done) struct buf b = { 0 };
	static uint8_t text[RECORD_MAX];
	struct record r = { .seq = 1 };

	/* Version and number 4, the text's head 1 and length 3. */
	r.subject = bytes_of(text, RECORD_MAX - 8);
	assert_int_equal(record_encode(&r, &b), KMS_OK);
	assert_int_equal(b.n, RECORD_MAX);
	r.subject.n++;
	assert_int_equal(record_encode(&r, &b), KMS_E_INTERNAL);
	assert_int_equal(b.n, RECORD_MAX);
	r.subject.n = SIZE_MAX / 4;
	assert_int_equal(record_encode(&r, &b), KMS_E_INTERNAL);
}

/* Cut where a field ends it is a shorter record, cut elsewhere it is none. */
static void a_cut_record_is_shorter_or_none(void **state)
{
	(void)state;
	AUTO(buf_done) struct buf b = { 0 };
	struct record_item two[2];
	const struct record r = full(two);
	size_t whole = 0;

	assert_int_equal(record_encode(&r, &b), KMS_OK);
	for (size_t n = 0; n < b.n; n++) {
		AUTO(hex_done) struct hex cut = hex_room(n);
		struct record got;
		memcpy(cut.p, b.p, n);
		kms_err e = record_decode(hex_bytes(cut), items, &got);
		assert_true(e == KMS_OK || e == KMS_E_AUDIT_CORRUPT);
		whole += e == KMS_OK;
	}
	assert_int_equal(whole, 23);
}

static void what_is_not_a_record(void **state)
{
	(void)state;
	is_corrupt("");
	is_corrupt("0801");             /* no sequence number */
	is_corrupt("1001");             /* no version */
	is_corrupt("10010801");         /* in the wrong order */
	is_corrupt("08001001");         /* version 0 */
	is_corrupt("0a01011001");       /* version as bytes */
	is_corrupt("0801120101");       /* number as bytes */
	is_corrupt("080110010801");     /* version again */
	is_corrupt("080110011002");     /* number again */
	is_corrupt("0801100118011802"); /* time twice */
	is_corrupt("08011001"
	           "32017532"
	           "0175");               /* source twice */
	is_corrupt("080110012800");       /* identity as a number */
	is_corrupt("080110012203010203"); /* boot of 3 bytes */
	is_corrupt("08011001"
	           "920111"
	           "0404040404040404040404040404040404"); /* tag of 17 */
	is_corrupt("0801100150ffffffff1f");               /* an op over 32 bits */
	is_corrupt("080110015d01000000");                 /* key as fixed32 */
	is_corrupt("080110017a00");                       /* an empty result */
	is_corrupt("080110017801");                       /* result as a number */
	is_corrupt("08011001c0011f");                     /* an item as a number */
	is_corrupt("08011001c201020a00");                 /* an item with an empty tag */
	is_corrupt("08011001c2010410011002");             /* an item's version twice */
	is_corrupt("08011001c2010110");                   /* an item cut short */
	is_corrupt("080110012a05");                       /* a text over the end */
	is_corrupt("080110012affffffffffffffffff01");     /* far over it */
	is_corrupt("0801100118");                         /* a number cut short */
	is_corrupt("08011001188080808080808080808001");   /* of 11 bytes */
	is_corrupt("08011001"
	           "18ffffffffffffffffff02"); /* of 65 bits */
	is_corrupt("0801100103");             /* a group: no part of proto3 */
	is_corrupt("0801100100");             /* field 0 */
}

static void unknown_fields_are_skipped(void **state)
{
	(void)state;
	/* 25 as number, 26 as bytes, 27 fixed64, 28 fixed32, 100 twice; then the source. */
	AUTO(hex_done)
	struct hex h = hex_of("08021007"
	                      "c80105"
	                      "d20103010203"
	                      "d9010102030405060708"
	                      "e50101020304"
	                      "a00601a00602"
	                      "3204756e6978");
	struct record r;

	assert_int_equal(record_decode(hex_bytes(h), items, &r), KMS_OK);
	assert_int_equal(r.seq, 7);
	texts_equal(r.source, bytes_of_str("unix"));
	/* In an item too. */
	assert_int_equal(decode_hex("08011007c2010410012005", &r), KMS_OK);
	assert_int_equal(r.item_n, 1);
	assert_int_equal(r.items[0].version, 1);
}

static void an_unknown_result_is_a_failure(void **state)
{
	(void)state;
	struct record r;

	assert_int_equal(decode_hex("080110077a036e6577", &r), KMS_OK);
	assert_int_equal(r.result, KMS_E_INTERNAL);
	assert_int_equal(decode_hex("080110077a026f6b", &r), KMS_OK);
	assert_int_not_equal(r.result, KMS_OK);
}

static void too_many_items_are_refused(void **state)
{
	(void)state;
	AUTO(hex_done) struct hex h = hex_room(4 + (BATCH_MAX + 1) * 3);
	struct record r;

	memcpy(h.p, "\x08\x01\x10\x07", 4);
	for (size_t i = 0; i <= BATCH_MAX; i++)
		memcpy(h.p + 4 + 3 * i, "\xc2\x01\x00", 3);
	assert_int_equal(record_decode(bytes_of(h.p, h.n - 3), items, &r), KMS_OK);
	assert_int_equal(r.item_n, BATCH_MAX);
	assert_int_equal(record_decode(hex_bytes(h), items, &r), KMS_E_AUDIT_CORRUPT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_field_comes_back),
		cmocka_unit_test(the_bytes_are_pinned),
		cmocka_unit_test(an_empty_record_is_four_bytes),
		cmocka_unit_test(it_is_appended),
		cmocka_unit_test(a_whole_batch_fits_with_every_error),
		cmocka_unit_test(too_long_a_record_is_refused),
		cmocka_unit_test(a_cut_record_is_shorter_or_none),
		cmocka_unit_test(what_is_not_a_record),
		cmocka_unit_test(unknown_fields_are_skipped),
		cmocka_unit_test(an_unknown_result_is_a_failure),
		cmocka_unit_test(too_many_items_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
