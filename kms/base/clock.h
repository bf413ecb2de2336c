/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time: microseconds of the wall clock for records, of the monotonic clock for deadlines, and
 * the text forms that systemd uses. Floor 0.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/base/types.h"

enum {
	CLOCK_TEXT_LEN = 32
};

/* Microseconds since 1970, UTC. */
uint64_t clock_wall_us(void);
/* Microseconds of CLOCK_MONOTONIC; for deadlines and latencies. */
uint64_t clock_mono_us(void);
/* "2026-03-01 14:05:09 UTC"; "-" for 0. */
void clock_format(uint64_t wall_us, char out[static CLOCK_TEXT_LEN]);
/* RFC 3339 with microseconds, "2026-03-01T14:05:09.000123Z", for JSON. "" for 0. */
void clock_format_json(uint64_t wall_us, char out[static CLOCK_TEXT_LEN]);
/* A span as systemd.time(7) writes it: "90d", "12h 30min", "2w"; seconds without a unit. */
MUST_USE kms_err clock_parse_span(const char *text, uint64_t *out_seconds);
