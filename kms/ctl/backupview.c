/* SPDX-License-Identifier: Apache-2.0 */
/* Backups as rows of a table. */
#include "kms/ctl/backupview.h"

#include <stdio.h>
#include <string.h>

enum {
	SLOTS_MAX = 16 /* more than an instance can have */
};

static const char ok[] = "ok";

bool backupview_is_good(const struct kms_backup *b)
{
	return strcmp(b->state, ok) == 0 || strcmp(b->state, "old-root") == 0;
}

static void put_size(struct out *row, uint64_t size)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	char text[32];
	size_t unit = 0;
	uint64_t tenths = size < UINT64_MAX / 10 ? size * 10 : UINT64_MAX;

	for (; tenths >= 10240 && unit + 1 < ARRAY_LEN(units); unit++)
		tenths /= 1024;
	if (unit == 0)
		(void)snprintf(text, sizeof(text), "%ju B", (uintmax_t)size);
	else
		(void)snprintf(text, sizeof(text), "%ju.%ju %s", (uintmax_t)tenths / 10,
		    (uintmax_t)tenths % 10, units[unit]);
	out_u64(row, "size", NULL, size);
	out_str(row, NULL, "SIZE", text);
}

static void put_slots(struct out *row, const struct kms_backup *b)
{
	const char *names[SLOTS_MAX];
	size_t n = b->slot_n < SLOTS_MAX ? b->slot_n : SLOTS_MAX;

	for (size_t i = 0; i < n; i++)
		names[i] = b->slots[i].name;
	out_words(row, "slots", "OPENS WITH", names, n);
}

void backupview_put_row(struct out *row, const struct kms_backup *b)
{
	out_str(row, "backup", "BACKUP", b->name);
	out_str(row, "state", "STATE", b->state);
	out_paint(row, !backupview_is_good(b)      ? OUT_RED
	               : strcmp(b->state, ok) == 0 ? OUT_GREEN
	                                           : OUT_YELLOW);
	out_time(row, "created", "CREATED", b->created_us);
	out_time(row, "expires", "EXPIRES", b->expires_us);
	put_size(row, b->size);
	put_slots(row, b);
	out_hex(row, "id", NULL, bytes_of(b->id.p, b->id.n));
	out_u64(row, "epoch", NULL, b->epoch);
	out_u64(row, "audit_records", NULL, b->audit_records);
	out_u64(row, "rows", NULL, b->rows);
	out_str(row, "detail", "DETAIL", b->detail);
	out_name(row, b->name);
}

void backupview_put(struct out *o, const struct kms_backup *list, size_t n)
{
	out_table(o, "backups");
	for (size_t i = 0; i < n; i++)
		backupview_put_row(out_row(o), &list[i]);
}

const struct kms_backup *backupview_find(const struct kms_backup *list, size_t n, const char *name)
{
	const struct kms_backup *found = NULL;

	for (size_t i = 0; i < n; i++) {
		const struct kms_backup *b = &list[i];

		if (name != NULL && strcmp(b->name, name) == 0)
			return b;
		if (name != NULL || strcmp(b->state, ok) != 0)
			continue;
		if (found == NULL || b->created_us > found->created_us)
			found = b;
	}
	return found;
}
