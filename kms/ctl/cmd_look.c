/* SPDX-License-Identifier: Apache-2.0 */
/* The commands that only look: status, whoami, metrics, version. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kms/base/clock.h"
#include "kms/ctl/ctl.h"
#include "kms/ctl/look.h"

static enum out_color color_of(const struct kms_status *s)
{
	if (look_is_unsealed(s))
		return OUT_GREEN;
	return strcmp(s->state, "opening") == 0 ? OUT_YELLOW : OUT_RED;
}

static void put_memory(struct out *o, const struct kms_status *s)
{
	out_bool(o, "memory_locked", NULL, s->memory_locked);
	out_bool(o, "memory_hidden", NULL, s->memory_hidden);
	out_str(
	    o, NULL, "memory", s->memory_locked ? "locked" : "not locked: keys may be swapped out");
	out_paint(o, s->memory_locked ? OUT_GREEN : OUT_YELLOW);
}

static void put_counter(struct out *o, const struct kms_status *s)
{
	char text[64];

	bool none = strcmp(s->counter_state, "none") == 0;
	bool unchecked = strcmp(s->counter_state, "unchecked") == 0;

	if (none)
		(void)snprintf(text, sizeof(text), "none");
	else
		(void)snprintf(text, sizeof(text), "%ju%s%s", (uintmax_t)s->counter,
		    s->counter_behind ? ", behind the store" : "",
		    unchecked ? ", not checked" : "");
	out_u64(o, "epoch", NULL, s->epoch);
	out_u64(o, "counter", NULL, s->counter);
	out_bool(o, "counter_behind", NULL, s->counter_behind);
	out_u64(o, "counter_moves", NULL, s->counter_moves);
	out_str(o, "counter_state", NULL, s->counter_state);
	out_str(o, NULL, "counter", text);
	out_paint(o, s->counter_behind || unchecked ? OUT_YELLOW : OUT_PLAIN);
}

static void put_ceremony(struct out *o, const struct kms_ceremony *x)
{
	char text[96], until[CLOCK_TEXT_LEN];

	if (x->nonce.n == 0)
		return;
	clock_format(x->expires_us, until);
	(void)snprintf(text, sizeof(text), "%u of %u shares are here, until %s", (unsigned)x->have,
	    (unsigned)x->needed, until);
	look_put_ceremony(o, x);
	out_str(o, NULL, "ceremony", text);
	out_paint(o, OUT_YELLOW);
}

/* When it last went well, and what is wrong with it now. */
static void put_dated(struct out *o, const char *label, uint64_t when_us, const char *state)
{
	char text[128], date[CLOCK_TEXT_LEN];
	bool good = strcmp(state, "ok") == 0;

	if (state[0] == '\0' && when_us == 0)
		return;
	clock_format(when_us, date);
	(void)snprintf(text, sizeof(text), "%s%s%.64s%s", when_us != 0 ? date : "never",
	    good ? "" : " (", good ? "" : state, good ? "" : ")");
	out_str(o, NULL, label, text);
	out_paint(o, good ? OUT_GREEN : OUT_YELLOW);
}

static void put_backups(struct out *o, const struct kms_status *s)
{
	out_time(o, "last_backup", NULL, s->backup_us);
	out_str(o, "backup_state", NULL, s->backup_state);
	out_time(o, "last_rehearsal", NULL, s->rehearsal_us);
	out_str(o, "rehearsal_state", NULL, s->rehearsal_state);
	put_dated(o, "last backup", s->backup_us, s->backup_state);
	put_dated(o, "last rehearsal", s->rehearsal_us, s->rehearsal_state);
	out_str(o, "restoring", s->restoring[0] != '\0' ? "restoring" : NULL, s->restoring);
}

static void put_status(struct out *o, const struct kms_status *s)
{
	out_str(o, "program", "program", s->program);
	out_str(o, "state", "state", s->state);
	out_paint(o, color_of(s));
	out_bool(o, "sealed", NULL, !look_is_unsealed(s));
	out_str(o, "why", s->why[0] != '\0' ? "why" : NULL, s->why);
	out_hex(o, "instance", "instance", bytes_of(s->instance.p, s->instance.n));
	out_time(o, "started", "started", s->started_us);
	out_u64(
	    o, "keeper_starts", s->keeper_starts > 1 ? "keeper starts" : NULL, s->keeper_starts);
	out_u64(o, "keys", "keys", s->keys);
	out_u64(o, "key_versions", "key versions", s->versions);
	out_str(o, "audit_state", "audit log", s->audit_state);
	out_paint(o, strcmp(s->audit_state, "ok") == 0 ? OUT_GREEN : OUT_RED);
	out_u64(o, "audit_records", "audit records", s->audit_records);
	put_counter(o, s);
	put_ceremony(o, &s->ceremony);
	put_backups(o, s);
	put_memory(o, s);
	out_u64(o, "connections", "connections", s->connections);
	out_words(o, "sandbox", "sandbox", s->sandbox, s->sandbox_n);
	out_u64(o, "protocol", NULL, s->protocol);
	out_u64(o, "wrapped_format", NULL, s->wrapped_format);
	out_u64(o, "store_schema", NULL, s->store_schema);
	out_name(o, s->state);
}

/* The sentence that an administrator reads first. */
static void put_headline(struct out *o, const struct kms_status *s)
{
	kms_err why = look_why(s->why);

	if (look_is_unsealed(s))
		out_title(o, "kmsd serves.");
	else if (s->restoring[0] != '\0')
		out_title(o,
		    "kmsd waits to be opened with the backup %.128s.\n  what to do: `kmsctl "
		    "unseal`, or each person `kmsctl unseal --share -`.",
		    s->restoring);
	else if (strcmp(s->state, "uninitialised") == 0)
		out_title(o, "kmsd has no root key yet.\n  what to do: %s",
		    err_hint(KMS_E_NOT_INITIALISED));
	else if (strcmp(s->state, "opening") == 0)
		out_title(o, "kmsd is opening itself; `kmsctl wait` returns when it serves.");
	else if (why != KMS_OK)
		out_title(o, "kmsd does not serve: it is %s. %s\n  what to do: %s",
		    strcmp(s->state, "sealed") == 0 ? "sealed" : "out of service", err_text(why),
		    err_hint(why));
	else
		out_title(o,
		    "kmsd does not serve: it is sealed.\n  what to do: `kmsctl unseal` opens "
		    "it.");
}

kms_err cmd_status(struct ctl *c)
{
	AUTO(kms_result_free) struct kms_result *r = NULL;
	AUTO(out_done) struct out o = { .field_n = 0 };

	TRY(ctl_connect(c));
	TRY(ctl_ask(c, kms_status(c->kms, &r)));
	const struct kms_status *s = kms_result_status(r);
	put_headline(&o, s);
	put_status(&o, s);
	/* -q asks for the state alone. */
	if (c->style.json || !c->style.quiet)
		look_put_slots(&o, s->slots, s->slot_n);
	return ctl_print(c, &o);
}

kms_err cmd_whoami(struct ctl *c)
{
	AUTO(kms_result_free) struct kms_result *r = NULL;
	AUTO(out_done) struct out o = { .field_n = 0 };

	TRY(ctl_connect(c));
	TRY(ctl_ask(c, kms_whoami(c->kms, &r)));
	const struct kms_whoami *w = kms_result_whoami(r);
	out_str(&o, "identity", "identity", w->identity);
	out_bool(&o, "admin", "may do everything", w->admin);
	out_words(&o, "groups", "groups", w->groups, w->group_n);
	out_name(&o, w->identity);
	return ctl_print(c, &o);
}

/* A line `name{labels} value`; comments and what is no such line give nothing. */
static void put_metric(struct out *o, char *line)
{
	char *space = strrchr(line, ' '), *end = NULL;

	if (line[0] == '#' || space == NULL || space == line)
		return;
	double value = strtod(space + 1, &end);
	if (end == space + 1 || *end != '\0')
		return;
	*space = '\0';
	out_double(o, line, value);
}

static kms_err print_metrics_json(struct ctl *c, struct bytes text)
{
	AUTO(buf_done) struct buf copy = { .n = 0 };
	AUTO(out_done) struct out o = { .field_n = 0 };
	char *rest = NULL;

	TRY(buf_put(&copy, text));
	TRY(buf_put_u8(&copy, '\0'));
	struct out *metrics = out_child(&o, "metrics");
	for (char *line = strtok_r((char *)copy.p, "\n", &rest); line != NULL;
	     line = strtok_r(NULL, "\n", &rest))
		put_metric(metrics, line);
	return ctl_print(c, &o);
}

kms_err cmd_metrics(struct ctl *c)
{
	AUTO(kms_result_free) struct kms_result *r = NULL;

	TRY(ctl_connect(c));
	TRY(ctl_ask(c, kms_metrics(c->kms, &r)));
	struct kms_bytes text = kms_result_bytes(r);
	if (c->style.json)
		return print_metrics_json(c, bytes_of(text.p, text.n));
	return ctl_write(c, bytes_of(text.p, text.n));
}

kms_err cmd_version(struct ctl *c)
{
	AUTO(out_done) struct out o = { .field_n = 0 };
	char line[64];

	(void)snprintf(line, sizeof(line), "kmsctl %s", kms_version());
	out_str(&o, "program", NULL, "kmsctl");
	out_str(&o, "version", NULL, kms_version());
	out_bare(&o, bytes_of_str(line));
	return ctl_print(c, &o);
}
