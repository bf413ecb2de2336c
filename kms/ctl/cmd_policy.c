/* SPDX-License-Identifier: Apache-2.0 */
/* kmsctl policy: reads policies and asks them, without kmsd, which applies none yet. */
#include <stdio.h>

#include "kms/base/clock.h"
#include "kms/ctl/command.h"
#include "kms/ctl/ctl.h"
#include "kms/ctl/file.h"
#include "kms/ctl/out.h"
#include "kms/policy/check.h"
#include "kms/policy/decide.h"
#include "kms/policy/diff.h"
#include "kms/policy/parse.h"

static kms_err load(struct ctl *c, const char *path, struct buf *text, struct rules **out)
{
	struct parse_error at;
	TRY(file_read(c, path, RULES_TEXT_MAX, text));
	kms_err e = rules_parse(buf_bytes(text), out, &at);
	if (e == KMS_E_BAD_POLICY)
		return ctl_refuse(c, e, "%s:%u:%u: %s", path, at.line, at.column, at.text);
	return e;
}

static kms_err print_findings(struct ctl *c, struct bytes text, const struct findings *f)
{
	AUTO(out_done) struct out o = { .field_n = 0 };
	out_u64(&o, "errors", "errors", f->errors);
	out_table(&o, "findings");
	for (size_t i = 0; i < f->n; i++) {
		const struct finding *x = &f->p[i];
		struct out *row = out_row(&o);
		out_u64(row, "line", "line", x->line);
		out_u64(row, "column", "column", parse_column(text, x->line, x->name));
		out_str(row, "kind", "kind", x->error ? "error" : "warning");
		out_str(row, "text", "what", x->text);
	}
	if (f->errors > 0)
		c->status = kms_exit_status(KMS_CODE_BAD_REQUEST);
	return ctl_print(c, &o);
}

kms_err cmd_policy_check(struct ctl *c)
{
	AUTO(buf_done) struct buf text = { .n = 0 };
	AUTO(rules_free) struct rules *r = NULL;
	AUTO(findings_done) struct findings f = { .n = 0 };

	TRY(load(c, c->args.operands[0], &text, &r));
	TRY(policy_check(r, &f));
	return print_findings(c, buf_bytes(&text), &f);
}

static struct bytes word_or_none(const char *text)
{
	return bytes_of_str(text != NULL ? text : "");
}

kms_err cmd_policy_explain(struct ctl *c)
{
	AUTO(buf_done) struct buf text = { .n = 0 };
	AUTO(rules_free) struct rules *r = NULL;
	AUTO(out_done) struct out o = { .field_n = 0 };
	const struct args *a = &c->args;
	const struct question q = { .who = bytes_of_str(a->operands[1]),
		.op = op_from_name(bytes_of_str(a->operands[2])),
		.key = word_or_none(a->operands[3]),
		.key_class = word_or_none(a->text[OPT_CLASS]),
		.subject = word_or_none(a->text[OPT_SUBJECT]),
		.purpose = word_or_none(a->text[OPT_PURPOSE]),
		.time_us = clock_wall_us() };

	if (!rules_who_valid(q.who))
		return ctl_usage(
		    c, "who is written as unix:USER, token:NAME, tls:NAME or operator:NAME");
	if (!rules_grantable(q.op))
		return ctl_usage(c, "there is no operation %s to grant", a->operands[2]);
	TRY(load(c, a->operands[0], &text, &r));
	const struct decision d = rules_decide(r, &q);
	out_bool(&o, "allowed", "allowed", d.lack == LACK_NOTHING);
	out_str(&o, "missing", NULL, lack_word(d.lack));
	out_str(&o, "why", "why", lack_text(d.lack));
	if (d.grant != NULL)
		out_u64(&o, "grant_line", "line of the grant", d.grant->line);
	if (d.role != NULL) {
		out_str(&o, "role", "role", d.role->name);
		out_u64(&o, "role_line", "line of the role", d.role->line);
	}
	return ctl_print(c, &o);
}

static void put_change(struct out *row, const struct policy_change *x)
{
	const char *words[OP_COUNT];
	size_t n = 0;
	for (unsigned op = 0; op < OP_COUNT; op++)
		if ((x->ops[op / 64] >> (op % 64) & 1) != 0)
			words[n++] = op_name((enum op)op);
	if (x->rule != NULL)
		words[n++] = x->rule;
	out_str(row, "change", "change", x->gains ? "gains" : "loses");
	out_str(row, "who", "who", x->who);
	out_str(row, "role", "role", x->role != NULL ? x->role : "-");
	out_words(row, "what", "what", words, n);
}

kms_err cmd_policy_diff(struct ctl *c)
{
	AUTO(buf_done) struct buf text = { .n = 0 };
	AUTO(buf_done) struct buf other = { .n = 0 };
	AUTO(rules_free) struct rules *old = NULL;
	AUTO(rules_free) struct rules *fresh = NULL;
	AUTO(policy_diff_done) struct policy_diff d = { .n = 0 };
	AUTO(out_done) struct out o = { .field_n = 0 };

	TRY(load(c, c->args.operands[0], &text, &old));
	TRY(load(c, c->args.operands[1], &other, &fresh));
	TRY(policy_diff(old, fresh, &d));
	out_table(&o, "changes");
	for (size_t i = 0; i < d.n; i++)
		put_change(out_row(&o), &d.p[i]);
	return ctl_print(c, &o);
}
