/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Holds a freeze on a short lease: the agent thaws by itself soon after this program stops renewing
 * it, however it ends. Invariant: from the answer to freeze on, every way out of here thaws or has
 * tried until the lease was over. cmd-freeze and snapshot.c call it. */
#include "config.h"

#include "client/hold.h"
#include "client/report.h"

#define RENEW_MS 1000
#define RETRY_MS 200
/* How long to try where no lease ends the freeze. */
#define UNLEASED_MS 60000

int64_t sf_hold_now_ms(void)
{
	return g_get_monotonic_time() / 1000;
}

static JsonObject *arguments_new(const SfHold *hold)
{
	JsonObject *arguments = json_object_new();

	if (hold->id >= 0)
		json_object_set_int_member(arguments, "id", hold->id);
	return arguments;
}

/* Waits for half of the lease at most, so that there is time left to thaw before its end. */
static bool renew(SfHold *hold, GError **error)
{
	g_autoptr(JsonObject) arguments = arguments_new(hold);
	unsigned int wait_ms = sf_invocation_wait_ms(hold->link->invocation, SF_WAIT_SHORT_MS);
	g_autoptr(JsonNode) reply = NULL;

	json_object_set_int_member(arguments, "timeout", (hold->lease_ms + 999) / 1000);
	reply = sf_link_call(hold->link, "snapfreeze-extend", arguments,
			     (unsigned int)MIN(wait_ms, hold->lease_ms / 2), error);
	return reply != NULL;
}

bool sf_hold_renew(SfHold *hold)
{
	g_autoptr(GError) error = NULL;

	if (renew(hold, &error))
		return true;
	sf_say(hold->link->invocation, "the lease could not be renewed, thawing: %s",
	       error->message);
	return false;
}

int64_t sf_hold_next_ms(const SfHold *hold)
{
	return hold->lease_ms ? sf_hold_now_ms() + MIN(RENEW_MS, hold->lease_ms / 3) : G_MAXINT64;
}

static JsonNode *try_thaw(SfHold *hold, const char *command, GError **error)
{
	g_autoptr(JsonObject) arguments = arguments_new(hold);
	unsigned int wait_ms = sf_invocation_wait_ms(hold->link->invocation, SF_WAIT_LONG_MS);

	return sf_link_call(hold->link, command, arguments, wait_ms, error);
}

/* The agent may have been restarted, and takes a moment. */
JsonNode *sf_hold_thaw_by(SfHold *hold, const char *command, GError **error)
{
	int64_t end_ms = sf_hold_now_ms() + (hold->lease_ms ? hold->lease_ms : UNLEASED_MS);
	SfSignals none = {.fd = -1};

	for (;;) {
		g_autoptr(GError) problem = NULL;
		JsonNode *reply = try_thaw(hold, command, &problem);

		if (reply)
			return reply;
		if (sf_hold_now_ms() >= end_ms ||
		    !g_error_matches(problem, SF_CLIENT_ERROR, SF_CLIENT_ERROR_CONNECT)) {
			g_propagate_error(error, g_steal_pointer(&problem));
			return NULL;
		}
		sf_signals_wait(&none, -1, RETRY_MS);
	}
}

SfExit sf_hold_thaw(SfHold *hold)
{
	SfInvocation *invocation = hold->link->invocation;
	g_autoptr(GError) error = NULL;
	g_autoptr(JsonNode) reply = sf_hold_thaw_by(hold, "snapfreeze-thaw", &error);
	bool is_good;

	invocation->is_frozen = false;
	if (!reply) {
		SfExit status = sf_fail(invocation, error);

		if (status == SF_EXIT_UNREACHABLE)
			sf_say(invocation, "could not thaw: the agent does so when its lease ends");
		return status;
	}
	is_good = sf_report_thaw(invocation, reply);
	sf_invocation_flush(invocation);
	return is_good ? SF_EXIT_OK : SF_EXIT_REFUSED;
}

static bool keep(SfHold *hold, SfSignals *signals, int64_t hold_ms)
{
	int64_t end_ms = sf_hold_now_ms() + hold_ms;
	int64_t next_ms = sf_hold_next_ms(hold);

	while (sf_hold_now_ms() < end_ms) {
		int64_t wait_ms = MIN(next_ms, end_ms) - sf_hold_now_ms();

		if (sf_signals_wait(signals, -1, MAX(wait_ms, 0))) {
			sf_say(hold->link->invocation, "interrupted, thawing");
			return true;
		}
		if (sf_hold_now_ms() < next_ms || sf_hold_now_ms() >= end_ms)
			continue;
		if (!sf_hold_renew(hold))
			return false;
		next_ms = sf_hold_next_ms(hold);
		sf_invocation_flush(hold->link->invocation);
	}
	return true;
}

SfExit sf_hold(SfHold *hold, SfSignals *signals, int64_t hold_ms)
{
	bool kept = keep(hold, signals, hold_ms);
	SfExit status = sf_hold_thaw(hold);

	return kept ? status : SF_EXIT_REFUSED;
}
