/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* guest-file-*: files that a host reads and writes as the agent, which is root. */
#include "config.h"

#include <unistd.h>

#include "agent/base64.h"
#include "agent/commands/commands.h"
#include "agent/files.h"
#include "protocol/error.h"

#define DEFAULT_COUNT 4096
#define MAX_COUNT (48 << 20)

static const char *const whence_names[] = {"set", "cur", "end", NULL};
static const SfArgumentSpec open_arguments[] = {
	{"path", SF_ARGUMENT_STRING, false, NULL},
	{"mode", SF_ARGUMENT_STRING, true, NULL},
	{NULL},
};
static const SfArgumentSpec handle_arguments[] = {
	{"handle", SF_ARGUMENT_INTEGER, false, NULL},
	{NULL},
};
static const SfArgumentSpec read_arguments[] = {
	{"handle", SF_ARGUMENT_INTEGER, false, NULL},
	{"count", SF_ARGUMENT_INTEGER, true, NULL},
	{NULL},
};
static const SfArgumentSpec write_arguments[] = {
	{"handle", SF_ARGUMENT_INTEGER, false, NULL},
	{"buf-b64", SF_ARGUMENT_STRING, false, NULL},
	{"count", SF_ARGUMENT_INTEGER, true, NULL},
	{NULL},
};
static const SfArgumentSpec seek_arguments[] = {
	{"handle", SF_ARGUMENT_INTEGER, false, NULL},
	{"offset", SF_ARGUMENT_INTEGER, false, NULL},
	{"whence", SF_ARGUMENT_INTEGER_OR_ENUM, false, whence_names,
	 .alternate = "GuestFileWhence"},
	{NULL},
};

static SfFiles *files_of(gpointer user_data)
{
	return ((SfContext *)user_data)->files;
}

static void on_opened(const SfFileResult *result, const GError *error, gpointer user_data)
{
	if (error)
		sf_call_fail(user_data, error);
	else
		sf_answer_integer(user_data, result->handle);
}

static void on_done(const SfFileResult *result, const GError *error, gpointer user_data)
{
	if (error)
		sf_call_fail(user_data, error);
	else
		sf_answer_nothing(user_data);
}

static void on_read(const SfFileResult *result, const GError *error, gpointer user_data)
{
	JsonObject *answer = NULL;

	if (!error) {
		g_autofree char *text = g_base64_encode(result->data, result->count);

		answer = json_object_new();
		json_object_set_int_member(answer, "count", (gint64)result->count);
		json_object_set_string_member(answer, "buf-b64", text);
		json_object_set_boolean_member(answer, "eof", result->is_at_end);
	}
	sf_answer_object(user_data, answer, error);
}

static void on_written(const SfFileResult *result, const GError *error, gpointer user_data)
{
	JsonObject *answer = NULL;

	if (!error) {
		answer = json_object_new();
		json_object_set_int_member(answer, "count", (gint64)result->count);
		json_object_set_boolean_member(answer, "eof", false);
	}
	sf_answer_object(user_data, answer, error);
}

static void on_sought(const SfFileResult *result, const GError *error, gpointer user_data)
{
	JsonObject *answer = NULL;

	if (!error) {
		answer = json_object_new();
		json_object_set_int_member(answer, "position", result->position);
		json_object_set_boolean_member(answer, "eof", false);
	}
	sf_answer_object(user_data, answer, error);
}

static void run_open(SfCall *call, const SfArguments *arguments, gpointer user_data)
{
	const char *mode = sf_arguments_get_string(arguments, "mode");

	sf_files_open(files_of(user_data), sf_arguments_get_string(arguments, "path"),
		      mode ? mode : "r", on_opened, call);
}

static void run_close(SfCall *call, const SfArguments *arguments, gpointer user_data)
{
	sf_files_close(files_of(user_data), sf_arguments_get_integer(arguments, "handle"), on_done,
		       call);
}

/* How many bytes are meant: the argument, or @otherwise; not more than @most. */
static bool find_count(const SfArguments *arguments, gint64 otherwise, gint64 most,
		       size_t *out_count, GError **error)
{
	gint64 count = sf_arguments_has(arguments, "count")
			       ? sf_arguments_get_integer(arguments, "count")
			       : otherwise;

	if (count < 0 || count > most)
		return sf_throw(error, "value '%" G_GINT64_FORMAT "' is invalid for argument count",
				count);
	*out_count = (size_t)count;
	return true;
}

static void run_read(SfCall *call, const SfArguments *arguments, gpointer user_data)
{
	gint64 handle = sf_arguments_get_integer(arguments, "handle");
	g_autoptr(GError) error = NULL;
	size_t count = 0;

	if (sf_files_has(files_of(user_data), handle, &error) &&
	    find_count(arguments, DEFAULT_COUNT, MAX_COUNT, &count, &error))
		sf_files_read(files_of(user_data), handle, count, on_read, call);
	else
		sf_call_fail(call, error);
}

static void run_write(SfCall *call, const SfArguments *arguments, gpointer user_data)
{
	gint64 handle = sf_arguments_get_integer(arguments, "handle");
	g_autoptr(GError) error = NULL;
	g_autoptr(GBytes) bytes = NULL;
	size_t count = 0;

	if (sf_files_has(files_of(user_data), handle, &error))
		bytes = sf_base64_decode(sf_arguments_get_string(arguments, "buf-b64"), "buf-b64",
					 &error);
	if (bytes && find_count(arguments, (gint64)g_bytes_get_size(bytes),
				(gint64)g_bytes_get_size(bytes), &count, &error))
		sf_files_write(files_of(user_data), handle, g_bytes_get_data(bytes, NULL), count,
			       on_written, call);
	else
		sf_call_fail(call, error);
}

/* The protocol's numbers, whatever this system's are. */
static bool find_whence(const SfArguments *arguments, int *out_whence, GError **error)
{
	static const int codes[] = {SEEK_SET, SEEK_CUR, SEEK_END};
	const char *name = sf_arguments_get_string(arguments, "whence");
	gint64 number = sf_arguments_get_integer(arguments, "whence");

	for (int i = 0; name && whence_names[i]; i++)
		if (g_str_equal(name, whence_names[i]))
			number = i;
	if (number < 0 || number >= (gint64)G_N_ELEMENTS(codes))
		return sf_throw(error, "invalid whence code %" G_GINT64_FORMAT, number);
	*out_whence = codes[number];
	return true;
}

static void run_seek(SfCall *call, const SfArguments *arguments, gpointer user_data)
{
	gint64 handle = sf_arguments_get_integer(arguments, "handle");
	g_autoptr(GError) error = NULL;
	int whence = 0;

	if (sf_files_has(files_of(user_data), handle, &error) &&
	    find_whence(arguments, &whence, &error))
		sf_files_seek(files_of(user_data), handle,
			      sf_arguments_get_integer(arguments, "offset"), whence, on_sought,
			      call);
	else
		sf_call_fail(call, error);
}

/* What was written is the kernel's already: nothing of it waits in the agent. */
static void run_flush(SfCall *call, const SfArguments *arguments, gpointer user_data)
{
	g_autoptr(GError) error = NULL;

	if (sf_files_has(files_of(user_data), sf_arguments_get_integer(arguments, "handle"),
			 &error))
		sf_answer_nothing(call);
	else
		sf_call_fail(call, error);
}

#define FULL .profile = SF_PROFILE_FULL

const SfCommand sf_file_commands[] = {
	{.name = "guest-file-open", FULL, .arguments = open_arguments, .run = run_open},
	{.name = "guest-file-close", FULL, .arguments = handle_arguments, .run = run_close},
	{.name = "guest-file-read",
	 FULL,
	 .arguments = read_arguments,
	 .has_large_result = true,
	 .run = run_read},
	{.name = "guest-file-write", FULL, .arguments = write_arguments, .run = run_write},
	{.name = "guest-file-seek", FULL, .arguments = seek_arguments, .run = run_seek},
	{.name = "guest-file-flush", FULL, .arguments = handle_arguments, .run = run_flush},
	{NULL},
};
