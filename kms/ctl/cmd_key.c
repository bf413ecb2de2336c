/* SPDX-License-Identifier: Apache-2.0 */
/* key create, list and show. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kms/ctl/ctl.h"
#include "kms/ctl/keyview.h"

kms_err cmd_key_create(struct ctl *c)
{
	AUTO(kms_result_free) struct kms_result *r = NULL;
	AUTO(out_done) struct out o = { .field_n = 0 };
	const struct kms_key_spec spec = {
		.key = c->args.operands[0],
		.key_class = c->args.text[OPT_CLASS],
		.algorithm = c->args.text[OPT_ALGORITHM],
		.rotate_every_s = c->args.number[OPT_ROTATE_EVERY],
		.dry_run = ctl_is_dry_run(c),
	};

	TRY(ctl_connect(c));
	TRY(ctl_ask(c, kms_key_create(c->kms, &spec, &r)));
	const struct kms_key *key = kms_result_key(r);
	if (spec.dry_run) {
		/* Its id and dates mean nothing: the real one will have others. */
		ctl_talk(c, "The key %s can be made; nothing was changed.", key->key);
		out_bool(&o, "dry_run", NULL, true);
		out_str(&o, "key", "key", key->key);
		out_str(&o, "class", "class", key->key_class);
		out_str(&o, "algorithm", "algorithm", key->algorithm);
		return ctl_print(c, &o);
	}
	keyview_put(&o, key, 0);
	return ctl_print(c, &o);
}

/* One page; *after becomes its last name, or NULL at the end. */
static kms_err list_page(struct ctl *c, struct out *o, char **after)
{
	AUTO(kms_result_free) struct kms_result *r = NULL;
	size_t n;
	bool more;

	TRY(ctl_ask(c, kms_key_list(c->kms, *after, 0, &r)));
	const struct kms_key *keys = kms_result_keys(r, &n, &more);
	for (size_t i = 0; i < n; i++)
		keyview_put_row(out_row(o), &keys[i]);
	free(*after);
	*after = more && n > 0 ? strdup(keys[n - 1].key) : NULL;
	return more && n > 0 && *after == NULL ? KMS_E_NO_MEMORY : KMS_OK;
}

kms_err cmd_key_list(struct ctl *c)
{
	AUTO(out_done) struct out o = { .field_n = 0 };
	char *after = NULL;

	TRY(ctl_connect(c));
	out_table(&o, "keys");
	kms_err e = KMS_OK;
	do
		e = list_page(c, &o, &after);
	while (e == KMS_OK && after != NULL);
	free(after);
	TRY(e);
	if (o.row_n == 0)
		ctl_talk(c, "There are no keys yet; `kmsctl key create NAME` makes one.");
	return ctl_print(c, &o);
}

kms_err cmd_key_show(struct ctl *c)
{
	AUTO(kms_result_free) struct kms_result *r = NULL;
	AUTO(out_done) struct out o = { .field_n = 0 };
	uint32_t version = (uint32_t)c->args.number[OPT_VERSION];

	TRY(ctl_connect(c));
	TRY(ctl_ask(c, kms_key_show(c->kms, c->args.operands[0], &r)));
	const struct kms_key *key = kms_result_key(r);
	if (version != 0 && keyview_find(key, version) == NULL)
		return ctl_refuse(
		    c, KMS_E_NOT_FOUND, "%s has no version %u", key->key, (unsigned)version);
	keyview_put(&o, key, version);
	return ctl_print(c, &o);
}
