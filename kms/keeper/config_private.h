/* SPDX-License-Identifier: Apache-2.0 */
/* What config.c and config_slots.c share, and nobody else. */
#pragma once

#include <confuse.h>

#include "kms/keeper/config.h"

/* Writes the line for people; always KMS_E_BAD_CONFIG. error has CONFIG_ERROR_MAX bytes. */
MUST_USE kms_err config_refuse(char *error, const char *option, const char *why);
/* Copies an option of at most max bytes. */
MUST_USE kms_err config_take_text(
    cfg_t *cfg, const char *option, size_t max, char *out, char *error);
/* Likewise; it must begin with '/'. */
MUST_USE kms_err config_take_path(
    cfg_t *cfg, const char *option, size_t max, char *out, char *error);
/* "10s", "2min"; not 0. */
MUST_USE kms_err config_take_span(cfg_t *cfg, const char *option, uint64_t *out_us, char *error);
/* The sections tpm and pkcs11, in the order of slot_order. */
MUST_USE kms_err config_take_slots(cfg_t *cfg, struct config *c, char *error);
