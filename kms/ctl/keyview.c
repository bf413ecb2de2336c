/* SPDX-License-Identifier: Apache-2.0 */
/* Fields of keys and versions; spans as systemd writes them. */
#include "kms/ctl/keyview.h"

#include <stdio.h>
#include <string.h>

enum {
	SPAN_LEN = 64
};

/* "90d", "1d 12h", "-" for none: what clock_parse_span() reads back. */
static void format_span(uint64_t seconds, char out[static SPAN_LEN])
{
	static const struct {
		uint64_t seconds;
		const char *unit;
	} units[] = { { 86400, "d" }, { 3600, "h" }, { 60, "min" }, { 1, "s" } };
	size_t at = 0;

	(void)snprintf(out, SPAN_LEN, "-");
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		uint64_t n = seconds / units[i].seconds;

		seconds %= units[i].seconds;
		if (n == 0)
			continue;
		int len = snprintf(out + at, SPAN_LEN - at, "%s%ju%s", at > 0 ? " " : "",
		    (uintmax_t)n, units[i].unit);
		at += len > 0 ? (size_t)len : 0;
	}
}

static enum out_color color_of(const char *state)
{
	if (strcmp(state, "active") == 0)
		return OUT_GREEN;
	if (strcmp(state, "compromised") == 0 || strcmp(state, "destroyed") == 0)
		return OUT_RED;
	return strcmp(state, "suspended") == 0 ? OUT_YELLOW : OUT_PLAIN;
}

static void put_period(struct out *o, const char *label, const struct kms_key *key)
{
	char text[SPAN_LEN];

	format_span(key->rotate_every_s, text);
	out_u64(o, "rotate_every_s", NULL, key->rotate_every_s);
	out_str(o, NULL, label, key->rotate_every_s == 0 ? "on demand" : text);
}

void keyview_put_row(struct out *row, const struct kms_key *key)
{
	out_str(row, "key", "KEY", key->key);
	out_str(row, "state", "STATE", key->state);
	out_paint(row, color_of(key->state));
	out_u64(row, "version", "VERSION", key->version);
	out_u64(row, "version_count", "OF", key->version_count);
	out_str(row, "class", "CLASS", key->key_class);
	out_str(row, "algorithm", "ALGORITHM", key->algorithm);
	put_period(row, "ROTATION", key);
	out_u64(row, "floor", NULL, key->floor);
	out_time(row, "created", "CREATED", key->created_us);
	out_hex(row, "id", NULL, bytes_of(key->id.p, key->id.n));
	out_name(row, key->key);
}

static void put_version(struct out *row, const struct kms_key_version *v)
{
	out_u64(row, "version", "VERSION", v->version);
	out_str(row, "state", "STATE", v->state);
	out_paint(row, color_of(v->state));
	out_time(row, "since", "SINCE", v->since_us);
	out_u64(row, "issued", "ISSUED", v->issued);
	out_u64(row, "wrapped", "WRAPPED", v->wrapped);
	out_u64(row, "unwrapped", "UNWRAPPED", v->unwrapped);
	out_time(row, "created", NULL, v->created_us);
	out_bool(row, "above_floor", NULL, v->above_floor);
	out_str(row, "reason", "REASON", v->reason);
}

const struct kms_key_version *keyview_find(const struct kms_key *key, uint32_t version)
{
	for (size_t i = 0; i < key->version_n; i++) {
		if (key->versions[i].version == version)
			return &key->versions[i];
	}
	return NULL;
}

void keyview_put(struct out *o, const struct kms_key *key, uint32_t version)
{
	out_str(o, "key", "key", key->key);
	out_hex(o, "id", "id", bytes_of(key->id.p, key->id.n));
	out_str(o, "class", "class", key->key_class);
	out_str(o, "algorithm", "algorithm", key->algorithm);
	out_str(o, "state", "state", key->state);
	out_paint(o, color_of(key->state));
	out_u64(o, "version", "active version", key->version);
	out_u64(o, "version_count", NULL, key->version_count);
	out_u64(o, "floor", key->floor > 1 ? "floor" : NULL, key->floor);
	out_time(o, "created", "created", key->created_us);
	put_period(o, "rotation", key);
	if (key->backed_up_until_us == UINT64_MAX)
		out_str(o, "backed_up_until", "in backups until", "never");
	else if (key->backed_up_until_us != 0)
		out_time(o, "backed_up_until", "in backups until", key->backed_up_until_us);
	out_name(o, key->key);
	out_table(o, "versions");
	for (size_t i = 0; i < key->version_n; i++) {
		if (version == 0 || key->versions[i].version == version)
			put_version(out_row(o), &key->versions[i]);
	}
}
