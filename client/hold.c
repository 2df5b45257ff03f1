/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Holds a freeze on a short lease: the agent thaws by itself soon after this program stops renewing
 * it, however it ends. Invariant: from the answer to freeze on, every way out of here thaws or has
 * tried until the lease was over. cmd-freeze calls it. */
#include "config.h"

#include "client/hold.h"
#include "client/report.h"

#define RENEW_MS 1000
#define RETRY_MS 200

static int64_t now_ms(void)
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
	unsigned int wait_ms = sf_invocation_wait_ms(hold->invocation, SF_WAIT_SHORT_MS);
	g_autoptr(JsonNode) reply = NULL;

	json_object_set_int_member(arguments, "timeout", (hold->lease_ms + 999) / 1000);
	reply = sf_client_call(hold->client, "snapfreeze-extend", arguments,
			       (unsigned int)MIN(wait_ms, hold->lease_ms / 2), error);
	return reply != NULL;
}

static JsonNode *try_thaw(SfHold *hold, GError **error)
{
	g_autoptr(JsonObject) arguments = arguments_new(hold);
	unsigned int wait_ms = sf_invocation_wait_ms(hold->invocation, SF_WAIT_LONG_MS);

	if (!hold->client)
		hold->client = sf_invocation_connect(hold->invocation, error);
	if (!hold->client)
		return NULL;
	return sf_client_call(hold->client, "snapfreeze-thaw", arguments, wait_ms, error);
}

/* A broken connection is made anew: the agent may have been restarted, and takes a moment. */
static JsonNode *thaw_within_lease(SfHold *hold, SfSignals *none, GError **error)
{
	int64_t end_ms = now_ms() + hold->lease_ms;
	JsonNode *reply;

	while (!(reply = try_thaw(hold, error)) && now_ms() < end_ms &&
	       g_error_matches(*error, SF_CLIENT_ERROR, SF_CLIENT_ERROR_CONNECT)) {
		g_clear_error(error);
		g_clear_pointer(&hold->client, sf_client_free);
		sf_signals_wait(none, -1, RETRY_MS);
	}
	return reply;
}

SfExit sf_hold_thaw(SfHold *hold)
{
	SfInvocation *invocation = hold->invocation;
	SfSignals none = {.fd = -1};
	g_autoptr(GError) error = NULL;
	g_autoptr(JsonNode) reply = thaw_within_lease(hold, &none, &error);
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

/* Returns: whether the lease was never lost; false also drops a connection that cannot be trusted.
 */
static bool renew_or_say(SfHold *hold)
{
	g_autoptr(GError) error = NULL;

	if (renew(hold, &error))
		return true;
	sf_say(hold->invocation, "the lease could not be renewed, thawing: %s", error->message);
	if (!g_error_matches(error, SF_CLIENT_ERROR, SF_CLIENT_ERROR_REFUSED))
		g_clear_pointer(&hold->client, sf_client_free);
	return false;
}

static bool keep(SfHold *hold, SfSignals *signals, int64_t hold_ms)
{
	int64_t interval_ms = MIN(RENEW_MS, hold->lease_ms / 3);
	int64_t end_ms = now_ms() + hold_ms;
	int64_t next_ms = now_ms() + interval_ms;

	while (now_ms() < end_ms) {
		int64_t wait_ms = MIN(next_ms, end_ms) - now_ms();

		if (sf_signals_wait(signals, -1, MAX(wait_ms, 0))) {
			sf_say(hold->invocation, "interrupted, thawing");
			return true;
		}
		if (now_ms() < next_ms || now_ms() >= end_ms)
			continue;
		if (!renew_or_say(hold))
			return false;
		next_ms = now_ms() + interval_ms;
		sf_invocation_flush(hold->invocation);
	}
	return true;
}

SfExit sf_hold(SfHold *hold, SfSignals *signals, int64_t hold_ms)
{
	bool kept = keep(hold, signals, hold_ms);
	SfExit status = sf_hold_thaw(hold);

	return kept ? status : SF_EXIT_REFUSED;
}
