/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owned, growing bytes that are wiped when freed, and a reader over borrowed bytes. Integers
 * are little-endian. For sealed and public bytes only; key bytes live in struct secret.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/base/types.h"

struct buf {
	uint8_t *p;
	size_t n;   /* bytes in use */
	size_t cap; /* bytes allocated */
};

/* Wipes all of cap, frees, and leaves an empty buf. Takes an already empty one. */
void buf_done(struct buf *b);
/* Forgets the content (wiped) and keeps the memory. */
void buf_clear(struct buf *b);
/* Makes room for n more bytes. KMS_E_NO_MEMORY; then b is unchanged. Growth wipes the old block. */
MUST_USE kms_err buf_reserve(struct buf *b, size_t n);
/* Appends. KMS_E_NO_MEMORY; then b is unchanged. */
MUST_USE kms_err buf_put(struct buf *b, struct bytes x);
MUST_USE kms_err buf_put_u8(struct buf *b, uint8_t x);
MUST_USE kms_err buf_put_u16(struct buf *b, uint16_t x);
MUST_USE kms_err buf_put_u32(struct buf *b, uint32_t x);
MUST_USE kms_err buf_put_u64(struct buf *b, uint64_t x);
/* Appends a length of 2 bytes and the bytes; KMS_E_INTERNAL if they are over 65,535. */
MUST_USE kms_err buf_put_var(struct buf *b, struct bytes x);
/* Drops the first n bytes (n <= b->n) and wipes the room that falls free. */
void buf_drop(struct buf *b, size_t n);
/* Borrow of all that is in use. */
struct bytes buf_bytes(const struct buf *b);

/* Reads forward; the first failure is kept, later reads give zeros, so check once at the end. */
struct reader {
	struct bytes in; /* what is left */
	bool failed;
};

struct reader reader_of(struct bytes in);
uint8_t read_u8(struct reader *r);
uint16_t read_u16(struct reader *r);
uint32_t read_u32(struct reader *r);
uint64_t read_u64(struct reader *r);
/* Borrows n bytes; empty if there are fewer. */
struct bytes read_bytes(struct reader *r, size_t n);
/* Copies exactly n bytes to out, zeros if there are fewer. */
void read_into(struct reader *r, uint8_t *out, size_t n);
/* Borrows what buf_put_var wrote. */
struct bytes read_var(struct reader *r);
/* True if nothing failed and nothing is left. */
bool reader_done(const struct reader *r);

/* Little-endian stores and loads at a place, for fixed layouts. */
void store_u16(uint8_t *p, uint16_t x);
void store_u32(uint8_t *p, uint32_t x);
void store_u64(uint8_t *p, uint64_t x);
uint16_t load_u16(const uint8_t *p);
uint32_t load_u32(const uint8_t *p);
uint64_t load_u64(const uint8_t *p);
