/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libvirt by its command virsh: how it is called, and how its complaints about an agent are told
 * from the agent's own errors. Called by link.c and host-libvirt.c. */
#include "config.h"

#include <string.h>

#include "client/virsh.h"
#include "protocol/client.h"
#include "protocol/error.h"
#include "protocol/lines.h"
#include "protocol/message.h"

/* libvirt's own limit comes first, so that its words are heard. */
#define GRACE_MS 5000

static const SfFrameLimits reply_limits = {
	.max_bytes = 64 * 1024 * 1024,
	.max_tokens = 8 * 1024 * 1024,
	.max_depth = 1024,
};

SfChild *sf_virsh_start(const char *command, const char *domain, const char *const *words,
			GError **error)
{
	g_autoptr(GPtrArray) argv = g_ptr_array_new();
	g_autofree char *option = g_strconcat("--domain=", domain, NULL);
	g_autoptr(GError) problem = NULL;
	SfChild *child;

	g_ptr_array_add(argv, (char *)"virsh");
	g_ptr_array_add(argv, (char *)"--quiet");
	g_ptr_array_add(argv, (char *)command);
	g_ptr_array_add(argv, option);
	for (; words && *words; words++)
		g_ptr_array_add(argv, (char *)*words);
	g_ptr_array_add(argv, NULL);
	child = sf_child_start((const char *const *)argv->pdata, &problem);
	if (g_error_matches(problem, G_SPAWN_ERROR, G_SPAWN_ERROR_NOENT))
		sf_throw(error, "virsh, libvirt's command, is not installed: --domain needs it");
	else if (problem)
		sf_throw(error, "%s", problem->message);
	return child;
}

char *sf_virsh_run(const char *command, const char *domain, const char *const *words,
		   unsigned int timeout_ms, GError **error)
{
	g_autoptr(SfChild) child = sf_virsh_start(command, domain, words, error);

	if (!child)
		return NULL;
	if (!sf_child_wait(child, timeout_ms))
		sf_throw(error, "no answer from libvirt to %s in time", command);
	else if (!sf_child_succeeded(child))
		sf_throw(error, "libvirt refused %s: %s", command, sf_child_complaint(child));
	else
		return g_strdup(sf_child_output(child));
	return NULL;
}

/* libvirt drops the class of an agent's error, and keeps its text behind these words. */
static bool throw_complaint(const char *complaint, GError **error)
{
	const char *refused = strstr(complaint, "unable to execute QEMU agent command");
	const char *text = refused ? strstr(refused, "': ") : NULL;
	bool is_late = strstr(complaint, "timed out") != NULL;

	if (text) {
		text += strlen("': ");
		g_set_error(error, SF_CLIENT_ERROR, SF_CLIENT_ERROR_REFUSED, "%s: %s",
			    g_str_has_suffix(text, " has not been found") ? "CommandNotFound"
									  : "GenericError",
			    text);
		return false;
	}
	g_set_error(error, SF_CLIENT_ERROR,
		    is_late ? SF_CLIENT_ERROR_TIMEOUT : SF_CLIENT_ERROR_CONNECT, "libvirt: %s",
		    complaint);
	return false;
}

static JsonNode *read_reply(const char *text, GError **error)
{
	g_autoptr(JsonObject) reply = sf_lines_parse(&reply_limits, text, strlen(text));
	JsonNode *result = reply ? json_object_get_member(reply, "return") : NULL;

	if (result)
		return json_node_ref(result);
	g_set_error_literal(error, SF_CLIENT_ERROR, SF_CLIENT_ERROR_PROTOCOL,
			    "what libvirt passed on is no reply of an agent");
	return NULL;
}

JsonNode *sf_virsh_call_agent(const char *domain, const char *command, JsonObject *arguments,
			      unsigned int timeout_ms, GError **error)
{
	g_autofree char *request = sf_request_write(command, arguments);
	g_autofree char *option = g_strconcat("--cmd=", g_strchomp(request), NULL);
	g_autofree char *limit = g_strdup_printf("--timeout=%u", MAX((timeout_ms + 999) / 1000, 1));
	const char *const words[] = {limit, option, NULL};
	g_autoptr(GError) problem = NULL;
	g_autoptr(SfChild) child = sf_virsh_start("qemu-agent-command", domain, words, &problem);

	if (!child)
		g_set_error_literal(error, SF_ERROR, SF_ERROR_GENERIC, problem->message);
	else if (!sf_child_wait(child, timeout_ms + GRACE_MS))
		g_set_error_literal(error, SF_CLIENT_ERROR, SF_CLIENT_ERROR_TIMEOUT,
				    "no answer from libvirt in time");
	else if (!sf_child_succeeded(child))
		throw_complaint(sf_child_complaint(child), error);
	else
		return read_reply(sf_child_output(child), error);
	return NULL;
}
