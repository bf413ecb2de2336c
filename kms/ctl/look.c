/* SPDX-License-Identifier: Apache-2.0 */
/* What kmsd says of itself, as the commands that look at it print it. */
#include "kms/ctl/look.h"

#include <string.h>

kms_err look_why(const char *name)
{
	return name[0] != '\0' ? err_from_name(name, strlen(name)) : KMS_OK;
}

bool look_is_unsealed(const struct kms_status *s)
{
	return strcmp(s->state, "unsealed") == 0;
}

void look_put_slot(struct out *row, const struct kms_slot *slot)
{
	bool good = strcmp(slot->last, "ok") == 0;

	out_str(row, "slot", "SLOT", slot->name);
	out_str(row, "kind", "KIND", slot->kind);
	out_str(row, "last", "LAST", slot->last);
	out_paint(row, good ? OUT_GREEN : OUT_YELLOW);
	out_time(row, "created", "CREATED", slot->created_us);
	out_hex(row, "id", NULL, bytes_of(slot->id.p, slot->id.n));
	out_str(row, "detail", "DETAIL", slot->detail);
	out_name(row, slot->name);
}

void look_put_slots(struct out *o, const struct kms_slot *slots, size_t n)
{
	out_table(o, "slots");
	for (size_t i = 0; i < n; i++)
		look_put_slot(out_row(o), &slots[i]);
}

kms_err look_print_slots(struct ctl *c, const struct kms_result *r)
{
	AUTO(out_done) struct out o = { .field_n = 0 };
	size_t n;

	const struct kms_slot *slots = kms_result_slots(r, &n);
	if (ctl_is_dry_run(c))
		out_bool(&o, "dry_run", NULL, true);
	look_put_slots(&o, slots, n);
	return ctl_print(c, &o);
}

kms_err look_status(struct ctl *c, struct kms_result **out)
{
	TRY(ctl_connect(c));
	return ctl_ask(c, kms_status(c->kms, out));
}

void look_put_ceremony(struct out *o, const struct kms_ceremony *ceremony)
{
	struct out *inner = out_child(o, "ceremony");

	out_hex(inner, "nonce", NULL, bytes_of(ceremony->nonce.p, ceremony->nonce.n));
	out_hex(inner, "set", NULL, bytes_of(ceremony->set.p, ceremony->set.n));
	out_u64(inner, "needed", NULL, ceremony->needed);
	out_u64(inner, "have", NULL, ceremony->have);
	out_time(inner, "expires", NULL, ceremony->expires_us);
}

void look_put_state(struct out *o, const char *state)
{
	out_str(o, "state", NULL, state);
	out_bool(o, "sealed", NULL, strcmp(state, "unsealed") != 0);
}

kms_err look_print_state(struct ctl *c, const char *state)
{
	AUTO(out_done) struct out o = { .field_n = 0 };

	look_put_state(&o, state);
	if (ctl_is_dry_run(c))
		out_bool(&o, "dry_run", NULL, true);
	return ctl_print(c, &o);
}
