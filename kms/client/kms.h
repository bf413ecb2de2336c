/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libkms: the C client of kmsd. Connect, ask, read the result, free it. For C99 and C++.
 *
 * Codes: each call that can fail returns an enum kms_code; 0 is success. kms_last_error() says
 * more. Results belong to the caller, who frees them with kms_result_free(), which wipes; all
 * strings and bytes in a result live as long as it does. What a call takes is borrowed for the
 * length of the call alone. Strings end with a zero byte; none may be NULL unless said so.
 *
 * Threads: one connection per thread. Connections share nothing, so many threads may each have
 * one; a result may be read by another thread than the one that received it.
 *
 * Lost connections: the next call connects again. A synchronous call whose connection is lost
 * under way is sent once more; a change carries an idempotency key, so it is done once.
 */
#ifndef KMS_H
#define KMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KMS_API __attribute__((visibility("default")))
/* The caller must look at the code. */
#define KMS_CHECKED __attribute__((warn_unused_result))

/* ---- Errors ------------------------------------------------------------------------------- */

/* The stable codes of the protocol, in the order of their numbers. New ones are appended. */
enum kms_code {
	KMS_CODE_OK = 0,
	KMS_CODE_BAD_REQUEST,
	KMS_CODE_TOO_BIG,
	KMS_CODE_NOT_FOUND,
	KMS_CODE_EXISTS,
	KMS_CODE_DENIED,
	KMS_CODE_LIMIT,
	KMS_CODE_SEALED,
	KMS_CODE_WRONG_STATE,
	KMS_CODE_INTEGRITY,
	KMS_CODE_NEEDS_APPROVAL,
	KMS_CODE_NEEDS_LOGIN,
	KMS_CODE_CONFLICT,
	KMS_CODE_STORE_FAILED,
	KMS_CODE_AUDIT_FAILED,
	KMS_CODE_HARDWARE,
	KMS_CODE_ROLLBACK,
	KMS_CODE_UNAVAILABLE,
	KMS_CODE_INTERNAL
};

struct kms_error {
	char code[32];        /* "integrity": the code's name, for programs */
	char name[32];        /* finer ("tpm_lockout"); may grow */
	char text[256];       /* one sentence for people */
	char hint[256];       /* what to do next */
	char detail[256];     /* what exactly: a right, a slot, a file; may be empty */
	enum kms_code number; /* of `code` */
};

/* "bad_request"…; "internal" for a number that is none. Static. */
KMS_API const char *kms_code_name(enum kms_code code);
/* The exit status that our tools end with for this code: 0 to 8, see docs/protocol.md. */
KMS_API int kms_exit_status(enum kms_code code);
/* "0.1.0". Static. */
KMS_API const char *kms_version(void);

/* ---- Bytes and contexts ------------------------------------------------------------------- */

struct kms_bytes {
	const uint8_t *p;
	size_t n;
};

/* One pair of a context. The name is 1 to 64 bytes of printable ASCII, the value up to 256 bytes. */
struct kms_pair {
	const char *name;
	struct kms_bytes value;
};

/* Up to 16 pairs, in any order, each name once. A NULL context is an empty one. */
struct kms_context {
	const struct kms_pair *pairs;
	size_t n;
};

/* Borrow of p, n bytes. */
static inline struct kms_bytes kms_bytes_of(const void *p, size_t n)
{
	struct kms_bytes b = { (const uint8_t *)p, n };

	return b;
}

/* A pair of two strings; the value ends before its zero byte. */
static inline struct kms_pair kms_pair_of(const char *name, const char *value)
{
	struct kms_pair pair = { name, { (const uint8_t *)value, 0 } };

	while (value[pair.value.n] != '\0')
		pair.value.n++;
	return pair;
}

/* Overwrites memory in a way that no compiler removes: for your own copies of clear keys. */
KMS_API void kms_wipe(void *p, size_t n);

/* ---- The connection ----------------------------------------------------------------------- */

struct kms;

/* Zero all of it, then set what you need. */
struct kms_options {
	const char *socket;   /* NULL: $KMS_SOCKET, else /run/kms/kms.sock */
	const char *subject;  /* the person behind this program, at most 128 bytes; NULL: none */
	const char *purpose;  /* why, at most 128 bytes; NULL: none */
	const char *asserted; /* gates only: the peer they speak for; NULL: none */
	uint32_t deadline_ms; /* for one answer; 0: 30,000. Hardware work gets longer */
	uint32_t reserved[7];
};

/*
 * Connects. options may be NULL. *out is made on failure too (NULL only without memory), so that
 * kms_last_error() can tell why; it may be used, and then tries again to connect. Close it in
 * either case. KMS_CODE_UNAVAILABLE: nobody listens, or the socket may not be opened; then the
 * error names the group to join.
 */
KMS_API KMS_CHECKED enum kms_code kms_connect(const struct kms_options *options, struct kms **out);
/* Closes, wipes, and sets *c to NULL. Answers still under way are lost. Takes NULL inside. */
KMS_API void kms_close(struct kms **c);
/* Of the last call on c that failed; for NULL: that there was no memory. Borrowed from c. */
KMS_API const struct kms_error *kms_last_error(const struct kms *c);
/* The path of the socket. Borrowed from c. */
KMS_API const char *kms_socket_path(const struct kms *c);

/* For the requests that follow; NULL or "": none. KMS_CODE_BAD_REQUEST over 128 bytes. */
KMS_API KMS_CHECKED enum kms_code kms_set_subject(struct kms *c, const char *subject);
KMS_API KMS_CHECKED enum kms_code kms_set_purpose(struct kms *c, const char *purpose);
KMS_API KMS_CHECKED enum kms_code kms_set_asserted(struct kms *c, const char *asserted);
/* 0: 30,000. */
KMS_API void kms_set_deadline(struct kms *c, uint32_t milliseconds);
/* The next change uses this key instead of a new random one: to repeat it across restarts. */
KMS_API void kms_set_idempotency_key(struct kms *c, const uint8_t key[16]);

/* ---- Results ------------------------------------------------------------------------------ */

struct kms_result;

/* Wipes, frees, and sets *r to NULL. Takes NULL inside. */
KMS_API void kms_result_free(struct kms_result **r);

struct kms_slot {
	struct kms_bytes id; /* 16 bytes */
	const char *kind;    /* "tpm" */
	const char *name;
	const char *last;    /* "ok", "untried", or the name of the last error */
	const char *detail;  /* what the hardware says of itself */
	uint64_t created_us; /* microseconds since 1970, as all times here */
};

/* People with shares open the root together. */
struct kms_ceremony {
	struct kms_bytes nonce; /* 16 bytes; empty: none is under way */
	struct kms_bytes set;   /* 4 bytes: whose shares */
	uint32_t needed, have;
	uint64_t expires_us;
};

struct kms_status {
	const char *program;     /* "kmsd 0.1.0" */
	const char *state;       /* uninitialised, sealed, opening, unsealed, store_failed */
	const char *why;         /* while sealed: name of the error that the last try ended with */
	const char *audit_state; /* "ok", or the name of the error */
	struct kms_bytes instance; /* 16 bytes */
	uint32_t protocol, wrapped_format, store_schema;
	uint32_t connections;
	uint32_t keeper_starts;  /* 1, and one more for each restart by the parent */
	uint64_t epoch, counter; /* of the store, of the hardware */
	uint64_t counter_moves;  /* increments since the start */
	uint64_t keys, versions;
	uint64_t audit_records;
	uint64_t started_us;
	bool counter_behind, memory_locked, memory_hidden;
	const char *const *sandbox;
	size_t sandbox_n;
	const struct kms_slot *slots;
	size_t slot_n;
	const char *counter_state;   /* ok, behind, unchecked, none */
	const char *backup_state;    /* ok, off, late, or the name of the last backup's error */
	const char *rehearsal_state; /* the same of the last rehearsal */
	const char *restoring;       /* the backup that the next opening restores; "": none */
	struct kms_ceremony ceremony;
	uint64_t backup_us, rehearsal_us; /* when the last good one was; 0: never */
};

struct kms_whoami {
	const char *identity; /* "unix:1000" */
	bool admin;
	const char *const *groups;
	size_t group_n;
};

struct kms_key_version {
	uint32_t version;
	bool above_floor;
	const char *state, *reason;
	uint64_t created_us, since_us;       /* since_us: of the present state */
	uint64_t issued, wrapped, unwrapped; /* at least: a crash over-counts */
};

struct kms_key {
	const char *key;
	struct kms_bytes id; /* 16 bytes */
	const char *key_class, *algorithm;
	const char *state; /* of the active version, else of the newest */
	uint32_t version;  /* the active one; 0: none */
	uint32_t floor;    /* versions below unwrap no more */
	uint32_t version_count;
	uint64_t created_us;
	uint64_t rotate_every_s;     /* 0: on demand */
	uint64_t backed_up_until_us; /* destroy: backups may hold it; UINT64_MAX: for ever */
	const struct kms_key_version *versions; /* empty in lists */
	size_t version_n;
};

/* One item of a batch, in the order of what was asked. */
struct kms_item {
	enum kms_code code;            /* of this item; the others stand */
	const struct kms_error *error; /* NULL if the code is KMS_CODE_OK */
	struct kms_bytes wrapped;      /* issue, wrap, rewrap */
	struct kms_bytes plaintext;    /* issue, unwrap; mac: the 32 bytes */
	const char *key;
	uint32_t version;
	bool rewrap_advised; /* a newer version is active, or this one is compromised */
	bool compromised;
};

/* The log's exact bytes, one for each record; docs/audit.md describes them. */
struct kms_records {
	const struct kms_bytes *records;
	size_t n;
	uint64_t first; /* sequence number of records[0] */
	uint64_t size;  /* records in the log now */
};

/* Each returns what its operation gave, borrowed from r, and NULL where r is another's result. */
KMS_API const struct kms_status *kms_result_status(const struct kms_result *r);
KMS_API const struct kms_whoami *kms_result_whoami(const struct kms_result *r);
KMS_API const struct kms_slot *kms_result_slots(const struct kms_result *r, size_t *out_n);
/* kms_result_key: of create, show and every change. *out_more: ask again after the last name. */
KMS_API const struct kms_key *kms_result_key(const struct kms_result *r);
KMS_API const struct kms_key *kms_result_keys(
    const struct kms_result *r, size_t *out_n, bool *out_more);
/* Of issue, wrap, unwrap, rewrap, mac. */
KMS_API const struct kms_item *kms_result_items(const struct kms_result *r, size_t *out_n);
/* Of metrics, random and key_prove; empty for others. */
KMS_API struct kms_bytes kms_result_bytes(const struct kms_result *r);
KMS_API const struct kms_records *kms_result_records(const struct kms_result *r);

/* ---- Operations, one at a time ------------------------------------------------------------ */
/*
 * *out is written on success only. Besides what kmsd refuses: KMS_CODE_UNAVAILABLE when it can't
 * be reached, the connection is lost twice, or the deadline passes.
 */

KMS_API KMS_CHECKED enum kms_code kms_status(struct kms *c, struct kms_result **out);
KMS_API KMS_CHECKED enum kms_code kms_whoami(struct kms *c, struct kms_result **out);
/* Prometheus text, in kms_result_bytes(). */
KMS_API KMS_CHECKED enum kms_code kms_metrics(struct kms *c, struct kms_result **out);

/* Zero all of it, then set what you need. */
struct kms_key_spec {
	const char *key;
	const char *key_class; /* NULL: "default" */
	const char *algorithm; /* NULL: "xaes-256-gcm" */
	uint64_t rotate_every_s;
	bool dry_run; /* say what would happen, do nothing */
};

enum kms_key_op {
	KMS_KEY_ROTATE = 1,
	KMS_KEY_SUSPEND,
	KMS_KEY_RESUME,
	KMS_KEY_DEACTIVATE,
	KMS_KEY_COMPROMISE,
	KMS_KEY_DESTROY, /* version 0: the whole key */
	KMS_KEY_CANCEL_DESTROY
};

/* Zero all of it, then set what you need. */
struct kms_key_ref {
	const char *key;
	uint32_t version;   /* 0: the active one, or the whole key where that makes sense */
	const char *reason; /* at most 64 bytes of printable ASCII; NULL: none */
	bool dry_run;
};

KMS_API KMS_CHECKED enum kms_code kms_key_create(
    struct kms *c, const struct kms_key_spec *spec, struct kms_result **out);
/* Names in order, after `after` (NULL: from the first), at most `limit` (0: 1,000, the most). */
KMS_API KMS_CHECKED enum kms_code kms_key_list(
    struct kms *c, const char *after, uint32_t limit, struct kms_result **out);
KMS_API KMS_CHECKED enum kms_code kms_key_show(
    struct kms *c, const char *key, struct kms_result **out);
/* out may be NULL. */
KMS_API KMS_CHECKED enum kms_code kms_key_change(
    struct kms *c, enum kms_key_op op, const struct kms_key_ref *ref, struct kms_result **out);

/*
 * `count` data keys of 32 bytes (1 to 1,024), all bound to the same context. wrapped_only: the
 * answer has no clear keys. Gives `count` items with wrapped, plaintext, key and version.
 */
KMS_API KMS_CHECKED enum kms_code kms_issue(struct kms *c, const char *key,
    const struct kms_context *context, uint32_t count, bool wrapped_only, struct kms_result **out);

/* One item each; the code is the item's. key NULL: unwrap and rewrap take it from the blob. */
KMS_API KMS_CHECKED enum kms_code kms_wrap(struct kms *c, const char *key,
    struct kms_bytes plaintext, const struct kms_context *context, struct kms_result **out);
KMS_API KMS_CHECKED enum kms_code kms_unwrap(struct kms *c, const char *key,
    struct kms_bytes wrapped, const struct kms_context *context, struct kms_result **out);
/* new_context NULL: the context stays. */
KMS_API KMS_CHECKED enum kms_code kms_rewrap(struct kms *c, const char *key,
    struct kms_bytes wrapped, const struct kms_context *context,
    const struct kms_context *new_context, struct kms_result **out);
KMS_API KMS_CHECKED enum kms_code kms_mac(struct kms *c, const char *key, struct kms_bytes data,
    const struct kms_context *context, struct kms_result **out);

enum kms_batch_op {
	KMS_WRAP = 1,
	KMS_UNWRAP,
	KMS_REWRAP,
	KMS_MAC
};

/* One item to ask for. Zero all of it first. */
struct kms_task {
	struct kms_bytes data; /* wrap: plaintext of 1 to 65,536 bytes; else a wrapped key */
	struct kms_context context;
	const struct kms_context *new_context; /* rewrap only; NULL: the context stays */
};

/*
 * n tasks (1 to 1,024) in one request. KMS_CODE_OK says that the request was done; each item of
 * the result has its own code.
 */
KMS_API KMS_CHECKED enum kms_code kms_batch(struct kms *c, enum kms_batch_op op, const char *key,
    const struct kms_task *tasks, size_t n, struct kms_result **out);

/* 1 to 65,536 random bytes, in kms_result_bytes(). */
KMS_API KMS_CHECKED enum kms_code kms_random(struct kms *c, uint32_t n, struct kms_result **out);

/* from: KMS_AUDIT_LAST gives the last `limit` records. limit at most 1,000; 0: 100. */
#define KMS_AUDIT_LAST UINT64_MAX
/* wait: answer only when there is at least one record, or after 30 s (then with none). */
KMS_API KMS_CHECKED enum kms_code kms_audit_read(
    struct kms *c, uint64_t from, uint32_t limit, bool wait, struct kms_result **out);

/* ---- Operations, many at a time ----------------------------------------------------------- */
/*
 * kms_submit_… puts a request into the connection's buffer and gives its id (never 0);
 * kms_flush() sends; kms_wait() gives the answers, in whatever order they come. Each id comes
 * back exactly once, also when the connection is lost or the deadline passes: then with
 * KMS_CODE_UNAVAILABLE (or what kmsd said as it closed), its outcome unknown, and nothing is sent
 * again by itself. Up to 1,024 may be under way; then submitting is refused with KMS_CODE_LIMIT
 * until one has been waited for. Synchronous calls may be mixed in; a deadline that passes ends
 * all that is under way.
 */
KMS_API KMS_CHECKED enum kms_code kms_submit_status(struct kms *c, uint64_t *out_id);
KMS_API KMS_CHECKED enum kms_code kms_submit_issue(struct kms *c, const char *key,
    const struct kms_context *context, uint32_t count, bool wrapped_only, uint64_t *out_id);
KMS_API KMS_CHECKED enum kms_code kms_submit_batch(struct kms *c, enum kms_batch_op op,
    const char *key, const struct kms_task *tasks, size_t n, uint64_t *out_id);
KMS_API KMS_CHECKED enum kms_code kms_submit_random(struct kms *c, uint32_t n, uint64_t *out_id);
KMS_API KMS_CHECKED enum kms_code kms_submit_audit_read(
    struct kms *c, uint64_t from, uint32_t limit, bool wait, uint64_t *out_id);

/* Sends what has been submitted; takes in answers meanwhile, so that neither side blocks. */
KMS_API KMS_CHECKED enum kms_code kms_flush(struct kms *c);
/*
 * Gives one answer; where none is there it flushes and waits, timeout_ms at most (0: not at all;
 * below 0: until the deadline). *out_id says whose answer it is, and the code is that request's;
 * *out is written on success only. None in time, none under way: KMS_CODE_OK and *out_id = 0.
 */
KMS_API KMS_CHECKED enum kms_code kms_wait(
    struct kms *c, int timeout_ms, uint64_t *out_id, struct kms_result **out);
/* Requests submitted and not yet given back by kms_wait(). */
KMS_API size_t kms_in_flight(const struct kms *c);
/* To poll for reading; -1: not connected. Before polling call kms_wait(c, 0, …) until id 0. */
KMS_API int kms_fd(const struct kms *c);

#ifdef __cplusplus
}
#endif

/* The root key, its slots and backups. */
#include "kms_admin.h"
/* Encrypted files, as streams. */
#include "kms_envelope.h"

#endif
