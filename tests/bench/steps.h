/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For benches that time small steps one after the other on one core: name, run, the best of some
 * rounds, printed as text or as one flat JSON object.
 */
#pragma once

#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "kms/base/base.h"
#include "kms/base/clock.h"

/* What the steps work on; each bench has its own. */
struct work;

struct step {
	const char *name, *text;
	kms_err (*run)(struct work *w);
};

struct step_rounds {
	int calls;  /* of one round */
	int rounds; /* the best counts: what disturbs a round only makes it slower */
};

/* Stays on the core where it is, unless the caller has pinned it already. */
static inline void steps_pin(void)
{
	cpu_set_t here;
	int cpu = sched_getcpu();

	CPU_ZERO(&here);
	if (cpu >= 0) {
		CPU_SET((size_t)cpu, &here);
		(void)sched_setaffinity(0, sizeof(here), &here);
	}
}

static inline kms_err step_measure(
    const struct step *s, struct step_rounds r, struct work *w, double *out_ns)
{
	uint64_t best = UINT64_MAX;

	for (int round = 0; round < r.rounds; round++) {
		uint64_t start = clock_mono_us();
		for (int i = 0; i < r.calls; i++)
			TRY(s->run(w));
		uint64_t took = clock_mono_us() - start;
		best = took < best ? took : best;
	}
	*out_ns = (double)best * 1000 / r.calls;
	return KMS_OK;
}

/* ns: room for n figures. */
static inline kms_err steps_measure(
    const struct step *steps, size_t n, struct step_rounds r, struct work *w, double *ns)
{
	for (size_t i = 0; i < n; i++)
		TRY(step_measure(&steps[i], r, w, &ns[i]));
	return KMS_OK;
}

static inline bool steps_want_json(int argc, char **argv)
{
	return argc > 1 && strcmp(argv[1], "--json") == 0;
}

static inline void steps_print(const struct step *steps, size_t n, const double *ns, bool json)
{
	if (json)
		printf("{");
	for (size_t i = 0; i < n; i++) {
		if (json)
			printf("%s\"%s_ns\":%.0f,\"%s_ops\":%.0f", i == 0 ? "" : ",", steps[i].name,
			    ns[i], steps[i].name, 1e9 / ns[i]);
		else
			printf("%-28s %7.0f ns %10.0f/s\n", steps[i].text, ns[i], 1e9 / ns[i]);
	}
	if (json)
		printf("}\n");
}
