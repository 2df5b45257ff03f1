/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One call that a signal can call off. sf_client_call() blocks, so it runs in a thread of its own,
 * which alone uses the connection until it is joined; the first thread waits for signals meanwhile.
 * Only freeze calls it: every other command is short, or must not be abandoned. */
#include "config.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include "client/interruptible.h"
#include "client/reply.h"

#define CALL_OFF_MS 2000

typedef struct {
	SfLink *link;
	const char *command;
	JsonObject *arguments;
	unsigned int wait_ms;
	int done_fd;
	JsonNode *reply;
	GError *error;
} Call;

static gpointer run_call(gpointer data)
{
	Call *call = data;
	uint64_t one = 1;

	call->reply = sf_link_call(call->link, call->command, call->arguments, call->wait_ms,
				   &call->error);
	if (write(call->done_fd, &one, sizeof(one)) < 0)
		g_assert_not_reached(); /* an eventfd at 0 takes 1 */
	return NULL;
}

static bool is_ours(JsonObject *status, const char *label)
{
	const char *state = sf_reply_string(status, "state");
	const char *other = sf_reply_string(status, "label");

	return g_strcmp0(state, "thawed") != 0 && g_strcmp0(other, label) == 0;
}

static bool thaw_if_ours(SfLink *link, const char *label)
{
	g_autoptr(JsonNode) status =
		sf_link_call(link, "snapfreeze-status", NULL, CALL_OFF_MS, NULL);
	g_autoptr(JsonObject) arguments = json_object_new();
	g_autoptr(JsonNode) thaw = NULL;
	int64_t id;

	if (!is_ours(sf_reply_root(status), label))
		return false;
	if (sf_reply_integer(sf_reply_root(status), "id", &id))
		json_object_set_int_member(arguments, "id", id);
	thaw = sf_link_call(link, "snapfreeze-thaw", arguments,
			    sf_invocation_wait_ms(link->invocation, SF_WAIT_LONG_MS), NULL);
	return thaw != NULL;
}

/* Best effort: where one call at a time is served and the first is still under way (a virtio port's
 * host side, libvirt), this fails, and the freeze is thawed when it has been answered, or by its
 * deadline. A freeze that has not begun is given up by the sync already. */
static bool call_off(const SfLink *link, const char *label)
{
	g_auto(SfLink) other = {.invocation = link->invocation, .domain = link->domain};

	if (link->domain)
		return thaw_if_ours(&other, label);
	other.client = sf_client_connect(link->invocation->socket, CALL_OFF_MS, NULL);
	return other.client && sf_client_sync(other.client, CALL_OFF_MS, NULL) &&
	       thaw_if_ours(&other, label);
}

static void wait_for_answer(SfSignals *signals, const Call *call, const char *label,
			    bool *out_interrupted)
{
	SfInvocation *invocation = call->link->invocation;

	if (!sf_signals_wait(signals, call->done_fd, -1))
		return;
	*out_interrupted = true;
	sf_say(invocation, "interrupted: calling the freeze off");
	if (!call_off(call->link, label))
		sf_say(invocation, "waiting for the agent's answer, to thaw then");
}

JsonNode *sf_call_interruptible(SfLink *link, SfSignals *signals, const char *command,
				JsonObject *arguments, const char *label, bool *out_interrupted,
				GError **error)
{
	Call call = {
		.link = link,
		.command = command,
		.arguments = arguments,
		.wait_ms = sf_invocation_wait_ms(link->invocation, SF_WAIT_LONG_MS),
		.done_fd = eventfd(0, EFD_CLOEXEC),
	};
	GThread *thread = call.done_fd < 0 ? NULL : g_thread_try_new("call", run_call, &call, NULL);

	if (!thread) {
		if (call.done_fd >= 0)
			close(call.done_fd);
		g_set_error(error, SF_CLIENT_ERROR, SF_CLIENT_ERROR_CONNECT,
			    "cannot start a thread for the call");
		return NULL;
	}
	wait_for_answer(signals, &call, label, out_interrupted);
	g_thread_join(thread);
	close(call.done_fd);
	/* Its connection is closed by now, so even a port that serves one at a time takes this. */
	if (g_error_matches(call.error, SF_CLIENT_ERROR, SF_CLIENT_ERROR_TIMEOUT) &&
	    !*out_interrupted)
		call_off(link, label);
	if (call.error)
		g_propagate_error(error, call.error);
	return call.reply;
}
