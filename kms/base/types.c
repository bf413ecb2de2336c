/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The words for algorithms, states and operations, and the alphabet of names. Tables only;
 * what the words mean is decided on the floors above.
 */
#include "kms/base/types.h"

#include <string.h>

#include "kms/base/base.h"

static const char *const algorithm_names[ALG_COUNT] = {
	[ALG_XAES_256_GCM] = "xaes-256-gcm",
	[ALG_AES_256_GCM] = "aes-256-gcm",
	[ALG_AES_256_KWP] = "aes-256-kwp",
};

static const char *const state_names[STATE_COUNT] = {
	[STATE_PRE_ACTIVE] = "pre-active",
	[STATE_ACTIVE] = "active",
	[STATE_SUSPENDED] = "suspended",
	[STATE_DEACTIVATED] = "deactivated",
	[STATE_COMPROMISED] = "compromised",
	[STATE_DESTROYED] = "destroyed",
};

static const char *const op_names[OP_COUNT] = {
	[OP_STATUS] = "status",
	[OP_WHOAMI] = "whoami",
	[OP_METRICS] = "metrics",
	[OP_INIT] = "init",
	[OP_UNSEAL] = "unseal",
	[OP_SEAL] = "seal",
	[OP_SLOT_LIST] = "slot-list",
	[OP_SLOT_CHECK] = "slot-check",
	[OP_KEY_CREATE] = "key-create",
	[OP_KEY_LIST] = "key-list",
	[OP_KEY_SHOW] = "key-show",
	[OP_KEY_ROTATE] = "key-rotate",
	[OP_KEY_SUSPEND] = "key-suspend",
	[OP_KEY_RESUME] = "key-resume",
	[OP_KEY_DEACTIVATE] = "key-deactivate",
	[OP_KEY_COMPROMISE] = "key-compromise",
	[OP_KEY_DESTROY] = "key-destroy",
	[OP_KEY_CANCEL_DESTROY] = "key-cancel-destroy",
	[OP_ISSUE] = "issue",
	[OP_WRAP] = "wrap",
	[OP_UNWRAP] = "unwrap",
	[OP_REWRAP] = "rewrap",
	[OP_MAC] = "mac",
	[OP_RANDOM] = "random",
	[OP_AUDIT_READ] = "audit-read",
	[OP_START] = "start",
	[OP_STOP] = "stop",
	[OP_MALFORMED] = "malformed",
	[OP_CONNECT] = "connect",
	[OP_SLOT_ADD] = "slot-add",
	[OP_SLOT_REMOVE] = "slot-remove",
	[OP_ROOT_ROTATE] = "root-rotate",
	[OP_BACKUP_CREATE] = "backup-create",
	[OP_BACKUP_LIST] = "backup-list",
	[OP_BACKUP_VERIFY] = "backup-verify",
	[OP_BACKUP_RESTORE] = "backup-restore",
	[OP_BACKUP_REHEARSED] = "backup-rehearsed",
	[OP_KEY_PROVE] = "key-prove",
};

/* Numbers are not dense: a gap is NULL, as is what lies beyond the table. */
static const char *name_in(const char *const *table, size_t n, size_t i)
{
	return i < n && table[i] != NULL ? table[i] : "unknown";
}

/* 0, the NONE of each list, where no entry has that name. */
static size_t find_in(const char *const *table, size_t n, struct bytes name)
{
	for (size_t i = 0; i < n; i++) {
		if (table[i] != NULL && bytes_equal(bytes_of_str(table[i]), name))
			return i;
	}
	return 0;
}

struct bytes bytes_of_str(const char *s)
{
	return bytes_of(s, strlen(s));
}

bool bytes_equal(struct bytes a, struct bytes b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

const char *algorithm_name(enum algorithm a)
{
	return name_in(algorithm_names, ARRAY_LEN(algorithm_names), (size_t)a);
}

enum algorithm algorithm_from_name(struct bytes name)
{
	return (enum algorithm)find_in(algorithm_names, ARRAY_LEN(algorithm_names), name);
}

const char *state_name(enum key_state s)
{
	return name_in(state_names, ARRAY_LEN(state_names), (size_t)s);
}

enum key_state state_from_name(struct bytes name)
{
	return (enum key_state)find_in(state_names, ARRAY_LEN(state_names), name);
}

const char *op_name(enum op op)
{
	return name_in(op_names, ARRAY_LEN(op_names), (size_t)op);
}

enum op op_from_name(struct bytes name)
{
	return (enum op)find_in(op_names, ARRAY_LEN(op_names), name);
}

static bool is_alnum(uint8_t c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool name_valid(struct bytes name)
{
	if (name.n == 0 || name.n > NAME_MAX_LEN || !is_alnum(name.p[0]))
		return false;

	for (size_t i = 1; i < name.n; i++) {
		uint8_t c = name.p[i];
		if (!is_alnum(c) && c != '.' && c != '_' && c != '-')
			return false;
	}
	return true;
}

bool context_name_valid(struct bytes name)
{
	if (name.n == 0 || name.n > CONTEXT_NAME_MAX)
		return false;
	for (size_t i = 0; i < name.n; i++) {
		uint8_t c = name.p[i];
		/* '=' and ',' join pairs where people read and write them. */
		if (c < ' ' || c > '~' || c == '=' || c == ',')
			return false;
	}
	return true;
}
