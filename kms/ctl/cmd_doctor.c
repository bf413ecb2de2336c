/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kmsctl doctor: a list of checks, each of which says ok, warn or fail, and what to do. It goes
 * on where another command would stop, as long as there is something to look at.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/timex.h>

#include "kms/base/clock.h"
#include "kms/base/version.h"
#include "kms/ctl/ctl.h"
#include "kms/ctl/look.h"

enum grade {
	GRADE_OK,
	GRADE_WARN,
	GRADE_FAIL
};

enum {
	FINDING_MAX = 256,
	CLOCK_SLACK_US = 2000000
};

struct doctor {
	struct ctl *ctl;
	struct out *out;
	enum kms_code worst; /* of the first failure */
	bool failed;
};

static const char *const grade_words[] = {
	[GRADE_OK] = "ok",
	[GRADE_WARN] = "warn",
	[GRADE_FAIL] = "fail",
};

static const enum out_color grade_colors[] = {
	[GRADE_OK] = OUT_GREEN,
	[GRADE_WARN] = OUT_YELLOW,
	[GRADE_FAIL] = OUT_RED,
};

static void put_hint(struct doctor *d, enum grade grade, const char *hint)
{
	if (grade == GRADE_OK || d->ctl->style.json || d->ctl->style.quiet || hint[0] == '\0')
		return;
	struct out *row = out_row(d->out);
	out_str(row, NULL, "RESULT", " ");
	out_str(row, NULL, "CHECK", " ");
	out_text(row, NULL, "FINDING", bytes_of_str(hint));
}

/* One finding. e: the error it stands for, whose hint is what to do; KMS_OK has none. */
__attribute__((format(printf, 5, 6))) static void find(
    struct doctor *d, enum grade grade, const char *check, kms_err e, const char *format, ...)
{
	char text[FINDING_MAX], hint[FINDING_MAX + 32];
	struct out *row = out_row(d->out);
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	(void)snprintf(hint, sizeof(hint), "what to do: %s", err_hint(e));
	out_str(row, "result", "RESULT", grade_words[grade]);
	out_paint(row, grade_colors[grade]);
	out_str(row, "check", "CHECK", check);
	out_str(row, "finding", "FINDING", text);
	out_str(row, "hint", NULL, grade == GRADE_OK ? "" : err_hint(e));
	out_name(row, grade == GRADE_OK ? "" : check);
	put_hint(d, grade, e == KMS_OK ? "" : hint);
	if (grade == GRADE_FAIL && !d->failed) {
		d->failed = true;
		d->worst = (enum kms_code)err_wire(e);
	}
}

/* What libkms failed with, which may come with a hint that we don't know. */
static void find_failure(struct doctor *d, const char *check)
{
	const struct kms_error *e = &d->ctl->error;
	bool detail = e->detail[0] != '\0';

	find(d, GRADE_FAIL, check, err_from_name(e->name, strlen(e->name)), "%s%s%s%s", e->text,
	    detail ? " (" : "", e->detail, detail ? ")" : "");
}

static kms_err check_socket(struct doctor *d, struct kms_result **out)
{
	struct ctl *c = d->ctl;

	kms_err e = ctl_connect(c);
	if (e == KMS_OK)
		e = ctl_ask(c, kms_status(c->kms, out));
	if (e == KMS_OK)
		find(d, GRADE_OK, "socket", KMS_OK, "kmsd answers on %s", kms_socket_path(c->kms));
	else
		find_failure(d, "socket");
	return e;
}

static void check_rights(struct doctor *d)
{
	AUTO(kms_result_free) struct kms_result *r = NULL;
	struct ctl *c = d->ctl;

	if (ctl_ask(c, kms_whoami(c->kms, &r)) != KMS_OK) {
		find_failure(d, "rights");
		return;
	}
	const struct kms_whoami *w = kms_result_whoami(r);
	if (w->admin)
		find(
		    d, GRADE_OK, "rights", KMS_OK, "you are %s and may do everything", w->identity);
	else
		find(d, GRADE_WARN, "rights", KMS_E_DENIED, "you are %s and may only look",
		    w->identity);
}

static void check_state(struct doctor *d, const struct kms_status *s)
{
	kms_err why = look_why(s->why);

	if (look_is_unsealed(s))
		find(d, GRADE_OK, "state", KMS_OK, "unsealed, with %ju keys", (uintmax_t)s->keys);
	else if (strcmp(s->state, "uninitialised") == 0)
		find(d, GRADE_FAIL, "state", KMS_E_NOT_INITIALISED, "there is no root key yet");
	else if (strcmp(s->state, "opening") == 0)
		find(d, GRADE_WARN, "state", KMS_E_STOPPING, "it is opening itself");
	else if (why != KMS_OK)
		find(d, GRADE_FAIL, "state", why, "%s: %s", s->state, err_text(why));
	else
		find(d, GRADE_FAIL, "state", KMS_E_SEALED, "%s", s->state);
}

static void check_memory(struct doctor *d, const struct kms_status *s)
{
	if (!s->memory_locked)
		find(d, GRADE_WARN, "memory", KMS_E_LOCKED_MEMORY, "keys may be swapped out");
	else
		find(d, GRADE_OK, "memory", KMS_OK, "locked%s",
		    s->memory_hidden ? ", and hidden from root" : "");
}

static void check_audit(struct doctor *d, const struct kms_status *s)
{
	bool good = strcmp(s->audit_state, "ok") == 0;

	if (good)
		find(d, GRADE_OK, "audit log", KMS_OK, "%ju records", (uintmax_t)s->audit_records);
	else
		find(d, GRADE_FAIL, "audit log", look_why(s->audit_state), "%s",
		    err_text(look_why(s->audit_state)));
}

static void check_counter(struct doctor *d, const struct kms_status *s)
{
	if (strcmp(s->counter_state, "none") == 0)
		find(d, GRADE_WARN, "counter", KMS_OK,
		    "there is none: an old copy of the store would go unnoticed; add a tpm slot");
	else if (strcmp(s->counter_state, "unchecked") == 0)
		find(d, GRADE_WARN, "counter", KMS_OK,
		    "not checked since the start: the hardware that has it did not answer");
	else if (s->counter_behind)
		find(d, GRADE_WARN, "counter", KMS_E_COUNTER_BEHIND,
		    "the hardware counter (%ju) is behind the store (%ju)", (uintmax_t)s->counter,
		    (uintmax_t)s->epoch);
	else
		find(d, GRADE_OK, "counter", KMS_OK, "at %ju, moved %ju times since the start",
		    (uintmax_t)s->counter, (uintmax_t)s->counter_moves);
}

static void check_slots(struct doctor *d, const struct kms_status *s)
{
	for (size_t i = 0; i < s->slot_n; i++) {
		const struct kms_slot *slot = &s->slots[i];
		kms_err last = look_why(slot->last);

		if (strcmp(slot->last, "ok") == 0)
			find(d, GRADE_OK, "slot", KMS_OK, "%s opened the root key", slot->name);
		else if (strcmp(slot->last, "untried") == 0)
			find(d, GRADE_WARN, "slot", KMS_OK, "%s has not been tried", slot->name);
		else
			find(d, GRADE_WARN, "slot", last, "%s: %s", slot->name, err_text(last));
	}
}

static void check_slot_count(struct doctor *d, const struct kms_status *s)
{
	if (s->slot_n == 1)
		find(d, GRADE_WARN, "slots", KMS_OK,
		    "one slot is one loss from nothing: add shares (kmsctl slot add --shares 2/3)");
	else if (s->slot_n > 1)
		find(
		    d, GRADE_OK, "slots", KMS_OK, "%zu, any of them opens the root key", s->slot_n);
}

/* A backup or a rehearsal. advice: what makes one. An older kmsd has no state of it. */
static void check_dated(
    struct doctor *d, const char *check, const char *state, uint64_t when_us, const char *advice)
{
	char date[CLOCK_TEXT_LEN];
	kms_err why = look_why(state);

	clock_format(when_us, date);
	if (state[0] == '\0')
		return;
	if (strcmp(state, "ok") == 0 && when_us == 0)
		find(d, GRADE_OK, check, KMS_OK, "none yet; %s", advice);
	else if (strcmp(state, "ok") == 0)
		find(d, GRADE_OK, check, KMS_OK, "the last one was on %s", date);
	else if (strcmp(state, "late") == 0)
		find(d, GRADE_WARN, check, KMS_OK, "late, the last one was on %s; %s",
		    when_us != 0 ? date : "no day yet", advice);
	else if (strcmp(state, "off") == 0)
		find(d, GRADE_WARN, check, KMS_OK, "off; %s", advice);
	else if (strcmp(state, "failed") == 0)
		find(d, GRADE_WARN, check, KMS_OK, "the last one, on %s, failed; %s", date, advice);
	else
		find(d, GRADE_WARN, check, why, "the last one failed: %s",
		    why != KMS_OK ? err_text(why) : state);
}

static void check_backups(struct doctor *d, const struct kms_status *s)
{
	check_dated(d, "backup", s->backup_state, s->backup_us,
	    "see kms.conf(5), or `kmsctl backup create`");
	check_dated(d, "rehearsal", s->rehearsal_state, s->rehearsal_us,
	    "`kmsctl backup rehearse` proves a backup");
}

static void check_restarts(struct doctor *d, const struct kms_status *s)
{
	if (s->keeper_starts > 1)
		find(d, GRADE_WARN, "restarts", KMS_E_INTERNAL,
		    "the keeper has been restarted %u times", (unsigned)s->keeper_starts - 1);
	else
		find(d, GRADE_OK, "restarts", KMS_OK, "none");
}

static void check_version(struct doctor *d, const struct kms_status *s)
{
	const char *ours = strstr(s->program, KMS_VERSION);

	if (ours != NULL && ours[strlen(KMS_VERSION)] == '\0')
		find(d, GRADE_OK, "version", KMS_OK, "%s, as kmsctl", s->program);
	else
		find(d, GRADE_WARN, "version", KMS_E_BAD_OPERATION,
		    "kmsctl is %s, the service is %s", KMS_VERSION, s->program);
}

static void check_clock(struct doctor *d, const struct kms_status *s)
{
	struct timex t = { .modes = 0 };

	if (s != NULL && s->started_us > clock_wall_us() + CLOCK_SLACK_US)
		find(d, GRADE_WARN, "clock", KMS_OK,
		    "kmsd's start lies in the future: the clock was set back");
	else if (adjtimex(&t) == TIME_ERROR)
		find(d, GRADE_WARN, "clock", KMS_OK,
		    "not synchronised, so times in the audit log may be wrong; start an NTP client");
	else
		find(d, GRADE_OK, "clock", KMS_OK, "synchronised");
}

static void examine(struct doctor *d)
{
	AUTO(kms_result_free) struct kms_result *r = NULL;
	const struct kms_status *s = NULL;

	if (check_socket(d, &r) == KMS_OK) {
		s = kms_result_status(r);
		check_rights(d);
		check_state(d, s);
		check_memory(d, s);
		check_audit(d, s);
		check_counter(d, s);
		check_slots(d, s);
		check_slot_count(d, s);
		check_backups(d, s);
		check_restarts(d, s);
		check_version(d, s);
	}
	check_clock(d, s);
}

kms_err cmd_doctor(struct ctl *c)
{
	AUTO(out_done) struct out o = { .field_n = 0 };
	struct doctor d = { .ctl = c, .out = &o };

	out_table(&o, "checks");
	examine(&d);
	out_bool(&o, "ok", NULL, !d.failed);
	TRY(ctl_print(c, &o));
	c->status = d.failed ? kms_exit_status(d.worst) : 0;
	return KMS_OK;
}
