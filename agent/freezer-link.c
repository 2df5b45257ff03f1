/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owns the freezer process, the socket to it and the timers that watch it. Its invariant: while
 * something may be frozen, either the freezer answers or gone() has been called. Called by session
 * only.
 */
#include "config.h"

#include <errno.h>
#include <glib-unix.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/freezer-link.h"
#include "agent/freezer-spawn.h"
#include "agent/process.h"
#include "protocol/error.h"

#define TICK_MS 1000
#define ACKNOWLEDGE_MS 2000
/* Longer than any pause of a busy guest that was seen; a stopped freezer is noticed by waitid, at
 * once. */
#define ALIVE_LIMIT_MS 6000

struct SfFreezerLink {
	SfFreezerLinkEvents events;
	gpointer user_data;
	SfFreezerProcess process;
	guint socket_source, death_source, tick_source;
	guint acknowledge_source;
	gint64 asked_at_us;   /* when the oldest heartbeat without an answer was sent; 0: none */
	uint64_t deadline_ms; /* CLOCK_BOOTTIME; 0: none is running */
	bool is_gone;
};

static void stop_watching(SfFreezerLink *link)
{
	g_clear_handle_id(&link->socket_source, g_source_remove);
	g_clear_handle_id(&link->death_source, g_source_remove);
	g_clear_handle_id(&link->tick_source, g_source_remove);
	g_clear_handle_id(&link->acknowledge_source, g_source_remove);
}

static void gone(SfFreezerLink *link, const char *why)
{
	if (link->is_gone)
		return;
	link->is_gone = true;
	stop_watching(link);
	link->events.gone(why, link->user_data);
}

/* Where its word only waits to be read, an agent that was held up itself, by a host or by a busy
 * machine, must not take that for the freezer's silence. */
static bool has_spoken(const SfFreezerLink *link)
{
	struct pollfd polled = {.fd = link->process.socket, .events = POLLIN};

	return poll(&polled, 1, 0) != 0;
}

static gboolean on_acknowledge_late(gpointer user_data)
{
	SfFreezerLink *link = user_data;

	if (has_spoken(link))
		return G_SOURCE_CONTINUE;
	link->acknowledge_source = 0;
	gone(link, "it did not acknowledge a thaw within 2 s");
	return G_SOURCE_REMOVE;
}

static bool is_stopped(const SfFreezerLink *link)
{
	siginfo_t info = {0};

	return waitid(P_PID, (id_t)link->process.pid, &info, WSTOPPED | WNOHANG | WNOWAIT) == 0 &&
	       info.si_pid == link->process.pid && info.si_code == CLD_STOPPED;
}

/* A death is reported only when the last thread is gone, and that may hang in an ioctl. */
static bool is_dying(const SfFreezerLink *link)
{
	return sf_process_thread_state(link->process.pid, link->process.pid) == 'Z';
}

static bool send_message(SfFreezerLink *link, const struct sf_message *message, const int *fds,
			 unsigned int count, GError **error)
{
	int result =
		link->is_gone ? -EPIPE : sf_message_send(link->process.socket, message, fds, count);

	if (result == 0)
		return true;
	errno = -result;
	return sf_throw_errno(error, "send to the freezer");
}

/* Counted from what it was asked. */
static bool is_silent(const SfFreezerLink *link)
{
	return link->asked_at_us != 0 &&
	       g_get_monotonic_time() - link->asked_at_us >
		       ALIVE_LIMIT_MS * G_TIME_SPAN_MILLISECOND &&
	       !has_spoken(link);
}

/* A guest that was suspended wakes up with its deadline passed: both notice at the same time. */
static bool has_missed_deadline(const SfFreezerLink *link)
{
	return link->deadline_ms && sf_boottime_ms() > link->deadline_ms + ACKNOWLEDGE_MS &&
	       !has_spoken(link);
}

static void send_heartbeat(SfFreezerLink *link)
{
	struct sf_message beat = {.magic = SF_MESSAGE_MAGIC,
				  .kind = SF_MESSAGE_HEARTBEAT,
				  .index = -1};

	(void)send_message(link, &beat, NULL, 0, NULL);
	if (link->asked_at_us == 0)
		link->asked_at_us = g_get_monotonic_time();
}

static gboolean on_tick(gpointer user_data)
{
	SfFreezerLink *link = user_data;

	if (is_stopped(link)) {
		gone(link, "it is stopped");
	} else if (is_dying(link)) {
		gone(link, "it died");
	} else if (is_silent(link)) {
		gone(link, "it does not answer");
	} else if (has_missed_deadline(link)) {
		gone(link, "it did not thaw at the deadline");
	} else {
		send_heartbeat(link);
		return G_SOURCE_CONTINUE;
	}
	return G_SOURCE_REMOVE;
}

static void begin_heartbeat(SfFreezerLink *link)
{
	link->asked_at_us = 0;
	if (!link->tick_source)
		link->tick_source = g_timeout_add(TICK_MS, on_tick, link);
}

static void note_message(SfFreezerLink *link, const struct sf_message *message)
{
	link->asked_at_us = 0;
	switch (message->kind) {
	case SF_MESSAGE_FROZEN:
	case SF_MESSAGE_EXTENDED:
		link->deadline_ms = sf_boottime_ms() + message->lease;
		break;
	case SF_MESSAGE_ENDING:
		g_clear_handle_id(&link->acknowledge_source, g_source_remove);
		link->deadline_ms = 0;
		break;
	case SF_MESSAGE_ENDED:
		g_clear_handle_id(&link->acknowledge_source, g_source_remove);
		g_clear_handle_id(&link->tick_source, g_source_remove);
		break;
	}
}

static gboolean on_socket(gint fd, GIOCondition condition, gpointer user_data)
{
	SfFreezerLink *link = user_data;
	struct sf_message message;
	int fds[SF_MESSAGE_MAX_FDS];
	unsigned int count;
	int result = sf_message_receive(fd, &message, fds, &count);

	if (result < 0) {
		gone(link, "it closed its socket");
		return G_SOURCE_REMOVE;
	}
	if (result == 0)
		return G_SOURCE_CONTINUE;
	while (count > 0)
		close(fds[--count]);
	note_message(link, &message);
	if (message.kind != SF_MESSAGE_ALIVE)
		link->events.message(&message, link->user_data);
	return G_SOURCE_CONTINUE;
}

static gboolean on_death(gint fd, GIOCondition condition, gpointer user_data)
{
	gone(user_data, "it died");
	return G_SOURCE_REMOVE;
}

SfFreezerLink *sf_freezer_link_start(const char *program, bool rehearse, SfRecord *record,
				     const SfFreezerLinkEvents *events, gpointer user_data,
				     GError **error)
{
	g_autoptr(SfFreezerLink) link = g_new0(SfFreezerLink, 1);

	link->events = *events;
	link->user_data = user_data;
	link->process = (SfFreezerProcess){-1, -1, -1};
	if (!sf_freezer_spawn(program, rehearse, record, &link->process, error))
		return NULL;
	record->map->freezer_pid = (uint32_t)link->process.pid;
	record->map->freezer_start = sf_process_start_time(link->process.pid);
	link->socket_source =
		g_unix_fd_add(link->process.socket, G_IO_IN | G_IO_HUP, on_socket, link);
	link->death_source = g_unix_fd_add(link->process.pidfd, G_IO_IN, on_death, link);
	return g_steal_pointer(&link);
}

void sf_freezer_link_free(SfFreezerLink *link)
{
	if (!link)
		return;
	stop_watching(link);
	sf_freezer_process_clear(&link->process);
	g_free(link);
}

pid_t sf_freezer_link_pid(const SfFreezerLink *link)
{
	return link->process.pid;
}

int sf_freezer_link_pidfd(const SfFreezerLink *link)
{
	return link->process.pidfd;
}

static bool send_targets(SfFreezerLink *link, const SfPlan *plan, guint from, GError **error)
{
	struct sf_message message = {.magic = SF_MESSAGE_MAGIC,
				     .kind = SF_MESSAGE_TARGETS,
				     .index = (int)from,
				     .count = MIN(plan->targets->len - from, SF_MESSAGE_MAX_FDS)};
	int fds[SF_MESSAGE_MAX_FDS];

	for (guint i = 0; i < message.count; i++) {
		const SfTarget *target = g_ptr_array_index(plan->targets, from + i);
		fds[i] = target->fd;
		message.barrier[i] = target->backing_hidden;
	}
	return send_message(link, &message, fds, message.count, error);
}

static bool send_edges(SfFreezerLink *link, const SfPlan *plan, guint from, GError **error)
{
	struct sf_message message = {.magic = SF_MESSAGE_MAGIC,
				     .kind = SF_MESSAGE_EDGES,
				     .index = -1,
				     .count = MIN(plan->edges->len - from, SF_MESSAGE_MAX_EDGES)};

	for (guint i = 0; i < message.count; i++) {
		SfPlanEdge edge = g_array_index(plan->edges, SfPlanEdge, from + i);
		message.edges[i] = (struct sf_edge){edge.before, edge.after};
	}
	return send_message(link, &message, NULL, 0, error);
}

/* The freezer reads while we send, but it may be slower than we are: the socket's buffer holds a
 * few hundred messages only. */
static void wait_for_room(SfFreezerLink *link)
{
	struct pollfd polled = {.fd = link->process.socket, .events = POLLOUT};

	poll(&polled, 1, 1000);
}

bool sf_freezer_link_send_plan(SfFreezerLink *link, const SfPlan *plan, unsigned int parallel,
			       bool accept_foreign, GError **error)
{
	struct sf_message message = {.magic = SF_MESSAGE_MAGIC,
				     .kind = SF_MESSAGE_PLAN,
				     .index = -1,
				     .count = plan->targets->len,
				     .value = parallel,
				     .flag = accept_foreign};

	begin_heartbeat(link);
	if (!send_message(link, &message, NULL, 0, error))
		return false;
	for (guint from = 0; from < plan->targets->len; from += SF_MESSAGE_MAX_FDS) {
		wait_for_room(link);
		if (!send_targets(link, plan, from, error))
			return false;
	}
	for (guint from = 0; from < plan->edges->len; from += SF_MESSAGE_MAX_EDGES) {
		wait_for_room(link);
		if (!send_edges(link, plan, from, error))
			return false;
	}
	return true;
}

bool sf_freezer_link_send_flush(SfFreezerLink *link, uint64_t timeout_ms, GError **error)
{
	struct sf_message message = {.magic = SF_MESSAGE_MAGIC,
				     .kind = SF_MESSAGE_FLUSH,
				     .index = -1,
				     .value = timeout_ms};

	wait_for_room(link);
	return send_message(link, &message, NULL, 0, error);
}

bool sf_freezer_link_send_freeze(SfFreezerLink *link, uint64_t timeout_ms, uint64_t lease_ms,
				 uint64_t maximum_ms, GError **error)
{
	struct sf_message message = {.magic = SF_MESSAGE_MAGIC,
				     .kind = SF_MESSAGE_FREEZE,
				     .index = -1,
				     .value = timeout_ms,
				     .lease = lease_ms,
				     .maximum = maximum_ms};

	return send_message(link, &message, NULL, 0, error);
}

bool sf_freezer_link_send_extend(SfFreezerLink *link, uint64_t lease_ms, GError **error)
{
	struct sf_message message = {.magic = SF_MESSAGE_MAGIC,
				     .kind = SF_MESSAGE_EXTEND,
				     .index = -1,
				     .lease = lease_ms};

	return send_message(link, &message, NULL, 0, error);
}

void sf_freezer_link_send_thaw(SfFreezerLink *link, enum sf_end reason)
{
	struct sf_message message = {.magic = SF_MESSAGE_MAGIC,
				     .kind = SF_MESSAGE_THAW,
				     .index = -1,
				     .reason = reason};

	if (!link->acknowledge_source)
		link->acknowledge_source = g_timeout_add(ACKNOWLEDGE_MS, on_acknowledge_late, link);
	/* Where it cannot be sent, the acknowledgement fails to come, and the rescue thaws. */
	(void)send_message(link, &message, NULL, 0, NULL);
}
