/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper: the only process that holds the root, the keyring or a master key. This struct is
 * all of its state; it is passed down and there is no other. One thread, the loop, owns it.
 */
#pragma once

#include <event2/event.h>

#include "kms/base/arena.h"
#include "kms/base/base.h"
#include "kms/crypto/rand.h"
#include "kms/keeper/config.h"
#include "kms/keeper/link.h"
#include "kms/keys/ring.h"
#include "kms/policy/policy.h"
#include "kms/store/rows.h"

/* What the parent hands to its keeper. */
struct keeper_start {
	const struct config *config;
	int listen_fd, link_fd;
	unsigned starts; /* 1, and one more for each restart */
};

enum {
	SANDBOX_NOTES_MAX = 4,
	SANDBOX_NOTE_LEN = 48,
	KEEPER_EVENTS = 5
};

struct keeper {
	const struct keeper_start *start;
	const struct config *config;
	struct link_live live; /* of the configuration, as read last */
	uint64_t descriptors;  /* that we may have */
	struct event_base *base;
	struct arena arena; /* of the request at hand */
	struct rand_block *rand;
	uint64_t wall_us, mono_us; /* of this turn of the loop */
	uint64_t started_us;
	uint64_t stop_us; /* when we were asked to stop; 0: not yet */
	uint8_t boot[16];
	uint8_t instance[INSTANCE_ID_LEN];
	int store_dir, audit_dir;
	int backup_dir; /* -1: there are no backups */
	char sandbox[SANDBOX_NOTES_MAX][SANDBOX_NOTE_LEN];
	size_t sandbox_n;
	bool memory_locked;
	struct event *events[KEEPER_EVENTS]; /* signals, journal, chores, link */

	struct policy policy;
	struct ring *ring; /* NULL while sealed */
	struct rows *rows; /* NULL while sealed */
	struct epoch epoch;

	struct server *server;   /* connections */
	struct turn *turn;       /* audit records on their way to disk */
	struct journal *journal; /* the thread that makes things durable */
	struct chores *chores;   /* the thread for what is slow */
	struct helper *helper;   /* kms-seal */
	struct backoff *backoff; /* slots that rest after wrong PINs */
	struct health *health;   /* whether slots would still open the root */
	struct root *root;       /* sealed or not, and how we got there */
	struct changes *changes; /* changes of keys on their way to disk and chip */
	struct counts *counts;   /* uses of keys, reserved in blocks */
	struct replies *replies; /* changes asked for lately */
	struct tails *tails;     /* readers of the log */
	struct backup *backup;   /* backups, and when the next is due */
	struct metrics *metrics;
	uint64_t rows_number; /* of the last batch of rows given to the journal */
};

/* The keeper process, from its fork to its exit status. */
int keeper_run(const struct keeper_start *start);
/*
 * Its three parts: opens everything and begins to open the root (k zeroed before; start is
 * borrowed), turns the loop once (false: it has stopped), settles and wipes. Close it in any case.
 */
MUST_USE kms_err keeper_open(struct keeper *k, const struct keeper_start *start);
bool keeper_turn(struct keeper *k);
void keeper_close(struct keeper *k);
/* Takes nothing more in, and ends the loop when what is under way has been answered. */
void keeper_stop(struct keeper *k);
/* Reads the clocks: first in whatever the loop calls. */
void keeper_tick(struct keeper *k);
/* Tells the parent, and through it systemd, how we are. */
void keeper_tell_state(struct keeper *k, const char *text);
