/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* guest-get-load, guest-get-cpustats, guest-get-diskstats. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/commands/commands.h"
#include "agent/commands/statistics.h"
#include "protocol/error.h"

/* In the order of proc(5); older kernels end earlier. */
static const char *const cpu_members[] = {"user",   "nice",      "system",  "idle",
					  "iowait", "irq",       "softirq", "steal",
					  "guest",  "guestnice", NULL};
static const char *const disk_members[] = {"read-ios",       "read-merges",     "read-sectors",
					   "read-ticks",     "write-ios",       "write-merges",
					   "write-sectors",  "write-ticks",     "ios-pgr",
					   "total-ticks",    "weight-ticks",    "discard-ios",
					   "discard-merges", "discard-sectors", "discard-ticks",
					   "flush-ios",      "flush-ticks",     NULL};

/* Reads numbers from @text into members of those names, as far as there are numbers. Each is
 * multiplied by @factor / @divisor. */
static void add_numbers(JsonObject *object, const char *const *names, const char *text,
			guint64 factor, guint64 divisor)
{
	for (; *names; names++) {
		char *end;
		guint64 number = g_ascii_strtoull(text, &end, 10);

		if (end == text)
			return;
		json_object_set_int_member(object, *names, (gint64)(number * factor / divisor));
		text = end;
	}
}

static char **read_lines(const char *proc, const char *name, GError **error)
{
	g_autofree char *path = g_build_filename(proc, name, NULL);
	g_autofree char *text = NULL;
	g_autoptr(GError) reason = NULL;

	if (g_file_get_contents(path, &text, NULL, &reason))
		return g_strsplit(text, "\n", -1);
	sf_throw(error, "%s", reason->message);
	return NULL;
}

JsonArray *sf_cpustats_read(const char *proc, GError **error)
{
	g_auto(GStrv) lines = read_lines(proc, "stat", error);
	JsonArray *stats;
	long ticks = sysconf(_SC_CLK_TCK);

	if (!lines)
		return NULL;
	stats = json_array_new();
	for (char **line = lines; *line; line++) {
		unsigned int cpu;
		int length = 0;
		JsonObject *entry;

		/* The first line, "cpu ", is the sum of all. */
		if (sscanf(*line, "cpu%u%n", &cpu, &length) != 1 || (*line)[3] == ' ')
			continue;
		entry = json_object_new();
		json_object_set_string_member(entry, "type", "linux");
		json_object_set_int_member(entry, "cpu", cpu);
		add_numbers(entry, cpu_members, *line + length, 1000, ticks > 0 ? ticks : 100);
		json_array_add_object_element(stats, entry);
	}
	return stats;
}

JsonArray *sf_diskstats_read(const char *proc, GError **error)
{
	g_auto(GStrv) lines = read_lines(proc, "diskstats", error);
	JsonArray *stats;

	if (!lines)
		return NULL;
	stats = json_array_new();
	for (char **line = lines; *line; line++) {
		unsigned int major, minor;
		char name[64];
		int length = 0;
		JsonObject *entry, *numbers;

		if (sscanf(*line, "%u %u %63s%n", &major, &minor, name, &length) != 3)
			continue;
		entry = json_object_new();
		numbers = json_object_new();
		json_object_set_string_member(entry, "name", name);
		json_object_set_int_member(entry, "major", major);
		json_object_set_int_member(entry, "minor", minor);
		add_numbers(numbers, disk_members, *line + length, 1, 1);
		json_object_set_object_member(entry, "stats", numbers);
		json_array_add_object_element(stats, entry);
	}
	return stats;
}

static const char *proc_of(gpointer user_data)
{
	SfContext *context = user_data;

	return sf_session_settings(context->session)->source.proc;
}

static void run_cpustats(SfCall *call, const SfArguments *arguments, gpointer user_data)
{
	g_autoptr(GError) error = NULL;
	JsonArray *stats = sf_cpustats_read(proc_of(user_data), &error);

	sf_answer_array(call, stats, error);
}

static void run_diskstats(SfCall *call, const SfArguments *arguments, gpointer user_data)
{
	g_autoptr(GError) error = NULL;
	JsonArray *stats = sf_diskstats_read(proc_of(user_data), &error);

	sf_answer_array(call, stats, error);
}

static void run_load(SfCall *call, const SfArguments *arguments, gpointer user_data)
{
	g_autoptr(GError) error = NULL;
	JsonObject *answer = NULL;
	double load[3];

	if (getloadavg(load, 3) == 3) {
		answer = json_object_new();
		json_object_set_double_member(answer, "load1m", load[0]);
		json_object_set_double_member(answer, "load5m", load[1]);
		json_object_set_double_member(answer, "load15m", load[2]);
	} else {
		sf_throw(&error, "the load cannot be read");
	}
	sf_answer_object(call, answer, error);
}

const SfCommand sf_statistics_commands[] = {
	{.name = "guest-get-load", .profile = SF_PROFILE_STANDARD, .run = run_load},
	{.name = "guest-get-cpustats", .profile = SF_PROFILE_STANDARD, .run = run_cpustats},
	{.name = "guest-get-diskstats", .profile = SF_PROFILE_STANDARD, .run = run_diskstats},
	{NULL},
};
