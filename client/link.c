/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Owns the connection to a guest's agent while a freeze is on: the agent may be restarted, an
 * answer may not come, and the next call must be made all the same. hold.c, interruptible.c and
 * the sub-commands that freeze call it. */
#include "config.h"

#include "client/link.h"
#include "client/virsh.h"

bool sf_link_connect(SfLink *link, GError **error)
{
	if (link->domain)
		return true;
	if (!link->client)
		link->client = sf_invocation_connect(link->invocation, error);
	return link->client != NULL;
}

void sf_link_close(SfLink *link)
{
	g_clear_pointer(&link->client, sf_client_free);
}

JsonNode *sf_link_call(SfLink *link, const char *command, JsonObject *arguments,
		       unsigned int wait_ms, GError **error)
{
	g_autoptr(GError) problem = NULL;
	JsonNode *reply = NULL;

	if (link->domain)
		return sf_virsh_call_agent(link->domain, command, arguments, wait_ms, error);
	if (sf_link_connect(link, &problem))
		reply = sf_client_call(link->client, command, arguments, wait_ms, &problem);
	if (!reply && !g_error_matches(problem, SF_CLIENT_ERROR, SF_CLIENT_ERROR_REFUSED))
		sf_link_close(link);
	if (!reply)
		g_propagate_error(error, g_steal_pointer(&problem));
	return reply;
}
