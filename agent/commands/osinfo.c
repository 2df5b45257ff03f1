/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* guest-get-osinfo: the kernel by uname(2), the distribution by os-release(5). */
#include "config.h"

#include <fcntl.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "agent/commands/commands.h"
#include "agent/commands/osinfo.h"
#include "agent/freezer/capabilities.h"

#define TIMEOUT_MS 5000

/* The members of the answer, and the variables of os-release that they come from. */
static const struct {
	const char *member, *variable;
} variables[] = {
	{"id", "ID"},
	{"name", "NAME"},
	{"pretty-name", "PRETTY_NAME"},
	{"version", "VERSION"},
	{"version-id", "VERSION_ID"},
	{"variant", "VARIANT"},
	{"variant-id", "VARIANT_ID"},
};

static const char *find_member(const char *variable, size_t length)
{
	for (size_t i = 0; i < G_N_ELEMENTS(variables); i++)
		if (strlen(variables[i].variable) == length &&
		    strncmp(variables[i].variable, variable, length) == 0)
			return variables[i].member;
	return NULL;
}

static void add_line(JsonObject *info, const char *line)
{
	const char *sign = strchr(line, '=');
	const char *member = sign ? find_member(line, sign - line) : NULL;
	g_autofree char *value = NULL;

	if (!member)
		return;
	/* An empty value is one, but nothing for the shell's rules to work on. */
	value = sign[1] == '\0' ? g_strdup("") : g_shell_unquote(sign + 1, NULL);
	if (value)
		json_object_set_string_member(info, member, value);
}

void sf_osinfo_add(JsonObject *info, const char *text)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

	for (char **line = lines; *line; line++)
		add_line(info, g_strstrip(*line));
}

static void add_kernel(JsonObject *info)
{
	struct utsname kernel;

	if (uname(&kernel) < 0)
		return;
	json_object_set_string_member(info, "kernel-release", kernel.release);
	json_object_set_string_member(info, "kernel-version", kernel.version);
	json_object_set_string_member(info, "machine", kernel.machine);
}

/* In the child: the first of the files that there is. */
static void read_first(int fd, gpointer work_data)
{
	char buffer[8192];
	ssize_t n;

	sf_capabilities_keep(0);
	for (const char *const *path = work_data; *path; path++) {
		int file = open(*path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

		if (file < 0)
			continue;
		n = read(file, buffer, sizeof(buffer));
		if (n > 0)
			sf_errand_write(fd, buffer, n);
		return;
	}
}

static void on_read(const GByteArray *output, bool is_whole, gpointer user_data)
{
	JsonObject *info = json_object_new();
	g_autofree char *text = sf_errand_text(output);

	add_kernel(info);
	sf_osinfo_add(info, text);
	sf_answer_object(user_data, info, NULL);
}

static void run_osinfo(SfCall *call, const SfArguments *arguments, gpointer user_data)
{
	const char *chosen = g_getenv("QGA_OS_RELEASE");
	const char *installed[] = {"/etc/os-release", "/usr/lib/os-release", NULL};
	const char *one[] = {chosen, NULL};

	sf_errand_start(((SfContext *)user_data)->errands, read_first, chosen ? one : installed,
			TIMEOUT_MS, on_read, call);
}

const SfCommand sf_osinfo_commands[] = {
	{.name = "guest-get-osinfo", .profile = SF_PROFILE_STANDARD, .run = run_osinfo},
	{NULL},
};
