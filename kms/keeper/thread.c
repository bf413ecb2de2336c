/* SPDX-License-Identifier: Apache-2.0 */
/* Starting a thread with a stack of our own size. */
#include "kms/keeper/thread.h"

enum {
	STACK_BYTES = 512 * 1024
};

kms_err thread_start(void *(*run)(void *arg), void *arg, pthread_t *out)
{
	pthread_attr_t attr;
	if (pthread_attr_init(&attr) != 0)
		return KMS_E_NO_MEMORY;
	int r = pthread_attr_setstacksize(&attr, STACK_BYTES);
	if (r == 0)
		r = pthread_create(out, &attr, run, arg);
	(void)pthread_attr_destroy(&attr);
	return r == 0 ? KMS_OK : KMS_E_NO_MEMORY;
}
