/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owns the table of commands and the calls under way. Its invariant: each submitted request gets
 * exactly one answer, and a handler sees only arguments that were checked. Called by channels;
 * calls the commands.
 */
#include "config.h"

#include <string.h>

#include "agent/dispatch.h"
#include "protocol/error.h"

#define MAX_RESULT_BYTES (8 << 20)

struct SfDispatch {
	const SfCommand *const *families;
	SfDispatchSettings settings;
	GHashTable *by_name;
};

struct SfCall {
	SfRequest *request;
	const SfCommand *command; /* NULL where there is none of that name */
	char *channel;
	SfCallDone done;
	gpointer user_data;
	void (*give_up)(SfCall *call, gpointer user_data);
	gpointer give_up_data;
	bool is_submitting; /* a handler that answers at once must not free what submit still looks
			       at */
	bool is_ended;
};

SfDispatch *sf_dispatch_new(const SfCommand *const *families, const SfDispatchSettings *settings)
{
	SfDispatch *dispatch = g_new0(SfDispatch, 1);

	dispatch->families = families;
	dispatch->settings = *settings;
	dispatch->by_name = g_hash_table_new(g_str_hash, g_str_equal);
	for (const SfCommand *const *family = families; *family; family++)
		for (const SfCommand *command = *family; command->name; command++)
			g_hash_table_insert(dispatch->by_name, (gpointer)command->name,
					    (gpointer)command);
	return dispatch;
}

void sf_dispatch_free(SfDispatch *dispatch)
{
	if (!dispatch)
		return;
	g_hash_table_unref(dispatch->by_name);
	g_free(dispatch);
}

const SfCommand *sf_dispatch_find(const SfDispatch *dispatch, const char *name)
{
	return g_hash_table_lookup(dispatch->by_name, name);
}

bool sf_dispatch_is_enabled(const SfDispatch *dispatch, const SfCommand *command)
{
	const SfDispatchSettings *settings = &dispatch->settings;

	if (command->never_blocked)
		return true;
	if (settings->block && g_strv_contains(settings->block, command->name))
		return false;
	/* Who lists what is allowed has chosen; the profile is for those who have not. */
	if (settings->allow)
		return g_strv_contains(settings->allow, command->name);
	return command->profile <= settings->profile;
}

void sf_dispatch_each(const SfDispatch *dispatch,
		      void (*visit)(const SfCommand *command, bool is_enabled, gpointer user_data),
		      gpointer user_data)
{
	for (const SfCommand *const *family = dispatch->families; *family; family++)
		for (const SfCommand *command = *family; command->name; command++)
			visit(command, sf_dispatch_is_enabled(dispatch, command), user_data);
}

bool sf_dispatch_is_sync(const SfRequest *request)
{
	return strcmp(request->command, "guest-sync") == 0 ||
	       strcmp(request->command, "guest-sync-delimited") == 0;
}

static void call_free(SfCall *call)
{
	sf_request_free(call->request);
	g_free(call->channel);
	g_free(call);
}

static void end_call(SfCall *call, GBytes *reply)
{
	call->done(reply, call->user_data);
	g_clear_pointer(&reply, g_bytes_unref);
	call->is_ended = true;
	if (!call->is_submitting)
		call_free(call);
}

/* @line: (transfer full) */
static GBytes *reply_bytes(char *line, bool is_delimited)
{
	char *delimited;

	if (!is_delimited)
		return g_bytes_new_take(line, strlen(line));
	delimited = g_strconcat("\xff", line, NULL);
	g_free(line);
	return g_bytes_new_take(delimited, strlen(delimited));
}

/* The host's own words, bounded as its request was: they do not count. */
static size_t id_bytes(const SfCall *call)
{
	g_autofree char *with = sf_reply_return(NULL, call->request->id);
	g_autofree char *without = sf_reply_return(NULL, NULL);

	return strlen(with) - strlen(without);
}

/* @line: (transfer full) */
static void return_line(SfCall *call, char *line)
{
	g_autoptr(GError) error = NULL;
	size_t size = strlen(line);

	if (size > MAX_RESULT_BYTES)
		size -= id_bytes(call);
	if (size <= MAX_RESULT_BYTES || call->command->has_large_result) {
		end_call(call, reply_bytes(line, call->command->delimited));
		return;
	}
	g_free(line);
	sf_throw(&error, "the result has %zu bytes, more than the %d that a host may be sent", size,
		 MAX_RESULT_BYTES);
	sf_call_fail(call, error);
}

void sf_call_return(SfCall *call, JsonNode *result)
{
	g_autoptr(JsonNode) owned = result;

	return_line(call, sf_reply_return(owned, call->request->id));
}

void sf_call_return_text(SfCall *call, const char *json)
{
	return_line(call, sf_reply_return_text(json, call->request->id));
}

void sf_call_fail(SfCall *call, const GError *error)
{
	end_call(call, reply_bytes(sf_reply_error(error, call->request->id), false));
}

void sf_call_end_silently(SfCall *call)
{
	end_call(call, NULL);
}

const char *sf_call_command(const SfCall *call)
{
	return call->request->command;
}

const char *sf_call_channel(const SfCall *call)
{
	return call->channel;
}

void sf_call_on_give_up(SfCall *call, void (*give_up)(SfCall *call, gpointer user_data),
			gpointer user_data)
{
	call->give_up = give_up;
	call->give_up_data = user_data;
}

void sf_call_give_up(SfCall *call)
{
	void (*give_up)(SfCall *, gpointer) = call->give_up;

	call->give_up = NULL;
	if (give_up)
		give_up(call, call->give_up_data);
}

/* The name is the host's: whatever it is, the error quotes it as it came. */
static bool throw_not_found(GError **error, const char *before, const char *name, const char *after)
{
	g_set_error(error, SF_ERROR, SF_ERROR_COMMAND_NOT_FOUND, "%s%s%s", before, name, after);
	return false;
}

static bool check_permission(const SfDispatch *dispatch, const SfCommand *command, GError **error)
{
	const SfDispatchSettings *settings = &dispatch->settings;

	if (!sf_dispatch_is_enabled(dispatch, command))
		return throw_not_found(error, "Command ", command->name,
				       " has been disabled: the command is not allowed");
	if (!command->allowed_while_frozen && settings->is_frozen(settings->context))
		return throw_not_found(error, "Command ", command->name,
				       " has been disabled: the agent is in frozen state");
	return true;
}

static bool run(SfDispatch *dispatch, SfCall *call, GError **error)
{
	call->command = sf_dispatch_find(dispatch, call->request->command);
	if (!call->command)
		return throw_not_found(error, "The command ", call->request->command,
				       " has not been found");
	if (!check_permission(dispatch, call->command, error))
		return false;
	g_autoptr(SfArguments) arguments =
		sf_arguments_parse(call->command->arguments, call->request->arguments, error);
	if (!arguments)
		return false;
	call->command->run(call, arguments, dispatch->settings.context);
	return true;
}

SfCall *sf_dispatch_submit(SfDispatch *dispatch, const char *channel, SfRequest *request,
			   SfCallDone done, gpointer user_data)
{
	SfCall *call = g_new0(SfCall, 1);
	g_autoptr(GError) error = NULL;

	call->request = request;
	call->channel = g_strdup(channel);
	call->done = done;
	call->user_data = user_data;
	call->is_submitting = true;
	g_debug("channel '%s': %s", channel, request->command);
	if (!run(dispatch, call, &error))
		sf_call_fail(call, error);
	call->is_submitting = false;
	if (!call->is_ended)
		return call;
	call_free(call);
	return NULL;
}

void sf_dispatch_refuse(SfDispatch *dispatch, const GError *error, JsonNode *id, SfCallDone done,
			gpointer user_data)
{
	g_autoptr(JsonNode) owned = id;
	GBytes *reply = reply_bytes(sf_reply_error(error, owned), false);

	done(reply, user_data);
	g_bytes_unref(reply);
}
