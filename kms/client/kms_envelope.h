/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of kms.h for files: envelopes, encrypted as streams. Include kms.h.
 *
 * A header with the wrapped data key, the master key's name and the context, then C2SP chunked
 * encryption (AES-256-GCM in chunks of 16 KiB); docs/envelope.md has the format. Any size,
 * constant memory, and readable from any offset. Clear bytes are given out only after their
 * chunk has been authenticated, the end of the file only if it is there.
 *
 * These calls need no connection and fill *err (which may be NULL) on failure.
 */
#ifndef KMS_ENVELOPE_H
#define KMS_ENVELOPE_H

#ifndef KMS_H
#error "include kms.h"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Where bytes go: writes all n bytes, returns 0, or an errno. */
struct kms_sink {
	int (*write)(void *user, const void *p, size_t n);
	void *user;
};

/* Where bytes come from: reads up to n bytes at an offset; *out_n 0 is the end. 0, or an errno. */
struct kms_source {
	int (*read_at)(void *user, uint64_t offset, void *p, size_t n, size_t *out_n);
	void *user;
};

/* A sink that writes to a descriptor; `fd` must outlive the writer that uses it. */
KMS_API struct kms_sink kms_sink_fd(const int *fd);
/* Over an open descriptor: a file from its first byte on, a pipe in order only. Same rule. */
KMS_API struct kms_source kms_source_fd(const int *fd);

/* What stands in an envelope's header. */
struct kms_envelope_info {
	const char *key;            /* name of the master key when it was written */
	struct kms_bytes wrapped;   /* the wrapped data key */
	struct kms_context context; /* values are empty if hidden */
	bool values_hidden;
	uint32_t format;    /* 1 */
	size_t header_size; /* bytes before the encrypted part */
	/* What kmsd said of the wrapped key: as in struct kms_item, zero before kms_envelope_unwrap(). */
	uint32_t version;
	bool rewrap_advised, compromised;
};

/* Zero all of it, then set what you need. */
struct kms_envelope_key {
	const char *key;                   /* name of the master key */
	struct kms_bytes wrapped;          /* from kms_issue() */
	struct kms_bytes plaintext;        /* 32 bytes, from kms_issue(); not kept */
	const struct kms_context *context; /* the one it was issued with */
	bool hide_values;                  /* write the names of the context only */
};

struct kms_writer;

/* Writes the header to `to`. The sink's `user` must outlive the writer. */
KMS_API KMS_CHECKED enum kms_code kms_writer_open(const struct kms_envelope_key *key,
    const struct kms_sink *to, struct kms_writer **out, struct kms_error *err);
KMS_API KMS_CHECKED enum kms_code kms_writer_write(
    struct kms_writer *w, const void *p, size_t n, struct kms_error *err);
/* Writes what is left and the end; without it the file counts as cut. Then only free is allowed. */
KMS_API KMS_CHECKED enum kms_code kms_writer_finish(struct kms_writer *w, struct kms_error *err);
/* Wipes, frees, and sets *w to NULL. */
KMS_API void kms_writer_free(struct kms_writer **w);

struct kms_envelope;

/* Reads the header; needs no key. KMS_CODE_BAD_REQUEST if it is no envelope or a newer format. */
KMS_API KMS_CHECKED enum kms_code kms_envelope_open(
    const struct kms_source *from, struct kms_envelope **out, struct kms_error *err);
/* Borrowed from e. */
KMS_API const struct kms_envelope_info *kms_envelope_info(const struct kms_envelope *e);
/* Takes the clear data key (32 bytes; a copy is not kept). KMS_CODE_INTEGRITY: not this file's. */
KMS_API KMS_CHECKED enum kms_code kms_envelope_unlock(
    struct kms_envelope *e, struct kms_bytes plaintext, struct kms_error *err);
/*
 * Unwraps the data key at kmsd, then as above. context NULL: the header's, where that shows its
 * values. A context that is given must be the file's, else KMS_CODE_INTEGRITY.
 */
KMS_API KMS_CHECKED enum kms_code kms_envelope_unwrap(
    struct kms_envelope *e, struct kms *c, const struct kms_context *context);
/* The next bytes, fewer than n at the end only; *out_n 0 is the end, and the file is whole. */
KMS_API KMS_CHECKED enum kms_code kms_envelope_read(
    struct kms_envelope *e, void *p, size_t n, size_t *out_n, struct kms_error *err);
/* Clear bytes from an offset; *out_n 0: the offset is at or past the end. Does not move the above. */
KMS_API KMS_CHECKED enum kms_code kms_envelope_read_at(struct kms_envelope *e, uint64_t offset,
    void *p, size_t n, size_t *out_n, struct kms_error *err);
/* All bytes that kms_envelope_read() has not given yet, to a sink. */
KMS_API KMS_CHECKED enum kms_code kms_envelope_read_all(
    struct kms_envelope *e, const struct kms_sink *to, struct kms_error *err);
/* Wipes, frees, and sets *e to NULL. */
KMS_API void kms_envelope_free(struct kms_envelope **e);

/*
 * A whole file: issues a data key, encrypts in_fd to out_fd. hide_values as above. Syncing and
 * renaming are the caller's. On failure what is in out_fd must be thrown away.
 */
KMS_API KMS_CHECKED enum kms_code kms_encrypt_fd(struct kms *c, const char *key,
    const struct kms_context *context, bool hide_values, int in_fd, int out_fd);
/*
 * The other way, from where in_fd stands. context as for kms_envelope_unwrap(). On failure what
 * has been written so far is authentic but not whole.
 */
KMS_API KMS_CHECKED enum kms_code kms_decrypt_fd(
    struct kms *c, const struct kms_context *context, int in_fd, int out_fd);
/*
 * Rewraps the data key of the envelope in fd (open for reading and writing) under the active
 * version, in place: the encrypted part does not change. context as above. *out_version may be
 * NULL. Sync is the caller's.
 */
KMS_API KMS_CHECKED enum kms_code kms_envelope_rewrap_fd(
    struct kms *c, const struct kms_context *context, int fd, uint32_t *out_version);

#ifdef __cplusplus
}
#endif

#endif
