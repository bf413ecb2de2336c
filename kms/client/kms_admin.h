/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of kms.h for whoever runs kmsd: the root key, the slots that open it, recovery shares,
 * backups. A service that only uses keys needs none of it. Include kms.h.
 *
 * Shares are as secret as the root key. They are in results only, once: show them, then
 * kms_result_free(), which wipes them.
 */
#ifndef KMS_ADMIN_H
#define KMS_ADMIN_H

#ifndef KMS_H
#error "include kms.h"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* A file in kmsd's backup folder. */
struct kms_backup {
	const char *name;
	const char *state;               /* "ok", "old-root", or the name of an error */
	const char *detail;              /* of the error */
	struct kms_bytes id;             /* 16 bytes */
	uint64_t created_us, expires_us; /* expires_us 0: never */
	uint64_t size;                   /* bytes */
	uint64_t epoch, audit_records, rows;
	const struct kms_slot *slots; /* what opens it */
	size_t slot_n;
};

/* Each returns what its operation gave, borrowed from r, and NULL where r is another's result. */
/* Of init, slot_add and root_rotate: new shares, each a line of text; often none. */
KMS_API const char *const *kms_result_shares(const struct kms_result *r, size_t *out_n);
/*
 * Of slot_add and root_rotate with new shares: nothing has changed yet. When they have reached
 * people, ask the same again with this as `confirm`, within 10 minutes. Empty: there is nothing to
 * confirm.
 */
KMS_API struct kms_bytes kms_result_confirm(const struct kms_result *r);
/* Of kms_unseal() with a share that was not the last one; NULL: it is unsealed. */
KMS_API const struct kms_ceremony *kms_result_ceremony(const struct kms_result *r);
KMS_API const struct kms_backup *kms_result_backups(const struct kms_result *r, size_t *out_n);

/* ---- The root key and its slots ----------------------------------------------------------- */

/* What is to open the root: hardware, shares, or both at once. Zero all of it first. */
struct kms_opener {
	const char *slot;       /* "tpm", "pkcs11", "pkcs11:token=LABEL", a section; NULL: none */
	uint32_t shares_needed; /* k of k-of-n, from 2; 0: no shares */
	uint32_t shares_total;  /* n, at most 16 */
	bool dry_run;
	struct kms_bytes confirm; /* slot_add: of kms_result_confirm(); the rest is ignored then */
};

/* Makes the root key, once in an instance's life. Gives slots, and shares if asked for. */
KMS_API KMS_CHECKED enum kms_code kms_init(
    struct kms *c, const struct kms_opener *with, struct kms_result **out);
/* One more way to open the root. Gives slots, and shares if asked for. */
KMS_API KMS_CHECKED enum kms_code kms_slot_add(
    struct kms *c, const struct kms_opener *with, struct kms_result **out);
/* rely_on_shares: although nothing but shares is left. Gives slots. */
KMS_API KMS_CHECKED enum kms_code kms_slot_remove(
    struct kms *c, const char *slot, bool rely_on_shares, bool dry_run, struct kms_result **out);
KMS_API KMS_CHECKED enum kms_code kms_slot_list(struct kms *c, struct kms_result **out);
/* Asks the hardware whether it will do, changes nothing. slot NULL: "tpm". Gives slots. */
KMS_API KMS_CHECKED enum kms_code kms_slot_check(
    struct kms *c, const char *slot, struct kms_result **out);

/* Zero all of it, then set what you need. */
struct kms_unseal_with {
	const char *slot;       /* NULL: all, in their order */
	struct kms_bytes share; /* one share's line; takes part in a ceremony */
	struct kms_bytes
	    ceremony;        /* the nonce of the one that is meant; empty: any, or a new one */
	bool accept_restore; /* an older store, or a counter that is gone, is what we want */
	bool cancel;         /* ends the ceremony, forgets its shares */
};

/* with NULL: all slots. out may be NULL; it is told apart by kms_result_ceremony(). */
KMS_API KMS_CHECKED enum kms_code kms_unseal(
    struct kms *c, const struct kms_unseal_with *with, struct kms_result **out);
/* Forgets every key in the keeper's memory. */
KMS_API KMS_CHECKED enum kms_code kms_seal(struct kms *c);

/* Zero all of it, then set what you need. */
struct kms_rotation {
	const char *const
	    *leave_out; /* slots that may be unreachable; they are removed. At most 16 */
	size_t leave_out_n;
	bool renew_store; /* a new store key as well: every row is sealed anew */
	bool dry_run;
	struct kms_bytes confirm; /* of kms_result_confirm(); the rest is ignored then */
};

/* A new root key under every slot. Gives slots, and new shares where there were some. */
KMS_API KMS_CHECKED enum kms_code kms_root_rotate(
    struct kms *c, const struct kms_rotation *how, struct kms_result **out);

/*
 * HMAC-SHA-256 of the challenge (16 to 64 bytes) under a key derived from the version (0: the
 * active one): 32 bytes in kms_result_bytes(). Two instances that give the same have the same key.
 */
KMS_API KMS_CHECKED enum kms_code kms_key_prove(struct kms *c, const char *key, uint32_t version,
    struct kms_bytes challenge, struct kms_result **out);

/* ---- Backups ------------------------------------------------------------------------------ */

/* Each gives backups: the new one, all, or the one that is named. */
KMS_API KMS_CHECKED enum kms_code kms_backup_create(struct kms *c, struct kms_result **out);
KMS_API KMS_CHECKED enum kms_code kms_backup_list(struct kms *c, struct kms_result **out);
KMS_API KMS_CHECKED enum kms_code kms_backup_verify(
    struct kms *c, const char *name, struct kms_result **out);
/* Where there is no root yet. The next unsealing opens what was restored. */
KMS_API KMS_CHECKED enum kms_code kms_backup_restore(
    struct kms *c, const char *name, bool dry_run, struct kms_result **out);
/* Notes how a rehearsal ended. checked: key versions that were compared. */
KMS_API KMS_CHECKED enum kms_code kms_backup_rehearsed(
    struct kms *c, const char *name, bool failed, uint32_t checked);

#ifdef __cplusplus
}
#endif

#endif
