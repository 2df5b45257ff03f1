/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>

#include "agent/plan.h"

typedef enum {
	SF_OPENER_OPENED,           /* the fd comes with the message */
	SF_OPENER_FAILED,           /* @error is the errno */
	SF_OPENER_OTHER_FILESYSTEM, /* the path leads elsewhere by now */
	SF_OPENER_NO_FILE,          /* neither a folder nor a regular file */
} SfOpenerResult;

/* What the child tells of one target; they come in order. */
typedef struct {
	uint32_t number;
	uint32_t result;
	int32_t error;
} SfOpenerMessage;

/**
 * sf_opener_child_run:
 * @socket_fd: where the messages go (SOCK_SEQPACKET)
 *
 * The whole life of the child, after fork() in a process that may have had threads: it does only
 * what a signal handler may do. Ends at the first target that cannot be opened.
 */
_Noreturn void sf_opener_child_run(const SfPlan *plan, int socket_fd);
