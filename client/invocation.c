/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Owns what one run was asked for and what it has to say. Nothing is written before
 * sf_invocation_flush(), so that a client that holds a freeze decides when it may block. Every
 * sub-command calls it. */
#include "config.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/format.h"
#include "client/invocation.h"
#include "protocol/message.h"

#define LOCAL_SOCKET RUNSTATEDIR "/snapfreeze/agent.sock"

static SfLook look_new(void)
{
	const char *no_colour = g_getenv("NO_COLOR");
	const char *terminal = g_getenv("TERM");
	bool unwanted = no_colour && *no_colour;

	return (SfLook){
		.colour = !unwanted && isatty(STDOUT_FILENO) && terminal &&
			  !g_str_equal(terminal, "dumb"),
		.utf8 = g_get_charset(NULL),
	};
}

SfInvocation *sf_invocation_new(void)
{
	SfInvocation *invocation = g_new0(SfInvocation, 1);
	const char *socket = g_getenv("SNAPFREEZE_SOCKET");

	invocation->socket = g_strdup(socket && *socket ? socket : LOCAL_SOCKET);
	invocation->timeout_ms = -1;
	invocation->look = look_new();
	invocation->out = g_string_new(NULL);
	invocation->err = g_string_new(NULL);
	return invocation;
}

void sf_invocation_free(SfInvocation *invocation)
{
	if (!invocation)
		return;
	sf_invocation_flush(invocation);
	g_string_free(invocation->out, TRUE);
	g_string_free(invocation->err, TRUE);
	g_free(invocation->socket);
	g_free(invocation);
}

bool sf_invocation_is_local(const SfInvocation *invocation)
{
	return g_str_equal(invocation->socket, LOCAL_SOCKET);
}

bool sf_invocation_parse(SfInvocation *invocation, const char *operands, const char *summary,
			 const GOptionEntry *entries, bool strict, int *argc, char ***argv,
			 GError **error)
{
	g_autoptr(GOptionContext) context = g_option_context_new(operands);
	g_autofree char *socket = NULL;
	g_autofree char *timeout = NULL;
	gboolean json = FALSE;
	const GOptionEntry common[] = {
		{"socket", 0, 0, G_OPTION_ARG_FILENAME, &socket,
		 "The agent's socket; also vsock:CID:PORT or a device", "PATH"},
		{"timeout", 0, 0, G_OPTION_ARG_STRING, &timeout,
		 "How long to wait for the connection and for each answer", "DURATION"},
		{"json", 0, 0, G_OPTION_ARG_NONE, &json, "Print replies as lines of JSON", NULL},
		{NULL},
	};

	g_option_context_set_summary(context, summary);
	g_option_context_set_strict_posix(context, strict);
	if (entries)
		g_option_context_add_main_entries(context, entries, NULL);
	g_option_context_add_main_entries(context, common, NULL);
	if (!g_option_context_parse(context, argc, argv, error))
		return false;
	if (timeout && !sf_parse_duration(timeout, &invocation->timeout_ms, error))
		return false;
	if (socket) {
		g_free(invocation->socket);
		invocation->socket = g_steal_pointer(&socket);
	}
	invocation->json |= json;
	return true;
}

bool sf_invocation_parse_command(SfInvocation *invocation, const char *operands,
				 const char *summary, const GOptionEntry *entries, int *argc,
				 char ***argv, int maximum, GError **error)
{
	if (!sf_invocation_parse(invocation, operands, summary, entries, false, argc, argv, error))
		return false;
	if (*argc - 1 > maximum) {
		g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED, "'%s' is one too many",
			    (*argv)[maximum + 1]);
		return false;
	}
	return true;
}

void sf_say(SfInvocation *invocation, const char *format, ...)
{
	g_autofree char *text = NULL;
	g_autofree char *safe = NULL;
	va_list arguments;

	va_start(arguments, format);
	text = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	safe = sf_escape(text, invocation->look.utf8);
	g_string_append_printf(invocation->err, "snapfreeze: %s\n", safe);
	sf_invocation_flush(invocation);
}

void sf_print_json(SfInvocation *invocation, JsonNode *node)
{
	sf_json_write(invocation->out, node);
	g_string_append_c(invocation->out, '\n');
}

/* The refusal's message is "CLASS: DESC". */
static void print_refusal(SfInvocation *invocation, const char *message)
{
	g_auto(GStrv) parts = g_strsplit(message, ": ", 2);
	g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);
	JsonObject *reply = json_object_new();
	JsonObject *error = json_object_new();

	json_object_set_string_member(error, "class", parts[0]);
	json_object_set_string_member(error, "desc", parts[0] && parts[1] ? parts[1] : "");
	json_object_set_object_member(reply, "error", error);
	json_node_take_object(node, reply);
	sf_print_json(invocation, node);
}

SfExit sf_fail(SfInvocation *invocation, const GError *error)
{
	if (error->domain == G_OPTION_ERROR) {
		sf_say(invocation, "%s", error->message);
		sf_say(invocation, "'%s --help' tells more", g_get_prgname());
		return SF_EXIT_USAGE;
	}
	if (g_error_matches(error, SF_CLIENT_ERROR, SF_CLIENT_ERROR_REFUSED)) {
		if (invocation->json)
			print_refusal(invocation, error->message);
		sf_say(invocation, "the agent refused: %s", error->message);
		return SF_EXIT_REFUSED;
	}
	sf_say(invocation, "%s", error->message);
	return error->domain == SF_CLIENT_ERROR ? SF_EXIT_UNREACHABLE : SF_EXIT_REFUSED;
}

/* While frozen: how much @fd takes without blocking. A regular file may lie on a filesystem just
 * frozen, the reader of a pipe may wait for one, a terminal may be stopped by ^S. */
static size_t room_while_frozen(int fd)
{
	struct stat status;
	struct pollfd ready = {.fd = fd, .events = POLLOUT};

	if (fstat(fd, &status) < 0 || S_ISREG(status.st_mode) || S_ISBLK(status.st_mode))
		return 0;
	return poll(&ready, 1, 0) == 1 && ready.revents & POLLOUT ? PIPE_BUF : 0;
}

static void flush_to(int fd, GString *text, bool is_frozen)
{
	size_t done = 0;

	while (done < text->len) {
		size_t room = is_frozen ? room_while_frozen(fd) : text->len;
		ssize_t written;

		if (room == 0)
			break;
		written = write(fd, text->str + done, MIN(room, text->len - done));
		if (written < 0 && errno != EINTR)
			done = text->len; /* nobody reads any more; the work is done all the same */
		else if (written > 0)
			done += (size_t)written;
	}
	g_string_erase(text, 0, (gssize)done);
}

void sf_invocation_flush(SfInvocation *invocation)
{
	flush_to(STDOUT_FILENO, invocation->out, invocation->is_frozen);
	flush_to(STDERR_FILENO, invocation->err, invocation->is_frozen);
}

unsigned int sf_invocation_wait_ms(const SfInvocation *invocation, unsigned int default_ms)
{
	if (invocation->timeout_ms < 0)
		return default_ms;
	return (unsigned int)MIN(invocation->timeout_ms, G_MAXINT);
}

SfClient *sf_invocation_connect(SfInvocation *invocation, GError **error)
{
	unsigned int wait_ms = sf_invocation_wait_ms(invocation, SF_WAIT_SHORT_MS);
	g_autoptr(SfClient) client = sf_client_connect(invocation->socket, wait_ms, error);

	if (!client || !sf_client_sync(client, wait_ms, error))
		return NULL;
	return g_steal_pointer(&client);
}

bool sf_error_is_unknown_command(const GError *error)
{
	return g_error_matches(error, SF_CLIENT_ERROR, SF_CLIENT_ERROR_REFUSED) &&
	       g_str_has_prefix(error->message, "CommandNotFound: ") &&
	       g_str_has_suffix(error->message, " has not been found");
}
