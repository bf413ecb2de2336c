/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening and closing. Whoever is connected to a chip without a resource manager shares its few
 * places with nobody: what a killed helper left there is swept out first, or three kills
 * would fill it for good.
 */
#include "tpm/device.h"

#include <string.h>

enum {
	SWEEP_MAX = 16,      /* handles of one kind; a chip has room for a handful */
	OVERWRITE_ALGS = 128 /* asks for more algorithms than there are: a long answer */
};

/* Part 2, 7.2. The library's names for these shift a bit out of an int. */
static const TPM2_HANDLE sessions_first = 0x02000000U;
static const TPM2_HANDLE transient_first = 0x80000000U;

/* TCTIs behind which no resource manager stands. */
static const char *const direct[] = { "swtpm", "mssim", "pcap:swtpm", "pcap:mssim" };

static bool is_direct(const char *tcti)
{
	for (size_t i = 0; i < ARRAY_LEN(direct); i++) {
		size_t n = strlen(direct[i]);
		if (strncmp(tcti, direct[i], n) == 0 && (tcti[n] == ':' || tcti[n] == '\0'))
			return true;
	}
	return false;
}

static void flush_stale(ESYS_CONTEXT *esys, TPM2_HANDLE handle)
{
	ESYS_TR tr = ESYS_TR_NONE;
	TSS2_RC rc =
	    Esys_TR_FromTPMPublic(esys, handle, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &tr);

	/* One that can't be flushed will be noticed as a lack of room, by its name. */
	if (rc == TSS2_RC_SUCCESS)
		(void)Esys_FlushContext(esys, tr);
}

static kms_err sweep(struct sealer *s, TPM2_HANDLE first)
{
	TPMS_CAPABILITY_DATA *data = NULL;

	TRY(rc_check(s, RC_ANY,
	    Esys_GetCapability(s->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, TPM2_CAP_HANDLES,
	        first, SWEEP_MAX, NULL, &data)));
	for (UINT32 i = 0; i < data->data.handles.count; i++)
		flush_stale(s->esys, data->data.handles.handle[i]);
	Esys_Free(data);
	return KMS_OK;
}

static kms_err connect_device(struct sealer *s)
{
	TRY(rc_check(s, RC_ANY, Tss2_TctiLdr_Initialize(s->params.tcti, &s->tcti)));
	TRY(rc_check(s, RC_ANY, Esys_Initialize(&s->esys, s->tcti, NULL)));
	/* ESAPI takes "has been started already" for success. */
	TRY(rc_check(s, RC_ANY, Esys_Startup(s->esys, TPM2_SU_CLEAR)));
	if (!is_direct(s->params.tcti))
		return KMS_OK;
	TRY(sweep(s, sessions_first));
	return sweep(s, transient_first);
}

kms_err device_open(struct sealer *s)
{
	if (s->esys != NULL)
		return KMS_OK;
	kms_err e = connect_device(s);
	if (e != KMS_OK)
		device_close(s);
	return e;
}

/* The library decrypts in place and never wipes: a long answer that holds nothing takes the place. */
static void overwrite(ESYS_CONTEXT *esys)
{
	TPMS_CAPABILITY_DATA *data = NULL;
	TSS2_RC rc = Esys_GetCapability(esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
	    TPM2_CAP_ALGS, 0, OVERWRITE_ALGS, NULL, &data);

	if (rc == TSS2_RC_SUCCESS)
		Esys_Free(data);
}

void device_close(struct sealer *s)
{
	if (s->esys != NULL) {
		overwrite(s->esys);
		Esys_Finalize(&s->esys);
	}
	if (s->tcti != NULL)
		Tss2_TctiLdr_Finalize(&s->tcti);
}
