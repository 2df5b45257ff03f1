/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <json-glib/json-glib.h>
#include <stdbool.h>

#include "protocol/arguments.h"
#include "protocol/message.h"

typedef struct SfDispatch SfDispatch;
typedef struct SfCall SfCall;

typedef enum { SF_PROFILE_SNAPSHOT, SF_PROFILE_STANDARD, SF_PROFILE_FULL } SfProfile;

/* One command, as it is declared in agent/commands/. */
typedef struct {
	const char *name;
	const SfArgumentSpec *arguments; /* (nullable) */
	SfProfile profile;               /* the smallest that has it */
	bool allowed_while_frozen;
	bool never_blocked; /* a block list does not reach it: what ends a freeze must stay possible
			     */
	bool no_success_response; /* guest-info's "success-response" is false */
	bool has_large_result;    /* what a host asks for by the piece may be longer than others */
	bool delimited; /* its result, but no error, follows one 0xFF (guest-sync-delimited) */
	/* Answers @call now or later, once, with sf_call_return() or sf_call_fail(). */
	void (*run)(SfCall *call, const SfArguments *arguments, gpointer context);
} SfCommand;

/**
 * SfCallDone:
 * @reply: (nullable): the bytes to send, 0xFF and newline included; %NULL: nothing is to be sent
 *
 * Called once per submitted request, possibly before sf_dispatch_submit() returns.
 */
typedef void (*SfCallDone)(GBytes *reply, gpointer user_data);

/**
 * sf_dispatch_submit:
 * @channel: name of the channel that it came from, for the log and for who may thaw what
 * @request: (transfer full)
 *
 * Existence and permission are checked before arguments. A channel submits one request at a time,
 * the next one when @done was called: that keeps its order.
 *
 * Returns: (transfer none) (nullable): the call, while it is not done; for sf_call_give_up()
 */
SfCall *sf_dispatch_submit(SfDispatch *dispatch, const char *channel, SfRequest *request,
			   SfCallDone done, gpointer user_data);

/* The same for a message that could not be read: only an error reply comes of it. @id: (transfer
 * full) (nullable) */
void sf_dispatch_refuse(SfDispatch *dispatch, const GError *error, JsonNode *id, SfCallDone done,
			gpointer user_data);

/**
 * sf_call_give_up:
 *
 * The channel read a guest-sync, guest-sync-delimited or 0xFF behind the request that @call
 * answers: its sender waits no more. A freeze that has not begun then freezes nothing; everything
 * else goes on.
 */
void sf_call_give_up(SfCall *call);

/* Whether a request tells that the sender gave up what stands before it (guest-sync,
 * guest-sync-delimited). */
bool sf_dispatch_is_sync(const SfRequest *request);

/* What handlers see of a call. */
const char *sf_call_command(const SfCall *call);
const char *sf_call_channel(const SfCall *call);
/* Called at most once, while the call is not done: see sf_call_give_up(). */
void sf_call_on_give_up(SfCall *call, void (*give_up)(SfCall *call, gpointer user_data),
			gpointer user_data);

/* Exactly one of these ends a call. @result: (transfer full); @error: (transfer none). A result
 * that is longer than 8 MiB becomes an error: libvirt takes a channel with more than 10 for broken.
 */
void sf_call_return(SfCall *call, JsonNode *result);
/* @json: the result as sf_json_write() writes it */
void sf_call_return_text(SfCall *call, const char *json);
void sf_call_fail(SfCall *call, const GError *error);
/* Ends it without a reply (guest-shutdown's success). */
void sf_call_end_silently(SfCall *call);

typedef struct {
	SfProfile profile;
	const char *const *block; /* (nullable): names of commands, NULL-terminated */
	const char *const *allow; /* (nullable): where set, only these */
	/* Whether only commands that are allowed while frozen may run now. */
	bool (*is_frozen)(gpointer context);
	gpointer context; /* handed to every handler */
} SfDispatchSettings;

/**
 * sf_dispatch_new:
 * @families: (array): tables of commands, each ending with a NULL name; NULL-terminated; must
 * outlive it
 * @settings: copied; its strings must outlive it
 */
SfDispatch *sf_dispatch_new(const SfCommand *const *families, const SfDispatchSettings *settings);
void sf_dispatch_free(SfDispatch *dispatch);

/* (nullable) */
const SfCommand *sf_dispatch_find(const SfDispatch *dispatch, const char *name);
/* Whether configuration lets a command run; that the frozen state refuses it now does not count. */
bool sf_dispatch_is_enabled(const SfDispatch *dispatch, const SfCommand *command);
/* All commands, enabled or not, in the order of the families. */
void sf_dispatch_each(const SfDispatch *dispatch,
		      void (*visit)(const SfCommand *command, bool is_enabled, gpointer user_data),
		      gpointer user_data);
