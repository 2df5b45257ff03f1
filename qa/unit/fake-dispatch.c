/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A stand-in for agent/dispatch: it notes what is submitted, and answers when it is told to. */
#include "config.h"

#include <string.h>

#include "fake-dispatch.h"

#define BIG_BYTES (1024 * 1024)

struct SfCall {
	SfDispatch *dispatch;
	char *command;
	SfCallDone done;
	gpointer user_data;
};

static void call_free(SfCall *call)
{
	g_free(call->command);
	g_free(call);
}

SfDispatch *fake_dispatch_new(void)
{
	SfDispatch *dispatch = g_new0(SfDispatch, 1);

	dispatch->calls = g_ptr_array_new_with_free_func((GDestroyNotify)call_free);
	dispatch->submitted = g_ptr_array_new_with_free_func(g_free);
	dispatch->channels = g_ptr_array_new_with_free_func(g_free);
	return dispatch;
}

/* Whoever submitted is told in any case, as the interface has it. */
void fake_dispatch_free(SfDispatch *dispatch)
{
	for (unsigned int i = 0; i < dispatch->calls->len; i++) {
		SfCall *call = dispatch->calls->pdata[i];

		call->done(NULL, call->user_data);
	}
	g_ptr_array_unref(dispatch->calls);
	g_ptr_array_unref(dispatch->submitted);
	g_ptr_array_unref(dispatch->channels);
	g_free(dispatch);
}

static void answer(SfCallDone done, gpointer user_data, const char *text)
{
	g_autofree char *line = g_strconcat(text, "\n", NULL);
	g_autoptr(GBytes) reply = g_bytes_new(line, strlen(line));

	done(reply, user_data);
}

static void answer_big(SfCallDone done, gpointer user_data)
{
	g_autofree char *data = g_malloc(BIG_BYTES);
	g_autoptr(GBytes) reply = NULL;

	memset(data, 'x', BIG_BYTES);
	data[BIG_BYTES - 1] = '\n';
	reply = g_bytes_new_take(g_steal_pointer(&data), BIG_BYTES);
	done(reply, user_data);
}

static void note(SfDispatch *dispatch, const char *channel, const char *command)
{
	g_ptr_array_add(dispatch->submitted, g_strdup(command));
	g_ptr_array_add(dispatch->channels, g_strdup(channel));
}

static SfCall *call_new(SfDispatch *dispatch, const char *command, SfCallDone done,
			gpointer user_data)
{
	SfCall *call = g_new0(SfCall, 1);

	call->dispatch = dispatch;
	call->command = g_strdup(command);
	call->done = done;
	call->user_data = user_data;
	g_ptr_array_add(dispatch->calls, call);
	return call;
}

SfCall *sf_dispatch_submit(SfDispatch *dispatch, const char *channel, SfRequest *request,
			   SfCallDone done, gpointer user_data)
{
	g_autofree char *id = NULL;
	SfCall *call = NULL;

	note(dispatch, channel, request->command);
	if (!strcmp(request->command, "now") || sf_dispatch_is_sync(request)) {
		id = g_strdup_printf("%" G_GINT64_FORMAT,
				     request->id ? json_node_get_int(request->id) : -1);
		answer(done, user_data, id);
	} else if (!strcmp(request->command, "big")) {
		answer_big(done, user_data);
	} else {
		call = call_new(dispatch, request->command, done, user_data);
	}
	sf_request_free(request);
	return call;
}

void sf_dispatch_refuse(SfDispatch *dispatch, const GError *error, JsonNode *id, SfCallDone done,
			gpointer user_data)
{
	g_clear_pointer(&id, json_node_unref);
	note(dispatch, "", "!");
	answer(done, user_data, "refused");
}

static void finish(SfCall *call, const char *text)
{
	SfCallDone done = call->done;
	gpointer user_data = call->user_data;

	g_ptr_array_remove(call->dispatch->calls, call);
	answer(done, user_data, text);
}

void sf_call_give_up(SfCall *call)
{
	call->dispatch->given_up++;
	if (!strcmp(call->command, "freeze"))
		finish(call, "gave up");
}

bool sf_dispatch_is_sync(const SfRequest *request)
{
	return !strcmp(request->command, "guest-sync") ||
	       !strcmp(request->command, "guest-sync-delimited");
}

void fake_dispatch_answer(SfDispatch *dispatch)
{
	SfCall *call;
	g_autofree char *text = NULL;

	g_assert_cmpuint(dispatch->calls->len, >, 0);
	call = dispatch->calls->pdata[0];
	text = g_strdup(call->command);
	finish(call, text);
}

char *fake_dispatch_log(SfDispatch *dispatch)
{
	g_autoptr(GString) all = g_string_new(NULL);

	for (unsigned int i = 0; i < dispatch->submitted->len; i++)
		g_string_append_printf(all, "%s%s", i ? " " : "",
				       (char *)dispatch->submitted->pdata[i]);
	return g_string_free(g_steal_pointer(&all), FALSE);
}
