/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapfreeze-*: the same session as guest-fsfreeze-*, for those who want to know more. */
#include "config.h"

#include <string.h>

#include "agent/commands/commands.h"
#include "agent/errand.h"
#include "agent/report.h"
#include "protocol/error.h"

#define PLAN_TIMEOUT_MS 120000
/* The first byte of what the planning child writes. */
#define PLAN_DONE 'd'
#define PLAN_FAILED 'f'

static const SfArgumentSpec plan_arguments[] = {
	{"mountpoints", SF_ARGUMENT_STRINGS, true, NULL},
	{NULL},
};
static const SfArgumentSpec freeze_arguments[] = {
	{"mountpoints", SF_ARGUMENT_STRINGS, true, NULL},
	{"timeout", SF_ARGUMENT_INTEGER, true, NULL},
	{"label", SF_ARGUMENT_STRING, true, NULL},
	{NULL},
};
static const SfArgumentSpec extend_arguments[] = {
	{"id", SF_ARGUMENT_INTEGER, false, NULL},
	{"timeout", SF_ARGUMENT_INTEGER, false, NULL},
	{NULL},
};
static const SfArgumentSpec thaw_arguments[] = {
	{"id", SF_ARGUMENT_INTEGER, true, NULL},
	{NULL},
};

static void answer(SfCall *call, const SfSession *session, JsonNode *reply)
{
	sf_report_mark(session, reply);
	sf_call_return(call, reply);
}

typedef struct {
	const SfSession *session;
	const char *const *mountpoints;
} Planning;

static void write_marked(int fd, char mark, const char *text)
{
	if (sf_errand_write(fd, &mark, 1))
		sf_errand_write(fd, text, strlen(text));
}

/* In a child: of a long mount table the answer is large, and what it takes goes back with the
 * child; meanwhile other channels are served. */
static void plan_in_child(int fd, gpointer work_data)
{
	const Planning *planning = work_data;
	const SfSessionSettings *settings = sf_session_settings(planning->session);
	const SfPlanSource *source = &settings->source;
	g_autoptr(GError) error = NULL;
	g_autoptr(SfPlan) plan = sf_plan_new(source, planning->mountpoints, &error);
	g_autoptr(GString) text = g_string_new(NULL);

	if (!plan) {
		write_marked(fd, PLAN_FAILED, error->message);
		return;
	}
	sf_plan_find_warnings(plan, source);
	g_autoptr(GPtrArray) hooks = sf_hook_list_read(&settings->hooks, plan->warnings);
	g_autoptr(JsonNode) reply = sf_plan_to_json(plan, hooks);
	sf_report_mark(planning->session, reply);
	sf_json_write(text, reply);
	write_marked(fd, PLAN_DONE, text->str);
}

static void on_planned(const GByteArray *output, bool is_whole, gpointer user_data)
{
	SfCall *call = user_data;
	g_autofree char *text = sf_errand_text(output);
	g_autoptr(GError) error = NULL;

	if (is_whole && *text == PLAN_DONE) {
		sf_call_return_text(call, text + 1);
		return;
	}
	if (is_whole && *text == PLAN_FAILED)
		sf_throw(&error, "%s", text + 1);
	else
		sf_throw(&error, "the plan was not made within %d s", PLAN_TIMEOUT_MS / 1000);
	sf_call_fail(call, error);
}

static void run_plan(SfCall *call, const SfArguments *arguments, gpointer user_data)
{
	SfContext *context = user_data;
	g_auto(GStrv) mountpoints = sf_arguments_get_strings(arguments, "mountpoints");
	Planning planning = {context->session, (const char *const *)mountpoints};

	sf_errand_start(context->errands, plan_in_child, &planning, PLAN_TIMEOUT_MS, on_planned,
			call);
}

static bool check_timeout(const SfContext *context, const SfArguments *arguments, GError **error)
{
	int64_t timeout_s = sf_arguments_get_integer(arguments, "timeout");
	unsigned int most = sf_session_settings(context->session)->max_timeout_s;

	if (timeout_s >= 0 && timeout_s <= most)
		return true;
	return sf_throw(error, "Parameter 'timeout' must be from 0 to %u", most);
}

static void on_freeze_done(const GError *error, gpointer user_data)
{
	g_autofree SfPending *pending = user_data;

	if (error)
		sf_call_fail(pending->call, error);
	else
		answer(pending->call, pending->session, sf_report_freeze(pending->session));
}

static void run_freeze(SfCall *call, const SfArguments *arguments, gpointer user_data)
{
	SfContext *context = user_data;
	g_autoptr(GError) error = NULL;
	bool has_timeout = sf_arguments_has(arguments, "timeout");

	if (check_timeout(context, arguments, &error))
		sf_pending_freeze(sf_pending_new(call, context), arguments,
				  has_timeout ? sf_arguments_get_integer(arguments, "timeout") : -1,
				  on_freeze_done);
	else
		sf_call_fail(call, error);
}

static void on_extend_done(const GError *error, gpointer user_data)
{
	g_autofree SfPending *pending = user_data;

	if (error)
		sf_call_fail(pending->call, error);
	else
		answer(pending->call, pending->session, sf_report_extend(pending->session));
}

static void run_extend(SfCall *call, const SfArguments *arguments, gpointer user_data)
{
	SfContext *context = user_data;
	g_autoptr(GError) error = NULL;

	if (check_timeout(context, arguments, &error))
		sf_session_extend(context->session, sf_arguments_get_integer(arguments, "id"),
				  sf_arguments_get_integer(arguments, "timeout"), on_extend_done,
				  sf_pending_new(call, context));
	else
		sf_call_fail(call, error);
}

static void on_thaw_done(bool was_frozen, const GError *error, gpointer user_data)
{
	g_autofree SfPending *pending = user_data;

	if (error)
		sf_call_fail(pending->call, error);
	else
		answer(pending->call, pending->session,
		       sf_report_thaw(pending->session, was_frozen,
				      sf_call_channel(pending->call)));
}

static void run_thaw(SfCall *call, const SfArguments *arguments, gpointer user_data)
{
	SfContext *context = user_data;

	sf_session_thaw(context->session, sf_call_channel(call),
			sf_arguments_get_integer(arguments, "id"), on_thaw_done,
			sf_pending_new(call, context));
}

static void run_status(SfCall *call, const SfArguments *arguments, gpointer user_data)
{
	SfContext *context = user_data;

	answer(call, context->session, sf_report_status(context->session));
}

const SfCommand sf_snapfreeze_commands[] = {
	{.name = "snapfreeze-plan", .arguments = plan_arguments, .run = run_plan},
	{.name = "snapfreeze-freeze", .arguments = freeze_arguments, .run = run_freeze},
	{.name = "snapfreeze-extend",
	 .arguments = extend_arguments,
	 .allowed_while_frozen = true,
	 .run = run_extend},
	{.name = "snapfreeze-thaw",
	 .arguments = thaw_arguments,
	 .allowed_while_frozen = true,
	 .never_blocked = true,
	 .run = run_thaw},
	{.name = "snapfreeze-status", .allowed_while_frozen = true, .run = run_status},
	{NULL},
};
