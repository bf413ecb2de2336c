/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kmsd: reads its arguments and its configuration and becomes the parent. The keeper, which holds
 * the keys, is a child of it: see parent.c, then keeper.c, then request.c.
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "kms/base/log.h"
#include "kms/base/version.h"
#include "kms/keeper/config.h"
#include "kms/keeper/parent.h"

static const char usage[] =
    "Usage: kmsd [-c FILE] [-t]\n"
    "The key-management service. Runs in the foreground; kmsctl(1) talks to it.\n"
    "\n"
    "  -c, --config FILE  configuration (default $KMS_CONFIG, then /etc/kms/kms.conf)\n"
    "  -t, --test         check the configuration and exit\n"
    "      --version      print the version and exit\n"
    "  -h, --help         print this and exit\n"
    "\n"
    "See kmsd(8) and kms.conf(5).\n";

enum {
	EXIT_USAGE = 2,
	OPTION_VERSION = 256
};

static const struct option long_options[] = { { "config", required_argument, NULL, 'c' },
	{ "test", no_argument, NULL, 't' }, { "version", no_argument, NULL, OPTION_VERSION },
	{ "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 } };

static int run(const char *path, bool test_only)
{
	/* Lives as long as the process: the keeper, a fork of it, reads it too. */
	static struct config config;
	char error[CONFIG_ERROR_MAX] = "";
	kms_err e = config_read(path, &config, error);
	if (e != KMS_OK) {
		(void)fprintf(stderr, "kmsd: %s %s\n", err_text(e), error);
		return EXIT_USAGE;
	}
	if (test_only) {
		(void)printf("%s: the configuration is valid\n", config.file);
		return EXIT_SUCCESS;
	}
	log_set_level(config.log_level);
	(void)signal(SIGPIPE, SIG_IGN);
	return parent_run(&config);
}

int main(int argc, char **argv)
{
	const char *path = NULL;
	bool test_only = false;
	log_set_program("kmsd");
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread yet */
	for (int o; (o = getopt_long(argc, argv, "c:th", long_options, NULL)) != -1;) {
		switch (o) {
		case 'c': path = optarg; break;
		case 't': test_only = true; break;
		case OPTION_VERSION: (void)puts("kmsd " KMS_VERSION); return EXIT_SUCCESS;
		case 'h': (void)fputs(usage, stdout); return EXIT_SUCCESS;
		default: (void)fputs(usage, stderr); return EXIT_USAGE;
		}
	}
	if (optind != argc) {
		(void)fputs(usage, stderr);
		return EXIT_USAGE;
	}
	return run(path, test_only);
}
