/* SPDX-License-Identifier: Apache-2.0 */
/* What load is told on its command line; anything that makes no sense ends it. */
#pragma once

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kms/base/types.h"

enum {
	CONNECTIONS_MAX = 4096
};

struct options {
	const char *socket, *op, *key;
	size_t flight, connections;
	double seconds, rate;
	int cpu;
};

static inline _Noreturn void die(const char *what)
{
	(void)fprintf(stderr, "load: %s: %s\n", what, errno != 0 ? strerror(errno) : "failed");
	exit(EXIT_FAILURE);
}

static inline double number(const char *text)
{
	char *end = NULL;
	double x = strtod(text, &end);
	if (end == text || *end != '\0' || x < 0)
		die(text);
	return x;
}

static inline struct options load_options(int argc, char **argv)
{
	static const struct option long_options[] = { { "socket", required_argument, NULL, 's' },
		{ "op", required_argument, NULL, 'o' }, { "key", required_argument, NULL, 'k' },
		{ "flight", required_argument, NULL, 'f' },
		{ "connections", required_argument, NULL, 'c' },
		{ "seconds", required_argument, NULL, 't' },
		{ "rate", required_argument, NULL, 'r' }, { "cpu", required_argument, NULL, 'p' },
		{ NULL, 0, NULL, 0 } };
	struct options o = { .op = "issue",
		.key = "bench",
		.flight = 64,
		.connections = 1,
		.seconds = 2,
		.cpu = -1 };
	for (int c; (c = getopt_long(argc, argv, "", long_options, NULL)) != -1;) {
		switch (c) {
		case 's': o.socket = optarg; break;
		case 'o': o.op = optarg; break;
		case 'k': o.key = optarg; break;
		case 'f': o.flight = (size_t)number(optarg); break;
		case 'c': o.connections = (size_t)number(optarg); break;
		case 't': o.seconds = number(optarg); break;
		case 'r': o.rate = number(optarg); break;
		case 'p': o.cpu = (int)number(optarg); break;
		default: exit(2);
		}
	}
	if (o.socket == NULL || o.flight == 0 || o.flight > INFLIGHT_MAX || o.connections == 0 ||
	    o.connections > CONNECTIONS_MAX || (o.rate > 0 && o.connections > 1))
		die("options");
	return o;
}
