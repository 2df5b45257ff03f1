/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* guest-fstrim: each superblock once, in a child, one after another: the disk has to work for it.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "agent/commands/commands.h"
#include "agent/disk-mounts.h"
#include "agent/freezer/capabilities.h"
#include "protocol/error.h"

/* How long one filesystem may take, a large and slow disk's too. */
#define TIMEOUT_MS (30 * 60 * 1000)

typedef struct {
	SfCall *call;
	SfErrands *errands;
	GPtrArray *paths; /* of char* */
	guint64 minimum;
	guint next; /* the path that the child begins with */
	JsonArray *results;
} Trim;

typedef enum { TRIM_DONE, TRIM_NOT_OPENED, TRIM_NOT_SUPPORTED, TRIM_FAILED } TrimOutcome;

typedef struct {
	TrimOutcome outcome;
	int error;
	guint64 trimmed, minimum;
} Reply;

static const SfArgumentSpec trim_arguments[] = {
	{"minimum", SF_ARGUMENT_INTEGER, true, NULL},
	{NULL},
};

static TrimOutcome trim(const char *path, struct fstrim_range *range)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	TrimOutcome outcome = TRIM_DONE;
	int reason;

	if (fd < 0)
		return TRIM_NOT_OPENED;
	if (ioctl(fd, FITRIM, range) < 0)
		outcome = errno == ENOTTY || errno == EOPNOTSUPP ? TRIM_NOT_SUPPORTED : TRIM_FAILED;
	reason = errno;
	close(fd);
	errno = reason;
	return outcome;
}

/* In the child. */
static void trim_all(int fd, gpointer work_data)
{
	const Trim *trims = work_data;

	sf_capabilities_keep(SF_CAPABILITY(CAP_SYS_ADMIN) | SF_CAPABILITY(CAP_DAC_READ_SEARCH));
	for (guint i = trims->next; i < trims->paths->len; i++) {
		struct fstrim_range range = {.len = G_MAXUINT64, .minlen = trims->minimum};
		Reply reply;

		memset(&reply, 0, sizeof(reply));
		reply.outcome = trim(g_ptr_array_index(trims->paths, i), &range);
		reply.error = errno;
		reply.trimmed = range.len;
		reply.minimum = range.minlen;
		if (!sf_errand_write(fd, &reply, sizeof(reply)))
			return;
	}
}

static void describe_error(JsonObject *result, const Reply *reply)
{
	g_autofree char *text = NULL;

	if (reply->outcome == TRIM_NOT_SUPPORTED)
		text = g_strdup("trim not supported");
	else
		text = g_strdup_printf("failed to %s: %s",
				       reply->outcome == TRIM_NOT_OPENED ? "open" : "trim",
				       g_strerror(reply->error));
	json_object_set_string_member(result, "error", text);
}

static void add_result(Trim *trims, const Reply *reply)
{
	JsonObject *result = json_object_new();

	json_object_set_string_member(result, "path", g_ptr_array_index(trims->paths, trims->next));
	if (reply->outcome == TRIM_DONE) {
		json_object_set_int_member(result, "trimmed", (gint64)reply->trimmed);
		json_object_set_int_member(result, "minimum", (gint64)reply->minimum);
	} else {
		describe_error(result, reply);
	}
	json_array_add_object_element(trims->results, result);
	trims->next++;
}

static void answer(Trim *trims)
{
	JsonObject *response = json_object_new();

	json_object_set_array_member(response, "paths", trims->results);
	sf_answer_object(trims->call, response, NULL);
	g_ptr_array_unref(trims->paths);
	g_free(trims);
}

static void on_trimmed(const GByteArray *output, bool is_whole, gpointer user_data)
{
	static const Reply late = {.outcome = TRIM_FAILED, .error = ETIMEDOUT};
	Trim *trims = user_data;

	for (guint i = 0; i < output->len / sizeof(Reply); i++) {
		Reply reply;

		memcpy(&reply, output->data + i * sizeof(reply), sizeof(reply));
		add_result(trims, &reply);
	}
	if (trims->next < trims->paths->len)
		add_result(trims, &late);
	if (trims->next < trims->paths->len)
		sf_errand_start(trims->errands, trim_all, trims, TIMEOUT_MS, on_trimmed, trims);
	else
		answer(trims);
}

/* A filesystem that is mounted read-only is left out: to trim is to write to its disk. */
static GPtrArray *find_paths(const SfMounts *mounts)
{
	g_autoptr(GPtrArray) chosen = sf_disk_mounts_new(mounts);
	GPtrArray *paths = g_ptr_array_new_with_free_func(g_free);

	for (guint i = 0; i < chosen->len; i++) {
		const SfMount *mount = g_ptr_array_index(chosen, i);
		const char *path = sf_disk_mounts_path(mounts, mount);

		if (path && !mount->superblock_read_only)
			g_ptr_array_add(paths, g_strdup(path));
	}
	return paths;
}

static void run_fstrim(SfCall *call, const SfArguments *arguments, gpointer user_data)
{
	SfContext *context = user_data;
	g_autoptr(GError) error = NULL;
	g_autoptr(SfMounts) mounts =
		sf_mounts_read(sf_session_settings(context->session)->source.mountinfo, &error);
	Trim *trims;

	if (!mounts) {
		sf_call_fail(call, error);
		return;
	}
	trims = g_new0(Trim, 1);
	trims->call = call;
	trims->errands = context->errands;
	trims->paths = find_paths(mounts);
	trims->minimum = (guint64)sf_arguments_get_integer(arguments, "minimum");
	trims->results = json_array_new();
	sf_errand_start(trims->errands, trim_all, trims, TIMEOUT_MS, on_trimmed, trims);
}

const SfCommand sf_fstrim_commands[] = {
	{.name = "guest-fstrim",
	 .arguments = trim_arguments,
	 .profile = SF_PROFILE_STANDARD,
	 .run = run_fstrim},
	{NULL},
};
