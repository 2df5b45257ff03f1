/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>

#include "agent/plan.h"

/* What stands before an answer. */
typedef struct {
	uint32_t size; /* of what follows */
	uint32_t kind;
} SfScoutHeader;

#define SF_SCOUT_ANSWER 'a' /* a GVariant of the question's type */
#define SF_SCOUT_FAILED 'f' /* a text for people */

typedef struct {
	const SfPlanSource *source;
	const char *const *mountpoints; /* (nullable) */
	const GArray *devices;          /* (nullable): of SfDevice */
	int socket_fd;                  /* SOCK_STREAM: an SfScoutQuestion in a byte each */
} SfScoutWork;

/* The whole life of the child; @data: an SfScoutWork. Ends when nobody asks any more. */
int sf_scout_child_run(void *data);
