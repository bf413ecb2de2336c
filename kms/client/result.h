/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One answer, owned by whoever asked: the message's bytes, and the public structs made of it, in
 * one arena that is wiped when the result is freed.
 */
#pragma once

#include "kms/base/arena.h"
#include "kms/base/base.h"
#include "kms/client/kms.h"
#include "proto/message.h"

struct kms_result {
	struct arena arena;
	struct answer answer;
	union {
		struct kms_status status;
		struct kms_whoami whoami;
		struct kms_bytes bytes;
		struct kms_records records;
		struct kms_ceremony ceremony;
		struct {
			const struct kms_slot *p;
			size_t n;
			const char *const
			    *shares; /* clear, as the message that they are copied from */
			size_t share_n;
		} slots;
		struct {
			const struct kms_backup *p;
			size_t n;
		} backups;
		struct {
			const struct kms_key *p;
			size_t n;
		} keys;
		struct {
			const struct kms_item *p;
			size_t n;
		} items;
	} u;
};

/* Reads one message (copied). KMS_E_BAD_FRAME, KMS_E_NO_MEMORY. */
MUST_USE kms_err result_new(struct bytes message, struct kms_result **out);
