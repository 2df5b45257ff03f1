/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "agent/commands/fsinfo-cache.h"
#include "agent/dispatch.h"
#include "agent/errand.h"
#include "agent/execs.h"
#include "agent/files.h"
#include "agent/session.h"

/* What every handler gets as its context. Nothing is owned. */
typedef struct {
	SfDispatch *dispatch;
	SfSession *session;
	SfErrands *errands;
	SfExecs *execs;
	SfFiles *files;
	SfFsinfoCache *fsinfo_cache;
} SfContext;

/* A call that the session answers later. Whoever answers frees it with g_free(). */
typedef struct {
	SfCall *call;
	SfSession *session;
} SfPending;

SfPending *sf_pending_new(SfCall *call, SfContext *context);
/* Asks the session for a freeze on behalf of @pending's call, which may give up. */
void sf_pending_freeze(SfPending *pending, const SfArguments *arguments, int64_t timeout_s,
		       SfFreezeDone done);

/* The shapes of answers. @object, @array: (transfer full) (nullable): %NULL: @error is the answer
 */
void sf_answer_integer(SfCall *call, gint64 number);
void sf_answer_nothing(SfCall *call);
void sf_answer_object(SfCall *call, JsonObject *object, const GError *error);
void sf_answer_array(SfCall *call, JsonArray *array, const GError *error);

/* The families; each table ends with a NULL name. */
extern const SfCommand sf_basic_commands[];
extern const SfCommand sf_fsfreeze_commands[];
extern const SfCommand sf_snapfreeze_commands[];
extern const SfCommand sf_host_commands[];
extern const SfCommand sf_osinfo_commands[];
extern const SfCommand sf_users_commands[];
extern const SfCommand sf_statistics_commands[];
extern const SfCommand sf_network_commands[];
extern const SfCommand sf_vcpu_commands[];
extern const SfCommand sf_memory_commands[];
extern const SfCommand sf_disk_commands[];
extern const SfCommand sf_fstrim_commands[];
extern const SfCommand sf_clock_commands[];
extern const SfCommand sf_power_commands[];
extern const SfCommand sf_exec_commands[];
extern const SfCommand sf_file_commands[];
extern const SfCommand sf_password_commands[];
extern const SfCommand sf_ssh_commands[];

/* All of them, NULL-terminated, for sf_dispatch_new() and "-b help". */
extern const SfCommand *const sf_command_families[];
