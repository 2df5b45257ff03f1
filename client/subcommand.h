/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "client/invocation.h"

/* One sub-command, as it stands in main.c's table. */
typedef struct {
	const char *name;
	const char *summary;
	/* @argv[0] is the sub-command; all that follows it is its own to parse. */
	SfExit (*run)(SfInvocation *invocation, const char *summary, int argc, char **argv);
} SfSubcommand;

SfExit sf_cmd_plan(SfInvocation *invocation, const char *summary, int argc, char **argv);
SfExit sf_cmd_status(SfInvocation *invocation, const char *summary, int argc, char **argv);
SfExit sf_cmd_freeze(SfInvocation *invocation, const char *summary, int argc, char **argv);
SfExit sf_cmd_thaw(SfInvocation *invocation, const char *summary, int argc, char **argv);
SfExit sf_cmd_snapshot(SfInvocation *invocation, const char *summary, int argc, char **argv);
SfExit sf_cmd_extend(SfInvocation *invocation, const char *summary, int argc, char **argv);
SfExit sf_cmd_ping(SfInvocation *invocation, const char *summary, int argc, char **argv);
SfExit sf_cmd_info(SfInvocation *invocation, const char *summary, int argc, char **argv);
SfExit sf_cmd_call(SfInvocation *invocation, const char *summary, int argc, char **argv);
