/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of keys by their ids, for records, which hold ids alone. Asks kmsd for its list of keys
 * when it meets an id that it does not know, and goes without names where it may not have them.
 */
#pragma once

#include "kms/base/types.h"
#include "kms/ctl/ctl.h"

enum {
	KEYNAMES_STRANGERS = 64 /* ids without a name that are remembered as such */
};

struct keyname {
	struct key_id id;
	char name[NAME_MAX_LEN + 1];
};

/* Zero all of it before the first use. */
struct keynames {
	struct keyname *p; /* sorted by id */
	size_t n;
	struct key_id strangers[KEYNAMES_STRANGERS];
	size_t stranger_n; /* so many have been put there, the newest over the oldest */
	bool asked;        /* since keynames_begin() */
};

/* Before each page of records: the list of keys is asked for once a page at most. */
void keynames_begin(struct keynames *names);
/*
 * NULL: no name is known. Borrowed until the next call. c must be connected; an error of its own
 * stays as it was.
 */
const char *keynames_find(struct keynames *names, struct ctl *c, const struct key_id *id);
void keynames_done(struct keynames *names);
