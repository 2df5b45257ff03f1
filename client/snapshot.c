/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The course of one snapshot: prepare, freeze, have it taken, thaw, wait for the copies. Invariant:
 * from the moment at which the agent is asked to freeze, every way out of here thaws or has tried
 * until the lease was over; and every way but success takes back what was made, except what the
 * guest may write to by then. cmd-snapshot.c calls it. */
#include "config.h"

#include "client/hold.h"
#include "client/interruptible.h"
#include "client/progress.h"
#include "client/reply.h"
#include "client/report.h"
#include "client/snapshot.h"
#include "protocol/error.h"

/* How long the host may take for a transaction that should need milliseconds. */
#define TAKE_MS 30000
#define SETTLE_MS 10000
#define STEP_MS 500

typedef struct {
	SfInvocation *invocation;
	SfSnapshot *snapshot;
	SfSignals signals;
	SfLink link;
	SfHold hold;
	SfHostState state;
	bool was_lost; /* the lease could not be renewed, or somebody interrupted */
	GError *error; /* (nullable): why the host failed */
} Run;

static double now_ms(void)
{
	return (double)g_get_monotonic_time() / 1000;
}

/* ---- before the freeze */

static JsonNode *call(Run *run, const char *command, unsigned int wait_ms, GError **error)
{
	return sf_link_call(&run->link, command, NULL,
			    sf_invocation_wait_ms(run->invocation, wait_ms), error);
}

static bool is_at_rest(JsonNode *status)
{
	const char *state = sf_reply_string(sf_reply_root(status), "state");

	if (JSON_NODE_HOLDS_VALUE(status) && json_node_get_value_type(status) == G_TYPE_STRING)
		state = json_node_get_string(status);
	return g_strcmp0(state, "thawed") == 0 || g_strcmp0(state, "expired") == 0;
}

/* Whose agent it is, and whether a freeze could begin. */
static bool meet_agent(Run *run, GError **error)
{
	g_autoptr(GError) problem = NULL;
	g_autoptr(JsonNode) status = call(run, "snapfreeze-status", SF_WAIT_SHORT_MS, &problem);

	run->snapshot->course.is_ours = status != NULL;
	if (!status && !sf_error_is_unknown_command(problem)) {
		g_propagate_error(error, g_steal_pointer(&problem));
		return false;
	}
	if (!status) {
		sf_say(run->invocation, "the agent is QEMU's own: it knows no lease, so should "
					"this program be killed the guest stays frozen; and it "
					"cannot tell whether the snapshot is consistent");
		status = call(run, "guest-fsfreeze-status", SF_WAIT_SHORT_MS, error);
	}
	if (status && !is_at_rest(status))
		return sf_throw(error, "the guest is frozen already, or about to be");
	return status != NULL;
}

/* ---- the freeze */

static JsonObject *freeze_arguments(const Run *run)
{
	JsonObject *arguments = json_object_new();

	if (run->snapshot->course.is_ours) {
		json_object_set_string_member(arguments, "label", run->snapshot->label);
		json_object_set_int_member(arguments, "timeout", SF_LEASE_DEFAULT_MS / 1000);
	}
	return arguments;
}

/* Returns: whether all is frozen, and still wanted. Where it is not wanted, it is thawed. */
static bool freeze(Run *run, SfExit *out_status)
{
	SfCourse *course = &run->snapshot->course;
	const char *command = course->is_ours ? "snapfreeze-freeze" : "guest-fsfreeze-freeze";
	g_autoptr(JsonObject) arguments = freeze_arguments(run);
	g_autoptr(GError) error = NULL;

	run->hold = (SfHold){
		.link = &run->link,
		.id = -1,
		.lease_ms = course->is_ours ? SF_LEASE_DEFAULT_MS : 0,
	};
	/* What is printed from now on may have to wait: the output may lie in the guest. */
	run->invocation->is_frozen = true;
	course->asked = now_ms();
	course->freeze = sf_call_interruptible(&run->link, &run->signals, command, arguments,
					       run->snapshot->label, &run->was_lost, &error);
	course->answered = now_ms();
	if (course->freeze) {
		sf_reply_integer(sf_reply_root(course->freeze), "id", &run->hold.id);
		return true;
	}
	run->invocation->is_frozen = false;
	*out_status = sf_fail_to_freeze(run->invocation, error);
	return false;
}

/* The agent counts, ours in a member. */
static bool is_nothing(JsonNode *reply)
{
	int64_t n = -1;

	if (JSON_NODE_HOLDS_VALUE(reply) && json_node_get_value_type(reply) == G_TYPE_INT64)
		n = json_node_get_int(reply);
	sf_reply_integer(sf_reply_root(reply), "frozen", &n);
	return n == 0;
}

/* ---- while frozen */

/* One wait, in which the host may answer, a signal may come, or the lease may be due. Returns:
 * whether to go on waiting */
static bool wait_a_moment(Run *run, int64_t *next_ms, int64_t end_ms)
{
	int64_t now = sf_hold_now_ms();
	int64_t until = MIN(MIN(*next_ms, end_ms), now + STEP_MS);

	if (sf_signals_wait(&run->signals, run->snapshot->host->fd, MAX(until - now, 0))) {
		sf_say(run->invocation, "interrupted, thawing");
		return false;
	}
	now = sf_hold_now_ms();
	if (now >= end_ms) {
		sf_say(run->invocation, "no answer to the snapshot in %d s, thawing",
		       TAKE_MS / 1000);
		return false;
	}
	if (now < *next_ms)
		return true;
	*next_ms = sf_hold_next_ms(&run->hold);
	return sf_hold_renew(&run->hold);
}

static void take(Run *run)
{
	SfHost *host = run->snapshot->host;
	SfCourse *course = &run->snapshot->course;
	int64_t next_ms = sf_hold_next_ms(&run->hold);
	int64_t end_ms = sf_hold_now_ms() + TAKE_MS;

	course->begun = now_ms();
	if (!sf_host_begin(host, &run->error)) {
		run->state = SF_HOST_LOST;
		return;
	}
	while ((run->state = sf_host_step(host, &run->error)) == SF_HOST_BUSY) {
		run->was_lost = !wait_a_moment(run, &next_ms, end_ms);
		if (run->was_lost)
			return;
	}
	course->fixed = now_ms();
}

static bool thaw(Run *run, SfExit *out_status)
{
	SfCourse *course = &run->snapshot->course;
	const char *command = course->is_ours ? "snapfreeze-thaw" : "guest-fsfreeze-thaw";
	g_autoptr(GError) error = NULL;

	course->thawing = now_ms();
	course->thaw = sf_hold_thaw_by(&run->hold, command, &error);
	course->thawed = now_ms();
	run->invocation->is_frozen = false;
	if (course->thaw)
		return true;
	*out_status = sf_fail(run->invocation, error);
	sf_say(run->invocation,
	       course->is_ours ? "could not thaw: the agent does so when its lease ends"
			       : "could not thaw: the guest may still be frozen; 'snapfreeze "
				 "--socket %s thaw' ends that",
	       run->invocation->socket);
	return false;
}

/* ---- after the thaw */

/* The host may have been slower than the patience for it: only its answer tells what there is. */
static void settle(Run *run)
{
	SfHost *host = run->snapshot->host;
	int64_t end_ms = sf_hold_now_ms() + SETTLE_MS;
	SfSignals none = {.fd = -1};

	while (run->state == SF_HOST_BUSY && sf_hold_now_ms() < end_ms) {
		sf_signals_wait(&none, host->fd, STEP_MS);
		run->state = sf_host_step(host, &run->error);
	}
}

static SfVerdict judge(const Run *run)
{
	const SfCourse *course = &run->snapshot->course;
	JsonObject *reply = sf_reply_root(course->thaw);

	if (!course->thaw)
		run->snapshot->why = "the thaw was not answered";
	else if (run->was_lost || course->fixed <= 0)
		run->snapshot->why = "the guest was thawed before the snapshot was there";
	else if (!course->is_ours && is_nothing(course->thaw))
		run->snapshot->why = "nothing was frozen any more at the thaw";
	else if (!course->is_ours)
		return SF_VERDICT_UNKNOWN;
	else if (sf_reply_is_true(reply, "consistent"))
		return SF_VERDICT_CONSISTENT;
	return SF_VERDICT_INCONSISTENT;
}

static void undo(Run *run)
{
	SfHost *host = run->snapshot->host;

	run->snapshot->verdict = SF_VERDICT_NONE;
	if (sf_host_undo(host))
		return;
	sf_say(run->invocation, "whether the host took the snapshot is not known, so these files "
				"are left:");
	for (guint i = 0; i < host->disks->len; i++) {
		const SfDisk *disk = g_ptr_array_index(host->disks, i);

		if (disk->target)
			sf_say(run->invocation, "  %s", disk->target);
	}
}

/* Returns: whether the copies are whole */
static bool follow_copies(Run *run)
{
	SfHost *host = run->snapshot->host;
	SfProgress progress = {.invocation = run->invocation};

	while (run->state == SF_HOST_COPYING) {
		sf_progress_show(&progress, host->progress);
		if (sf_signals_wait(&run->signals, host->fd, STEP_MS)) {
			sf_progress_end(&progress);
			sf_say(run->invocation, "interrupted: giving the backups up");
			return false;
		}
		run->state = sf_host_step(host, &run->error);
	}
	sf_progress_end(&progress);
	run->snapshot->course.copied = now_ms();
	return run->state == SF_HOST_DONE;
}

static bool is_taken(const Run *run)
{
	return run->state == SF_HOST_DONE || run->state == SF_HOST_COPYING;
}

static SfExit finish(Run *run)
{
	SfSnapshot *snapshot = run->snapshot;

	if (!is_taken(run)) {
		undo(run);
		return run->error ? sf_fail(run->invocation, run->error) : SF_EXIT_REFUSED;
	}
	snapshot->verdict = judge(run);
	if (run->state == SF_HOST_COPYING && snapshot->verdict == SF_VERDICT_INCONSISTENT) {
		/* What is half made by now would not be what was asked for. */
		sf_host_undo(snapshot->host);
		return SF_EXIT_REFUSED;
	}
	if (run->state == SF_HOST_COPYING && !follow_copies(run)) {
		undo(run);
		return run->error ? sf_fail(run->invocation, run->error) : SF_EXIT_REFUSED;
	}
	return snapshot->verdict == SF_VERDICT_INCONSISTENT ? SF_EXIT_REFUSED : SF_EXIT_OK;
}

/* An overlay cannot be taken back: none is made where the agent knows already that the snapshot
 * would not be consistent. */
static bool is_worth_it(const Run *run)
{
	JsonNode *reply = run->snapshot->course.freeze;
	JsonArray *reasons = sf_reply_array(sf_reply_root(reply), "reasons");

	if (is_nothing(reply))
		sf_say(run->invocation, "the agent found nothing to freeze: no snapshot was taken");
	else if (sf_reply_length(reasons) > 0)
		sf_say(run->invocation, "a snapshot would not be consistent, none was taken:");
	else
		return !run->was_lost;
	for (unsigned int i = 0; i < sf_reply_length(reasons); i++) {
		const char *reason = sf_reply_string_at(reasons, i);

		sf_say(run->invocation, "  %s", reason ? reason : "?");
	}
	return false;
}

static SfExit go_on_frozen(Run *run)
{
	SfExit status = SF_EXIT_OK;
	SfExit finished;

	run->state = SF_HOST_FAILED;
	if (is_worth_it(run))
		take(run);
	/* An agent that froze nothing has nothing to thaw; asking does no harm. */
	(void)!thaw(run, &status);
	settle(run);
	finished = finish(run);
	return status != SF_EXIT_OK ? status : finished;
}

static SfExit prepare_and_freeze(Run *run)
{
	g_autoptr(GError) error = NULL;
	SfExit status;

	if (!sf_link_connect(&run->link, &error) || !meet_agent(run, &error) ||
	    !sf_host_prepare(run->snapshot->host, &error)) {
		sf_host_undo(run->snapshot->host);
		return sf_fail(run->invocation, error);
	}
	if (sf_signals_wait(&run->signals, -1, 0)) {
		sf_say(run->invocation, "interrupted, nothing was frozen");
		sf_host_undo(run->snapshot->host);
		return SF_EXIT_REFUSED;
	}
	if (freeze(run, &status))
		return go_on_frozen(run);
	sf_host_undo(run->snapshot->host);
	return status;
}

SfExit sf_snapshot_take(SfInvocation *invocation, SfSnapshot *snapshot)
{
	Run run = {
		.invocation = invocation,
		.snapshot = snapshot,
		.link = {.invocation = invocation, .domain = snapshot->host->wish->domain},
	};
	SfExit status;

	sf_signals_init(&run.signals);
	status = prepare_and_freeze(&run);
	sf_link_close(&run.link);
	g_clear_error(&run.error);
	return status;
}
