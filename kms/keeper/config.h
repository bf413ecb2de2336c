/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kmsd's configuration, read once by the parent before anything is locked away: kms.conf and the
 * files of kms.conf.d beside it, in libconfuse's syntax. Group names become numbers here, since
 * the keeper never asks NSS.
 */
#pragma once

#include <sys/types.h>

#include "kms/base/base.h"
#include "kms/base/log.h"
#include "kms/keeper/link.h"
#include "kms/seal/sealer.h"

enum {
	CONFIG_PATH_MAX = 255,
	CONFIG_SOCKET_MAX = 107, /* sun_path, with its end */
	CONFIG_SLOTS_MAX = 8,
	CONFIG_FD_MAX = 1024, /* descriptors that may hold a PIN are below */
	CONFIG_ERROR_MAX = 256
};

/* A way to open the root, by the name of its slot. */
struct config_slot {
	char name[NAME_MAX_LEN + 1];
	char kind[SEALER_KIND_MAX + 1];
	struct sealer_params params; /* instance stays zero: it is filled for each task */
	uint64_t deadline_us;        /* of one task */
};

struct config {
	char file[CONFIG_PATH_MAX + 1]; /* where it came from */
	char socket[CONFIG_SOCKET_MAX + 1];
	mode_t socket_mode;
	bool socket_gid_known, admin_gid_known;
	gid_t socket_gid, admin_gid;
	char store[CONFIG_PATH_MAX + 1], audit[CONFIG_PATH_MAX + 1], helper[CONFIG_PATH_MAX + 1];
	char backup[CONFIG_PATH_MAX + 1];     /* empty: no backups */
	uint64_t backup_every_us;             /* 0: only when asked */
	uint64_t backup_keep_us, rehearse_us; /* 0: for ever; never */
	uint32_t audit_segment;               /* bytes */
	uint32_t max_versions;                /* secrets that fit into locked memory */
	uint32_t max_connections;             /* besides the operator's places */
	bool allow_unlocked;
	enum log_level log_level;
	uint64_t frame_timeout_us;
	struct config_slot slots[CONFIG_SLOTS_MAX]; /* in the order in which they are tried */
	size_t slot_n;
	uint64_t slot_check_us; /* how often each is asked whether it is there; 0: never */
};

/* The slot of this name; NULL for none. */
const struct config_slot *config_find_slot(const struct config *c, struct bytes name);
/*
 * The section that somebody means who says a slot's name, its kind, or "pkcs11:token=LABEL".
 * KMS_E_SLOT_CONFIG if there is none, or more than one.
 */
MUST_USE kms_err config_choose_slot(
    const struct config *c, struct bytes spec, const struct config_slot **out);
/* What of it may change while the keeper runs. */
struct link_live config_live(const struct config *c);
/* For one that was allocated: it is too large for most stacks. Takes NULL. */
void config_free(struct config **c);
/*
 * Reads `path`, or $KMS_CONFIG, or /etc/kms/kms.conf. On KMS_E_BAD_CONFIG out_error holds a line
 * for people with file, line and what is wrong.
 */
MUST_USE kms_err config_read(
    const char *path, struct config *out, char out_error[static CONFIG_ERROR_MAX]);
