/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every kind of hardware must do for kmsd: seal and unseal the root, count, sign, give
 * randomness, describe itself. Implemented in tpm/ and pkcs11/, named only in kms-seal's
 * main; the keeper reaches it through call.h. Calls may block for ever: they run in a helper
 * process that its parent may kill at any time.
 */
#pragma once

#include "kms/base/base.h"
#include "kms/base/buf.h"
#include "kms/base/secret.h"
#include "kms/base/types.h"

enum {
	SEALER_TEXT_MAX = 512,  /* bytes of a description */
	SEALER_BLOB_MAX = 4096, /* bytes of a sealed blob */
	SEALER_KIND_MAX = 15,
	SEALER_PATH_MAX = 255,
	SEALER_LABEL_MAX = 32,        /* bytes of a token's label (PKCS #11, CK_TOKEN_INFO) */
	SEALER_SERIAL_MAX = 16,       /* bytes of its serial number, likewise */
	SEALER_ENVIRONMENT_MAX = 255, /* bytes of a module's environment, all of it */
	SEALER_MESSAGE_MAX = 1024,    /* bytes to sign */
	SEALER_RANDOM_MAX = 64,       /* bytes of one `random` */
	SEALER_ROOT_LEN = 32
};

/* How a token seals; written into blobs: only append. */
enum sealer_mechanism {
	SEALER_MECHANISM_ANY = 0, /* AES-GCM where the token has it, else AES-CBC */
	SEALER_AES_GCM = 1,
	SEALER_AES_CBC = 2 /* with a check value of our own */
};

/* A PKCS#11 token. */
struct sealer_token {
	char module[SEALER_PATH_MAX + 1];   /* the vendor's library */
	char label[SEALER_LABEL_MAX + 1];   /* of the token; empty: the only one there is */
	char serial[SEALER_SERIAL_MAX + 1]; /* of the token; empty: any */
	char pin_file[SEALER_PATH_MAX + 1]; /* one line; see auth.h. "fd:N": a descriptor */
	char key[NAME_MAX_LEN + 1];         /* label of the AES key in the token */
	char environment[SEALER_ENVIRONMENT_MAX +
	                 1]; /* for the module: NAME=VALUE, a newline between */
	uint32_t mechanism;  /* enum sealer_mechanism */
	bool iv_by_token;    /* the token makes the IV of AES-GCM */
	bool make_key;       /* make the key if it is not there; else its administrator has */
	bool allow_imported; /* take a key that was once outside of the token */
};

/* Where the hardware is and how it is opened: from the configuration, never from a peer. */
struct sealer_params {
	char tcti[SEALER_PATH_MAX + 1];      /* tpm: "device:/dev/tpmrm0", "swtpm:path=…" */
	char auth_file[SEALER_PATH_MAX + 1]; /* tpm: the auth value, one line; see auth.h */
	uint32_t pcr_mask;         /* tpm: bit i = PCR i of the SHA-256 bank; 0: no PCR policy */
	struct sealer_token token; /* pkcs11 */
	uint8_t instance[INSTANCE_ID_LEN]; /* bound into what is sealed */
};

/*
 * How to move a counter. With a target it moves only from target - 1: asking again after an
 * answer was lost can't move it twice, which would look like an old store. 0: by one, from
 * wherever it stands.
 */
struct sealer_move {
	uint64_t target;
};

/* One use of a device, from open to close. */
struct sealer;

struct sealer_kind {
	const char *name; /* "tpm", "pkcs11" */
	/* Takes a copy of p. The device is reached by the first act, so that its failure has a code. */
	kms_err (*open)(const struct sealer_params *p, struct sealer **out);
	/* Wipes whatever of keys the library holds, flushes every handle. Takes NULL. */
	void (*close)(struct sealer **s);
	/*
	 * Seals a root of 32 bytes: makes what the slot needs (storage key, sealed object, signing
	 * key, counter) and proves it by opening it again. Appends the blob. With `before`, a blob
	 * of the same slot, only what holds the root is made anew; signing key and counter stay.
	 * *out_counter is the counter's value; 0 where the kind has none.
	 */
	kms_err (*seal)(struct sealer *s, const struct secret *root, struct bytes before,
	    struct buf *out_blob, uint64_t *out_counter);
	/*
	 * KMS_E_TPM_FOREIGN, _AUTH, _PCR, _LOCKOUT…, KMS_E_TOKEN_…, KMS_E_PIN_…, each for its own
	 * reason; KMS_E_INTEGRITY for another instance's. Never tries an auth value twice.
	 */
	kms_err (*unseal)(struct sealer *s, struct bytes blob, struct secret **out_root);
	/*
	 * Reads the blob's counter, or moves it first; see sealer_move. KMS_E_COUNTER_GONE. NULL
	 * for a kind that has none.
	 */
	kms_err (*counter)(struct sealer *s, struct bytes blob, const struct sealer_move *move,
	    uint64_t *out_value);
	/*
	 * Signs SHA-256 of a message with the blob's restricted key; appends DER ECDSA. The chip
	 * refuses what begins like its own statements (0xff "TCG"): KMS_E_BAD_REQUEST.
	 * KMS_E_NO_SIGNING_KEY where a token could not make one; so does public_key.
	 */
	kms_err (*sign)(
	    struct sealer *s, struct bytes blob, struct bytes message, struct buf *out_sig);
	/* Appends the public half, DER SubjectPublicKeyInfo. */
	kms_err (*public_key)(struct sealer *s, struct bytes blob, struct buf *out_spki);
	/* n <= SEALER_RANDOM_MAX. */
	kms_err (*random)(struct sealer *s, uint8_t *out, size_t n);
	/*
	 * Appends printable ASCII of at most SEALER_TEXT_MAX: maker, firmware, lock-out counters,
	 * PCRs. Proves, leaving nothing behind, that the device will do.
	 */
	kms_err (*describe)(struct sealer *s, struct buf *out_text);
	/* The library's own code of the last failure, for the log; 0 for none. */
	uint32_t (*last_code)(const struct sealer *s);
};
