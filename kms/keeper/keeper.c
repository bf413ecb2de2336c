/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper process: gives up what it may do, opens what it needs, and turns its loop. One turn
 * is: events, parked requests, changes, counters, then one hand-over to the journal. Requests are
 * followed in request.c.
 */
#include "kms/keeper/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <unistd.h>

#include "kms/base/clock.h"
#include "kms/base/log.h"
#include "kms/base/secret.h"
#include "kms/keeper/backoff.h"
#include "kms/keeper/backup.h"
#include "kms/keeper/changes.h"
#include "kms/keeper/chores.h"
#include "kms/keeper/counts.h"
#include "kms/keeper/health.h"
#include "kms/keeper/helper.h"
#include "kms/keeper/journal.h"
#include "kms/keeper/metrics.h"
#include "kms/keeper/replies.h"
#include "kms/keeper/root.h"
#include "kms/keeper/sandbox.h"
#include "kms/keeper/server.h"
#include "kms/keeper/tails.h"
#include "kms/keeper/turn.h"

enum {
	ARENA_LIMIT = 8 << 20, /* bytes for one request: a frame of 1,024 items and its answer */
	MMAP_FROM = 128 << 10, /* bytes */
	FDS_OURS = 96,         /* descriptors for files, threads, places of the operator */
	SECRETS_OURS = 256,    /* besides key versions: root, keyring, keys derived from it */
	STOP_PATIENCE_US = 5000000 /* what is under way at a stop may take so long */
};

void keeper_tick(struct keeper *k)
{
	k->wall_us = clock_wall_us();
	k->mono_us = clock_mono_us();
}

void keeper_stop(struct keeper *k)
{
	if (k->stop_us != 0)
		return;
	k->stop_us = k->mono_us;
	server_drain(k->server);
}

void keeper_tell_state(struct keeper *k, const char *text)
{
	struct link_message m = { .word = LINK_STATE };
	(void)snprintf(m.text, sizeof(m.text), "%s", text);
	/* A parent that is gone has told us to stop by its death. */
	if (link_send(k->start->link_fd, &m, -1) != KMS_OK)
		LOG(LOG_LEVEL_INFO, "link", "The parent can't be told the state.",
		    log_str("state", text));
}

static void on_signal(evutil_socket_t signal_number, short what, void *arg)
{
	(void)signal_number;
	(void)what;
	struct keeper *k = arg;
	keeper_tick(k);
	LOG(LOG_LEVEL_NOTICE, "stopping", "A signal asks to stop.",
	    log_i64("signal", (int64_t)signal_number));
	keeper_stop(k);
}

static void take_rows(struct keeper *k, const struct journal_done *d)
{
	if (d->err != KMS_OK) {
		root_store_failed(k, d->err);
		return;
	}
	counts_done(k, d->number);
	changes_done(k, d->number);
}

static void take_notice(struct keeper *k, struct journal_done *d)
{
	switch (d->kind) {
	case JOURNAL_GROUP:
	case JOURNAL_STUCK: turn_done(k, d); break;
	case JOURNAL_ROWS: take_rows(k, d); break;
	case JOURNAL_STORE_CLOSED: root_store_closed(k); break;
	case JOURNAL_SNAPSHOT: backup_copied(k, d); break;
	}
}

static void on_journal(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct keeper *k = arg;
	keeper_tick(k);
	for (struct journal_done *d; (d = journal_take(k->journal)) != NULL; journal_done_free(&d))
		take_notice(k, d);
}

static void on_chores(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct keeper *k = arg;
	keeper_tick(k);
	chores_take(k);
}

/* As the configuration says, as far as there are descriptors for it. */
static void set_live(struct keeper *k, const struct link_live *live)
{
	k->live = *live;
	if (k->descriptors >= live->max_connections + (uint64_t)FDS_OURS)
		return;
	bool few = k->descriptors <= 2 * (uint64_t)FDS_OURS;
	k->live.max_connections = (uint32_t)(few ? k->descriptors / 2 : k->descriptors - FDS_OURS);
	LOG(LOG_LEVEL_WARNING, "descriptors",
	    "The limit on descriptors allows fewer connections than configured.",
	    log_u64("limit", k->descriptors), log_u64("connections", k->live.max_connections));
}

static void take_live(struct keeper *k, const struct link_live *live)
{
	set_live(k, live);
	log_set_level(live->log_level);
	LOG(LOG_LEVEL_NOTICE, "reloaded", "The configuration was read again.",
	    log_u64("max_connections", live->max_connections),
	    log_u64("frame_timeout_s", live->frame_timeout_us / 1000000));
}

static void on_link(evutil_socket_t fd, short what, void *arg)
{
	(void)what;
	struct keeper *k = arg;
	struct link_message m;
	int attached = -1;
	keeper_tick(k);
	kms_err e = link_receive(fd, &m, &attached);
	if (e == KMS_E_UNAVAILABLE)
		return;
	if (e != KMS_OK) /* the parent is gone: its death signal stops us */
		(void)event_del(k->events[4]);
	else if (m.word == LINK_CONFIG)
		take_live(k, &m.live);
	else
		helper_started(k, m.number, attached);
}

/* Folders are opened by name once; the sandbox lets nothing else be opened afterwards. */
static kms_err open_folder(const char *path, int *out)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		LOG(LOG_LEVEL_ERROR, "folder", "A folder of the configuration can't be opened.",
		    log_str("path", path), log_str("reason", strerrorname_np(errno)));
		return KMS_E_IO;
	}
	*out = fd;
	return KMS_OK;
}

/* A log has one writer, whatever socket and store another kmsd has. */
static kms_err lock_folder(const char *path, int fd)
{
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return KMS_OK;
	LOG(LOG_LEVEL_ERROR, "folder", "Another kmsd writes its log into this folder.",
	    log_str("path", path), log_str("reason", strerrorname_np(errno)));
	return KMS_E_IO;
}

/* Without it everything works but backups. */
static void open_backup_folder(struct keeper *k)
{
	const char *path = k->config->backup;
	k->backup_dir = path[0] == '\0' ? -1 : open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (k->backup_dir < 0 && path[0] != '\0')
		LOG(LOG_LEVEL_WARNING, "backup-off",
		    "The backup folder can't be opened, so there are no backups.",
		    log_str("path", path), log_str("reason", strerrorname_np(errno)));
}

/* Before the first key: what this process will never need again is given up. */
static kms_err prepare(struct keeper *k)
{
	const struct config *c = k->config;
	sandbox_no_traces();
	/* Large buffers are mapped alone and go back to the system when they are freed. */
	(void)mallopt(M_MMAP_THRESHOLD, MMAP_FROM); /* NOLINT(concurrency-mt-unsafe): alone */
	(void)mallopt(M_TRIM_THRESHOLD, MMAP_FROM); /* NOLINT(concurrency-mt-unsafe): alone */
	k->memory_locked = sandbox_lock_memory(c);
	if (!k->memory_locked && !c->allow_unlocked)
		return KMS_E_LOCKED_MEMORY;
	if (!k->memory_locked)
		LOG(LOG_LEVEL_WARNING, "memory-unlocked",
		    "Memory could not be locked; keys may reach the swap.",
		    log_err(KMS_E_LOCKED_MEMORY));
	TRY(secret_init(c->max_versions + (size_t)SECRETS_OURS, c->allow_unlocked));
	TRY(open_folder(c->store, &k->store_dir));
	TRY(open_folder(c->audit, &k->audit_dir));
	TRY(lock_folder(c->audit, k->audit_dir));
	open_backup_folder(k);
	return sandbox_restrict_files(k);
}

static kms_err make_parts(struct keeper *k)
{
	TRY(rand_block_new(&k->rand));
	TRY(rand_bytes(k->boot, sizeof(k->boot)));
	TRY(metrics_new(&k->metrics));
	TRY(root_new(&k->root));
	TRY(changes_new(&k->changes));
	TRY(counts_new(&k->counts));
	TRY(replies_new(&k->replies));
	TRY(backup_new(k, &k->backup));
	TRY(tails_new(&k->tails));
	TRY(backoff_new(k, &k->backoff));
	TRY(helper_new(k, &k->helper));
	TRY(health_new(k, &k->health));
	TRY(journal_new(k->audit_dir, k->config->audit_segment, &k->journal));
	TRY(chores_new(k->audit_dir, k->config->audit_segment, &k->chores));
	return server_new(k, k->start->listen_fd, &k->server);
}

static kms_err add_event(
    struct keeper *k, size_t i, evutil_socket_t fd, short what, event_callback_fn call)
{
	k->events[i] = event_new(k->base, fd, (short)(what | EV_PERSIST), call, k);
	if (k->events[i] == NULL || event_add(k->events[i], NULL) != 0)
		return KMS_E_NO_MEMORY;
	return KMS_OK;
}

static kms_err add_events(struct keeper *k)
{
	TRY(add_event(k, 0, SIGTERM, EV_SIGNAL, on_signal));
	TRY(add_event(k, 1, SIGINT, EV_SIGNAL, on_signal));
	TRY(add_event(k, 2, journal_fd(k->journal), EV_READ, on_journal));
	TRY(add_event(k, 3, chores_fd(k->chores), EV_READ, on_chores));
	return add_event(k, 4, k->start->link_fd, EV_READ, on_link);
}

static kms_err open_all(struct keeper *k)
{
	const struct config *c = k->config;
	TRY(prepare(k));
	k->base = event_base_new();
	if (k->base == NULL)
		return KMS_E_NO_MEMORY;
	const struct link_live live = config_live(c);
	/* Asked once: the sandbox has no call for it. */
	struct rlimit l;
	k->descriptors = getrlimit(RLIMIT_NOFILE, &l) == 0 ? l.rlim_cur : 0;
	set_live(k, &live);
	arena_init(&k->arena, ARENA_LIMIT);
	k->policy = (struct policy){
		.admin_known = c->admin_gid_known, .admin_gid = c->admin_gid, .self_uid = geteuid()
	};
	TRY(make_parts(k));
	TRY(add_events(k));
	/* Threads and descriptors are all there: from here on only this list of calls. */
	return sandbox_restrict_calls(k);
}

kms_err keeper_open(struct keeper *k, const struct keeper_start *start)
{
	k->start = start;
	k->config = start->config;
	k->store_dir = -1;
	k->audit_dir = -1;
	k->backup_dir = -1;
	keeper_tick(k);
	k->started_us = k->wall_us;
	TRY(open_all(k));
	root_start(k);
	return KMS_OK;
}

static bool has_stopped(const struct keeper *k)
{
	if (k->stop_us == 0)
		return false;
	if (k->mono_us - k->stop_us > STOP_PATIENCE_US)
		return true;
	return !server_has_work(k->server) && !changes_busy(k->changes);
}

bool keeper_turn(struct keeper *k)
{
	int how = server_is_ready(k->server) ? EVLOOP_NONBLOCK : EVLOOP_ONCE;
	if (has_stopped(k) || event_base_loop(k->base, how) != 0)
		return false;
	server_turn(k->server);
	changes_push(k);
	counts_push(k);
	tails_push(k);
	turn_end(k);
	return true;
}

static void folder_close(int fd)
{
	if (fd >= 0)
		(void)close(fd);
}

/* What was counted is settled and the stop is on record before anything is wiped. */
void keeper_close(struct keeper *k)
{
	if (k->root != NULL && k->journal != NULL)
		root_stop(k);
	server_free(&k->server);
	tails_free(&k->tails);
	changes_free(&k->changes);
	counts_free(&k->counts);
	replies_free(&k->replies);
	backup_free(&k->backup);
	helper_free(&k->helper);
	health_free(&k->health);
	backoff_free(&k->backoff);
	chores_free(&k->chores);
	journal_free(&k->journal);
	root_free(&k->root);
	ring_free(&k->ring);
	rows_free(&k->rows);
	turn_free(&k->turn);
	metrics_free(&k->metrics);
	rand_block_free(&k->rand);
	arena_done(&k->arena);
	for (size_t i = 0; i < ARRAY_LEN(k->events); i++)
		if (k->events[i] != NULL)
			event_free(k->events[i]);
	if (k->base != NULL)
		event_base_free(k->base);
	folder_close(k->store_dir);
	folder_close(k->audit_dir);
	folder_close(k->backup_dir);
	secret_done();
}

/* A start that a second try would not mend is told apart, so that the parent doesn't repeat it. */
static int exit_status(kms_err e)
{
	if (e == KMS_OK)
		return EXIT_SUCCESS;
	LOG(LOG_LEVEL_ERROR, "start-failed", err_text(e), log_err(e));
	return e == KMS_E_LOCKED_MEMORY || e == KMS_E_IO ? EXIT_KEEPER_CONFIG : EXIT_FAILURE;
}

int keeper_run(const struct keeper_start *start)
{
	struct keeper k = { 0 };
	kms_err e = keeper_open(&k, start);
	while (e == KMS_OK && keeper_turn(&k))
		continue;
	if (e == KMS_OK)
		LOG(LOG_LEVEL_NOTICE, "stopped", "kmsd stops in order.",
		    log_u64("served_s", (k.wall_us - k.started_us) / 1000000));
	keeper_close(&k);
	return exit_status(e);
}
