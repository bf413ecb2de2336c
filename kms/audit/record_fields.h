/* SPDX-License-Identifier: Apache-2.0 */
/* A record's field numbers, for its writer and its reader; docs/audit.md tells their meaning. */
#pragma once

/* https://protobuf.dev/programming-guides/encoding/ */
enum wire_type {
	WIRE_VARINT = 0,
	WIRE_FIXED64 = 1,
	WIRE_BYTES = 2,
	WIRE_FIXED32 = 5
};

/* Their numbers. Only append; what is gone stays empty. */
enum {
	FIELD_FORMAT = 1, /* RECORD_VERSION */
	FIELD_SEQ = 2,
	FIELD_TIME = 3,
	FIELD_BOOT = 4,
	FIELD_IDENTITY = 5,
	FIELD_SOURCE = 6,
	FIELD_ASSERTED = 7,
	FIELD_SUBJECT = 8,
	FIELD_PURPOSE = 9,
	FIELD_OP = 10,
	FIELD_KEY = 11,
	FIELD_CLASS = 12,
	FIELD_VERSION = 13,
	FIELD_BATCH = 14,
	FIELD_RESULT = 15, /* the last one with a head of one byte */
	FIELD_LATENCY = 16,
	FIELD_CONTEXT_DIGEST = 17,
	FIELD_TAG = 18,
	FIELD_NEW_STATE = 19,
	FIELD_EPOCH = 20,
	FIELD_SET_DIGEST = 21,
	FIELD_COUNTER = 22,
	FIELD_DETAIL = 23,
	FIELD_ITEMS = 24, /* the last one: the reader skips what is behind it */

	ITEM_TAG = 1,
	ITEM_VERSION = 2,
	ITEM_RESULT = 3
};
