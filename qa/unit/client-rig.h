/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "protocol/client.h"

/* Far longer than any answer takes; no test waits for its end. */
#define PATIENT_MS 30000
/* How long a test waits for what must not come. */
#define SHORT_MS 100

typedef struct Agent Agent;
typedef void (*Script)(Agent *agent);

/* An agent behind a Unix socket: one connection, in a thread of its own. */
struct Agent {
	char *folder, *path;
	int listener, fd;
	Script script;
	const char *answer; /* of agent_answer_once() */
	GThread *thread;
};

/* Without a connection, and without a thread. */
void agent_listen(Agent *agent);
void agent_stop_listening(Agent *agent);
/* The client of an agent that carries out @script. */
SfClient *agent_start(Agent *agent, Script script);
/* Frees the client first: a script may wait for the end of its input. */
void agent_stop(Agent *agent, SfClient *client);

/* For scripts. */
char *agent_read_line(Agent *agent);
void agent_skip_line(Agent *agent);
/* Reads to the end of what the client sends. */
void agent_wait_for_close(Agent *agent);
/* Returns: false where the client is gone */
bool agent_say(Agent *agent, const char *bytes);
/* Until the client has taken what was said, so that the next words come on their own. */
void agent_wait_until_read(Agent *agent);
/* Reads a guest-sync-delimited and returns its id. */
int64_t agent_read_sync(Agent *agent);
void agent_answer_sync(Agent *agent, int64_t id);
/* A whole script: one request, then @agent->answer. */
void agent_answer_once(Agent *agent);
