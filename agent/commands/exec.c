/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* guest-exec, guest-exec-status: a host's programs. They run as what the agent runs as, which is
 * root: the profile that has them is not the default. */
#include "config.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base64.h"
#include "agent/commands/commands.h"
#include "protocol/error.h"

static const char *const capture_names[] = {"none",      "stdout", "stderr",
					    "separated", "merged", NULL};
static const SfArgumentSpec exec_arguments[] = {
	{"path", SF_ARGUMENT_STRING, false, NULL},
	{"arg", SF_ARGUMENT_STRINGS, true, NULL},
	{"env", SF_ARGUMENT_STRINGS, true, NULL},
	{"input-data", SF_ARGUMENT_STRING, true, NULL},
	{"capture-output", SF_ARGUMENT_BOOLEAN_OR_ENUM, true, capture_names},
	{NULL},
};
static const SfArgumentSpec status_arguments[] = {
	{"pid", SF_ARGUMENT_INTEGER, false, NULL},
	{NULL},
};

/* "true" is what there was before the modes. */
static SfCapture find_capture(const SfArguments *arguments)
{
	const char *name = sf_arguments_get_string(arguments, "capture-output");

	for (int i = 0; name && capture_names[i]; i++)
		if (g_str_equal(name, capture_names[i]))
			return (SfCapture)i;
	return sf_arguments_get_boolean(arguments, "capture-output") ? SF_CAPTURE_SEPARATED
								     : SF_CAPTURE_NONE;
}

static void on_started(pid_t pid, const GError *error, gpointer user_data)
{
	JsonObject *answer = NULL;

	if (!error) {
		answer = json_object_new();
		json_object_set_int_member(answer, "pid", pid);
	}
	sf_answer_object(user_data, answer, error);
}

static char **make_argv(const SfArguments *arguments)
{
	g_auto(GStrv) rest = sf_arguments_get_strings(arguments, "arg");
	GPtrArray *argv = g_ptr_array_new();

	g_ptr_array_add(argv, g_strdup(sf_arguments_get_string(arguments, "path")));
	for (char **arg = rest; arg && *arg; arg++)
		g_ptr_array_add(argv, g_strdup(*arg));
	g_ptr_array_add(argv, NULL);
	return (char **)g_ptr_array_free(argv, FALSE);
}

static void run_exec(SfCall *call, const SfArguments *arguments, gpointer user_data)
{
	SfContext *context = user_data;
	const char *data = sf_arguments_get_string(arguments, "input-data");
	g_autoptr(GError) error = NULL;
	g_autoptr(GBytes) input = data ? sf_base64_decode(data, "input-data", &error) : NULL;
	g_auto(GStrv) argv = make_argv(arguments);
	g_auto(GStrv) envp = sf_arguments_get_strings(arguments, "env");
	SfExecRequest request = {
		.argv = (const char *const *)argv,
		.envp = (const char *const *)(envp ? envp : environ),
		.input = input,
		.capture = find_capture(arguments),
	};

	if (error)
		sf_call_fail(call, error);
	else
		sf_execs_start(context->execs, &request, on_started, call);
}

static void add_output(JsonObject *answer, const char *data_member, const char *truncated_member,
		       const GByteArray *data, bool is_truncated)
{
	if (data->len > 0) {
		g_autofree char *text = g_base64_encode(data->data, data->len);

		json_object_set_string_member(answer, data_member, text);
	}
	if (data->len > 0 || is_truncated)
		json_object_set_boolean_member(answer, truncated_member, is_truncated);
}

static void describe(const SfExecStatus *status, gpointer user_data)
{
	JsonObject *answer = user_data;

	json_object_set_boolean_member(answer, "exited", status->has_exited);
	if (!status->has_exited)
		return;
	if (WIFSIGNALED(status->status))
		json_object_set_int_member(answer, "signal", WTERMSIG(status->status));
	else
		json_object_set_int_member(answer, "exitcode", WEXITSTATUS(status->status));
	add_output(answer, "out-data", "out-truncated", status->out, status->out_truncated);
	add_output(answer, "err-data", "err-truncated", status->err, status->err_truncated);
}

static void run_status(SfCall *call, const SfArguments *arguments, gpointer user_data)
{
	SfContext *context = user_data;
	g_autoptr(GError) error = NULL;
	JsonObject *answer = json_object_new();

	if (sf_execs_ask(context->execs, sf_arguments_get_integer(arguments, "pid"), describe,
			 answer)) {
		sf_answer_object(call, answer, NULL);
		return;
	}
	json_object_unref(answer);
	sf_throw(&error, "PID %" G_GINT64_FORMAT " does not exist",
		 sf_arguments_get_integer(arguments, "pid"));
	sf_call_fail(call, error);
}

const SfCommand sf_exec_commands[] = {
	{.name = "guest-exec",
	 .arguments = exec_arguments,
	 .profile = SF_PROFILE_FULL,
	 .run = run_exec},
	{.name = "guest-exec-status",
	 .arguments = status_arguments,
	 .profile = SF_PROFILE_FULL,
	 .has_large_result = true,
	 .run = run_status},
	{NULL},
};
