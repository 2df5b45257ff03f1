/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* guest-get-host-name, guest-get-timezone, guest-get-time. */
#include "config.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/commands/commands.h"
#include "agent/freezer/capabilities.h"
#include "protocol/error.h"

#define TIMEOUT_MS 5000
#define MAX_HOST_NAME 256

static void run_host_name(SfCall *call, const SfArguments *arguments, gpointer user_data)
{
	char name[MAX_HOST_NAME + 1] = "";
	JsonObject *answer = json_object_new();

	/* It cannot fail: Linux has at most 64 letters. */
	if (gethostname(name, MAX_HOST_NAME) == 0)
		json_object_set_string_member(answer, "host-name", name);
	sf_answer_object(call, answer, NULL);
}

static void run_get_time(SfCall *call, const SfArguments *arguments, gpointer user_data)
{
	sf_answer_integer(call, g_get_real_time() * 1000);
}

typedef struct {
	gint64 offset;
	char zone[64]; /* "": not known */
} Timezone;

/* In the child, for libc reads /etc/localtime, and anew, for it may have changed. */
static void find_timezone(int fd, gpointer work_data)
{
	Timezone found = {0};
	time_t now = time(NULL);
	struct tm local;

	sf_capabilities_keep(0);
	tzset();
	if (!localtime_r(&now, &local))
		return;
	found.offset = local.tm_gmtoff;
	if (local.tm_zone)
		g_strlcpy(found.zone, local.tm_zone, sizeof(found.zone));
	sf_errand_write(fd, &found, sizeof(found));
}

static void on_timezone(const GByteArray *output, bool is_whole, gpointer user_data)
{
	Timezone found;
	g_autoptr(GError) error = NULL;
	JsonObject *answer;

	if (output->len != sizeof(found)) {
		sf_throw(&error, "the time zone cannot be read");
		sf_call_fail(user_data, error);
		return;
	}
	memcpy(&found, output->data, sizeof(found));
	answer = json_object_new();
	if (*found.zone)
		json_object_set_string_member(answer, "zone", found.zone);
	json_object_set_int_member(answer, "offset", found.offset);
	sf_answer_object(user_data, answer, NULL);
}

static void run_timezone(SfCall *call, const SfArguments *arguments, gpointer user_data)
{
	sf_errand_start(((SfContext *)user_data)->errands, find_timezone, NULL, TIMEOUT_MS,
			on_timezone, call);
}

const SfCommand sf_host_commands[] = {
	{.name = "guest-get-host-name", .profile = SF_PROFILE_STANDARD, .run = run_host_name},
	{.name = "guest-get-timezone", .profile = SF_PROFILE_STANDARD, .run = run_timezone},
	{.name = "guest-get-time", .profile = SF_PROFILE_STANDARD, .run = run_get_time},
	{NULL},
};
