/* SPDX-License-Identifier: Apache-2.0 */
/* The table of requests under way. No input or output happens here. */
#include "kms/client/flight.h"

enum {
	PLACE_BITS = 10 /* the low bits of an id are its place */
};

static_assert(1 << PLACE_BITS == INFLIGHT_MAX, "an id must hold every place");

static uint16_t place_of(const struct flights *f, const struct flight *x)
{
	return (uint16_t)(x - f->all);
}

void flights_init(struct flights *f)
{
	for (size_t i = 0; i < INFLIGHT_MAX; i++)
		f->free[i] = (uint16_t)(INFLIGHT_MAX - 1 - i);
	f->free_n = INFLIGHT_MAX;
}

void flights_done(struct flights *f)
{
	for (size_t i = 0; i < INFLIGHT_MAX; i++)
		kms_result_free(&f->all[i].result);
}

struct flight *flight_new(struct flights *f)
{
	if (f->free_n == 0)
		return NULL;

	uint16_t place = f->free[--f->free_n];
	struct flight *x = &f->all[place];
	f->turn++;
	*x = (struct flight){ .id = f->turn << PLACE_BITS | place, .state = FLIGHT_UNDER_WAY };
	f->under_way++;
	return x;
}

void flight_cancel(struct flights *f, struct flight *x)
{
	f->under_way--;
	flight_free(f, x);
}

struct flight *flight_find(struct flights *f, uint64_t id)
{
	struct flight *x = &f->all[id % INFLIGHT_MAX];

	return x->state == FLIGHT_UNDER_WAY && x->id == id ? x : NULL;
}

/* Each place is in the ring once at most, so the ring can't overflow. */
static void come_back(struct flights *f, struct flight *x, enum flight_state state)
{
	x->state = state;
	f->under_way--;
	if (x->awaited)
		return;
	f->done[(f->done_first + f->done_n) % INFLIGHT_MAX] = place_of(f, x);
	f->done_n++;
}

void flight_land(struct flights *f, struct flight *x, struct kms_result *result)
{
	x->result = result;
	come_back(f, x, FLIGHT_DONE);
}

void flights_lose(struct flights *f, kms_err why)
{
	for (size_t i = 0; f->under_way > 0 && i < INFLIGHT_MAX; i++) {
		struct flight *x = &f->all[i];

		if (x->state != FLIGHT_UNDER_WAY)
			continue;
		x->lost = why;
		come_back(f, x, FLIGHT_LOST);
	}
}

struct flight *flights_next(struct flights *f)
{
	if (f->done_n == 0)
		return NULL;

	struct flight *x = &f->all[f->done[f->done_first]];
	f->done_first = (f->done_first + 1) % INFLIGHT_MAX;
	f->done_n--;
	return x;
}

void flight_free(struct flights *f, struct flight *x)
{
	kms_result_free(&x->result);
	x->state = FLIGHT_FREE;
	f->free[f->free_n++] = place_of(f, x);
}
