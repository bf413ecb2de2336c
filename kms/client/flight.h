/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The requests of one connection that have not been given back to the caller: under way, answered,
 * or lost. A fixed table; ids carry the place in it and never repeat.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/base/types.h"
#include "kms/client/result.h"

enum flight_state {
	FLIGHT_FREE = 0,
	FLIGHT_UNDER_WAY,
	FLIGHT_DONE,
	FLIGHT_LOST
};

struct flight {
	uint64_t id;
	uint64_t deadline_us;      /* of clock_mono_us() */
	struct kms_result *result; /* once done; owned */
	kms_err lost;              /* once lost: why */
	enum flight_state state;
	enum answer_kind kind; /* what the answer must be, unless it is an error … */
	enum answer_kind also; /* … or of this kind */
	size_t items;          /* and of how many items */
	bool awaited;          /* a synchronous call waits for it; kms_wait must not give it */
};

struct flights {
	struct flight all[INFLIGHT_MAX];
	uint16_t free[INFLIGHT_MAX]; /* a stack of free places */
	size_t free_n;
	uint16_t done[INFLIGHT_MAX]; /* a ring of places, in the order in which answers came */
	size_t done_first, done_n;
	size_t under_way;
	uint64_t turn; /* makes ids unique */
};

void flights_init(struct flights *f);
/* Frees results that nobody took. */
void flights_done(struct flights *f);
/* A place under way, zeroed but for id and state; NULL when all are taken. */
struct flight *flight_new(struct flights *f);
/* Takes a flight back that never left. */
void flight_cancel(struct flights *f, struct flight *x);
/* NULL if no flight under way has this id. */
struct flight *flight_find(struct flights *f, uint64_t id);
/* The answer is there; the flight takes the result. */
void flight_land(struct flights *f, struct flight *x, struct kms_result *result);
/* Everything under way is lost. */
void flights_lose(struct flights *f, kms_err why);
/* The oldest one that came back and is not awaited, or NULL. */
struct flight *flights_next(struct flights *f);
/* Gives the place back. Its result must have been moved out, or is freed. */
void flight_free(struct flights *f, struct flight *x);
