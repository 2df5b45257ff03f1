/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <json-glib/json-glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "protocol/client.h"

typedef enum {
	SF_EXIT_OK = 0,
	SF_EXIT_REFUSED = 1,     /* the agent said no, or the freeze was not consistent */
	SF_EXIT_USAGE = 2,       /* the command line makes no sense */
	SF_EXIT_UNREACHABLE = 3, /* no connection, no answer in time, or one that is no reply */
} SfExit;

/* How output may look. */
typedef struct {
	bool colour;
	bool utf8;
} SfLook;

/* One run of the program: what the common options say, and what it has to say itself. */
typedef struct {
	char *socket;
	int64_t timeout_ms; /* of the connection and of each answer; -1: each command's own */
	bool json;
	SfLook look;
	GString *out; /* goes to standard output with sf_invocation_flush() */
	GString *err;
	bool is_frozen; /* writing could block until the thaw: see sf_invocation_flush() */
} SfInvocation;

SfInvocation *sf_invocation_new(void);
/* Flushes first. */
void sf_invocation_free(SfInvocation *invocation);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SfInvocation, sf_invocation_free)

/* Whether the socket is that of the agent on this very machine. */
bool sf_invocation_is_local(const SfInvocation *invocation);

/**
 * sf_invocation_parse:
 * @operands: what follows the options, for the usage line
 * @summary: for --help
 * @entries: (nullable): the options beside the common ones
 * @strict: stop at the first word that is no option
 * @error: domain %G_OPTION_ERROR
 *
 * Parses the common options and @entries, and removes them from @argv. --help prints and exits.
 */
bool sf_invocation_parse(SfInvocation *invocation, const char *operands, const char *summary,
			 const GOptionEntry *entries, bool strict, int *argc, char ***argv,
			 GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The same for a sub-command, where @maximum words may be left over in the end. */
bool sf_invocation_parse_command(SfInvocation *invocation, const char *operands,
				 const char *summary, const GOptionEntry *entries, int *argc,
				 char ***argv, int maximum,
				 GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* One line for standard error, "snapfreeze: …", made safe for the terminal. */
void sf_say(SfInvocation *invocation, const char *format, ...) G_GNUC_PRINTF(2, 3);

/**
 * sf_fail:
 *
 * Says @error; with --json an agent's refusal stands on standard output too, as {"error":
 * {"class", "desc"}}.
 *
 * Returns: the exit status that belongs to it
 */
SfExit sf_fail(SfInvocation *invocation, const GError *error);

/* Appends one JSON line to the output. */
void sf_print_json(SfInvocation *invocation, JsonNode *node);

/**
 * sf_invocation_flush:
 *
 * Writes what was said and printed. While frozen, what would block stays in memory for a later
 * flush: a client that is blocked renews no lease.
 */
void sf_invocation_flush(SfInvocation *invocation);

/* Connects to the agent and syncs. Errors: domain %SF_CLIENT_ERROR. */
SfClient *sf_invocation_connect(SfInvocation *invocation, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* How long to wait for an answer: --timeout, or else @default_ms. */
unsigned int sf_invocation_wait_ms(const SfInvocation *invocation, unsigned int default_ms);

/* How long a command may take where nobody said. What flushes, freezes, runs hooks takes longer. */
#define SF_WAIT_SHORT_MS 10000
#define SF_WAIT_LONG_MS 180000

/* Whether @error says that the agent does not know the command: it is not one of ours. A command
 * that is only disabled or not allowed while frozen is known. */
bool sf_error_is_unknown_command(const GError *error);
