/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <json-glib/json-glib.h>
#include <stdbool.h>

/* What happened in one snapshot, as far as it came. Times are in ms of the monotonic clock; 0: it
 * did not happen. */
typedef struct {
	double asked;     /* the agent, for the freeze */
	double answered;  /* by the agent: all is frozen */
	double begun;     /* the host was asked for the snapshot */
	double fixed;     /* the host answered: it has the moment */
	double thawing;   /* the agent was asked for the thaw */
	double thawed;    /* it answered */
	double copied;    /* the backups are whole */
	JsonNode *freeze; /* (nullable): the agent's answers */
	JsonNode *thaw;
	bool is_ours; /* the agent is not QEMU's own */
} SfCourse;

static inline void sf_course_clear(SfCourse *course)
{
	g_clear_pointer(&course->freeze, json_node_unref);
	g_clear_pointer(&course->thaw, json_node_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(SfCourse, sf_course_clear)
