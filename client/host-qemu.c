/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Takes the snapshot through QEMU's monitor. The files and their formats are made before the
 * freeze, so that within it only the switch is left, in one transaction: all disks or none.
 * Invariant: a file that the guest may write to is never removed, and every node and job that this
 * run added is taken away again. Called by host.c. */
#include "config.h"

#include <string.h>

#include "client/host.h"
#include "client/qemu-images.h"
#include "client/qmp-json.h"
#include "client/qmp.h"
#include "client/reply.h"
#include "client/target.h"
#include "protocol/error.h"
#include "protocol/lines.h"

#define UNDO_MS 10000
#define PROGRESS_US (500 * 1000)

typedef struct {
	SfHost host;
	SfQmp *qmp; /* (nullable): not connected, or lost */
	SfHostState state;
	bool is_asked;      /* the transaction was sent */
	bool asks_progress; /* query-jobs was sent and not answered */
	int64_t asked_us;   /* when */
	char *problem;      /* (nullable): why a job failed */
} Qemu;

static unsigned int wait_ms(const Qemu *qemu)
{
	return sf_invocation_wait_ms(qemu->host.invocation, SF_WAIT_SHORT_MS);
}

static SfDisk *disk_at(const Qemu *qemu, guint index)
{
	return g_ptr_array_index(qemu->host.disks, index);
}

/* ---- what comes by itself: the ends of jobs */

static void on_event(const char *event, JsonObject *data, gpointer user_data)
{
	Qemu *qemu = user_data;
	bool is_completed = g_str_equal(event, "BLOCK_JOB_COMPLETED");
	const char *job = sf_reply_string(data, "device");
	const char *problem = sf_reply_string(data, "error");

	if (!is_completed && !g_str_equal(event, "BLOCK_JOB_CANCELLED"))
		return;
	for (guint i = 0; i < qemu->host.disks->len; i++) {
		SfDisk *disk = disk_at(qemu, i);

		if (!disk->is_busy || g_strcmp0(disk->tag, job) != 0)
			continue;
		disk->is_busy = false;
		/* Where one fails the others are cancelled: its reason is the one to tell. */
		if (problem || (!is_completed && !qemu->problem)) {
			g_free(qemu->problem);
			qemu->problem = g_strdup_printf("the backup of '%s' failed: %s", disk->name,
							problem ? problem : "it was cancelled");
		}
	}
}

static bool is_copying(const Qemu *qemu)
{
	for (guint i = 0; i < qemu->host.disks->len; i++) {
		if (disk_at(qemu, i)->is_busy)
			return true;
	}
	return false;
}

/* ---- before the freeze */

/* "unix:PATH,server=on", or "disconnected:unix:…". */
static bool is_its_socket(const char *filename, const char *path)
{
	const char *at = filename ? strstr(filename, "unix:") : NULL;
	size_t len = strlen(path);

	return at && strncmp(at + strlen("unix:"), path, len) == 0 &&
	       (at[strlen("unix:") + len] == ',' || at[strlen("unix:") + len] == '\0');
}

/* One guest frozen and another one's disks taken would look like a success. */
static void warn_of_another_machine(Qemu *qemu)
{
	const char *socket = qemu->host.invocation->socket;
	const char *path = g_str_has_prefix(socket, "unix:") ? socket + strlen("unix:") : socket;
	g_autofree char *absolute = g_canonicalize_filename(path, NULL);
	g_autoptr(JsonNode) reply = NULL;
	JsonArray *devices;

	if (g_str_has_prefix(socket, "vsock:"))
		return;
	reply = sf_qmp_call(qemu->qmp, "query-chardev", NULL, wait_ms(qemu), NULL);
	devices = sf_qmp_list(reply);
	for (unsigned int i = 0; i < sf_reply_length(devices); i++) {
		const char *name = sf_reply_string(sf_reply_object_at(devices, i), "filename");

		if (is_its_socket(name, path) || is_its_socket(name, absolute))
			return;
	}
	if (reply)
		sf_say(qemu->host.invocation,
		       "warning: this QEMU has no character device on '%s': are agent and monitor "
		       "of the same machine?",
		       path);
}

static bool find_disks(Qemu *qemu, GError **error)
{
	g_autoptr(JsonNode) reply =
		sf_qmp_call(qemu->qmp, "query-block", NULL, wait_ms(qemu), error);
	g_autoptr(GPtrArray) left_out = NULL;

	if (!reply)
		return false;
	g_ptr_array_unref(qemu->host.disks);
	qemu->host.disks = sf_disks_from_qemu(sf_qmp_list(reply), &left_out);
	for (guint i = 0; !qemu->host.wish->disks && i < left_out->len; i++)
		sf_say(qemu->host.invocation, "left out: %s",
		       (const char *)g_ptr_array_index(left_out, i));
	return sf_disks_choose(qemu->host.disks, qemu->host.wish->disks, error);
}

/* An overlay names its image for whoever opens it next; QEMU's folder is not known to that one. */
static bool check_images(const Qemu *qemu, GError **error)
{
	for (guint i = 0; i < qemu->host.disks->len; i++) {
		const SfDisk *disk = disk_at(qemu, i);

		if (!g_path_is_absolute(disk->image) && !strchr(disk->image, ':'))
			return sf_throw(error,
					"the image of '%s' is named '%s', which an overlay "
					"elsewhere cannot refer to: start QEMU with an absolute "
					"name",
					disk->name, disk->image);
	}
	return true;
}

static bool prepare(SfHost *host, GError **error)
{
	Qemu *qemu = (Qemu *)host;
	const SfWish *wish = host->wish;
	g_autofree char *stamp = sf_targets_stamp();

	qemu->qmp = sf_qmp_connect(wish->qmp, wait_ms(qemu), error);
	if (!qemu->qmp)
		return false;
	host->fd = sf_qmp_fd(qemu->qmp);
	sf_qmp_listen(qemu->qmp, on_event, qemu);
	warn_of_another_machine(qemu);
	if (!find_disks(qemu, error) || (!wish->backup && !check_images(qemu, error)) ||
	    !sf_targets_name(host->disks, wish->backup, stamp, wish->is_raw ? "raw" : "qcow2",
			     error) ||
	    !sf_targets_make(host->disks, error))
		return false;
	sf_targets_warn(host->invocation, host->disks, wish->backup != NULL);
	return sf_qemu_make_images(qemu->qmp, host->disks, wish, stamp, wait_ms(qemu), error);
}

/* ---- while frozen */

static JsonObject *action_on(const Qemu *qemu, const SfDisk *disk)
{
	bool is_backup = qemu->host.wish->backup != NULL;
	JsonObject *action = json_object_new();
	JsonObject *data = is_backup ? sf_qmp_object("job-id", disk->tag, "device", disk->node,
						     "target", disk->tag, "sync", "full", NULL)
				     : sf_qmp_object("node-name", disk->node, "snapshot-file",
						     disk->target, "snapshot-node-name", disk->tag,
						     "format", "qcow2", "mode", "existing", NULL);

	json_object_set_string_member(action, "type",
				      is_backup ? "blockdev-backup" : "blockdev-snapshot-sync");
	json_object_set_object_member(action, "data", data);
	return action;
}

static bool begin(SfHost *host, GError **error)
{
	Qemu *qemu = (Qemu *)host;
	JsonObject *arguments = json_object_new();
	JsonArray *actions = json_array_new();

	for (guint i = 0; i < host->disks->len; i++) {
		json_array_add_object_element(actions, action_on(qemu, disk_at(qemu, i)));
		disk_at(qemu, i)->is_busy = host->wish->backup != NULL;
	}
	json_object_set_array_member(arguments, "actions", actions);
	if (host->wish->backup)
		json_object_set_object_member(arguments, "properties",
					      sf_qmp_object("completion-mode", "grouped", NULL));
	qemu->is_asked = true;
	return sf_qmp_send(qemu->qmp, "transaction", arguments, wait_ms(qemu), error);
}

static SfHostState fail(Qemu *qemu, GError **error)
{
	bool is_refused = error && *error && (*error)->domain == SF_ERROR;

	if (!is_refused) {
		g_clear_pointer(&qemu->qmp, sf_qmp_free);
		qemu->host.fd = -1;
	}
	return is_refused || qemu->state == SF_HOST_COPYING ? SF_HOST_FAILED : SF_HOST_LOST;
}

static SfHostState take_transaction(Qemu *qemu, GError **error)
{
	g_autoptr(JsonNode) reply = NULL;

	if (!sf_qmp_take(qemu->qmp, &reply, error)) {
		SfHostState state = fail(qemu, error);

		for (guint i = 0; state == SF_HOST_FAILED && i < qemu->host.disks->len; i++)
			disk_at(qemu, i)->is_busy = false;
		return state;
	}
	if (!reply)
		return SF_HOST_BUSY;
	return qemu->host.wish->backup ? SF_HOST_COPYING : SF_HOST_DONE;
}

/* ---- the copies of a backup */

static void take_progress(Qemu *qemu, JsonNode *jobs)
{
	double done = 0, total = 0;

	for (guint i = 0; i < qemu->host.disks->len; i++) {
		const SfDisk *disk = disk_at(qemu, i);
		JsonObject *job = sf_qmp_find_job(jobs, disk->tag);
		double current = disk->is_busy ? 0 : (double)disk->size, of = (double)disk->size;

		sf_reply_number(job, "current-progress", &current);
		sf_reply_number(job, "total-progress", &of);
		done += current;
		total += of;
	}
	if (total > 0)
		qemu->host.progress = CLAMP(done / total, 0, 1);
	qemu->asks_progress = false;
}

static SfHostState finish(Qemu *qemu, GError **error)
{
	qemu->host.progress = 1;
	if (qemu->problem)
		sf_throw(error, "%s", qemu->problem);
	else if (sf_qemu_close_images(qemu->qmp, qemu->host.disks, UNDO_MS, error))
		return SF_HOST_DONE;
	return SF_HOST_FAILED;
}

static SfHostState follow_copies(Qemu *qemu, GError **error)
{
	g_autoptr(JsonNode) reply = NULL;
	int64_t now_us = g_get_monotonic_time();

	if (!sf_qmp_take(qemu->qmp, &reply, error))
		return fail(qemu, error);
	if (reply)
		take_progress(qemu, reply);
	if (!is_copying(qemu))
		return finish(qemu, error);
	if (qemu->asks_progress || now_us - qemu->asked_us < PROGRESS_US)
		return SF_HOST_COPYING;
	qemu->asks_progress = true;
	qemu->asked_us = now_us;
	if (!sf_qmp_send(qemu->qmp, "query-jobs", NULL, wait_ms(qemu), error))
		return fail(qemu, error);
	return SF_HOST_COPYING;
}

static SfHostState step(SfHost *host, GError **error)
{
	Qemu *qemu = (Qemu *)host;

	if (qemu->state == SF_HOST_BUSY)
		qemu->state = take_transaction(qemu, error);
	else if (qemu->state == SF_HOST_COPYING)
		qemu->state = follow_copies(qemu, error);
	return qemu->state;
}

/* ---- taking it back */

static void cancel_copies(Qemu *qemu)
{
	int64_t deadline_us = sf_deadline_after(UNDO_MS);

	for (guint i = 0; i < qemu->host.disks->len; i++) {
		JsonObject *arguments;

		if (!disk_at(qemu, i)->is_busy)
			continue;
		arguments = sf_qmp_object("device", disk_at(qemu, i)->tag, NULL);
		json_object_set_boolean_member(arguments, "force", TRUE);
		(void)!sf_qmp_do(qemu->qmp, "block-job-cancel", arguments, UNDO_MS, NULL);
	}
	while (is_copying(qemu) && sf_qmp_wait(qemu->qmp, deadline_us, NULL))
		;
}

static bool undo(SfHost *host)
{
	Qemu *qemu = (Qemu *)host;
	bool is_unknown =
		qemu->is_asked && (qemu->state == SF_HOST_BUSY || qemu->state == SF_HOST_LOST);

	/* The transaction may still be carried out, and its files be what the guest writes to. */
	if (is_unknown || (!host->wish->backup && qemu->state == SF_HOST_DONE))
		return false;
	if (qemu->qmp) {
		cancel_copies(qemu);
		(void)!sf_qemu_close_images(qemu->qmp, host->disks, UNDO_MS, NULL);
	}
	sf_targets_remove(host->disks);
	return true;
}

static void free_qemu(SfHost *host)
{
	Qemu *qemu = (Qemu *)host;

	sf_qmp_free(qemu->qmp);
	g_free(qemu->problem);
	g_free(qemu);
}

static const SfHostClass qemu_class = {
	.prepare = prepare,
	.begin = begin,
	.step = step,
	.undo = undo,
	.free = free_qemu,
};

SfHost *sf_host_qemu_new(SfInvocation *invocation, const SfWish *wish)
{
	Qemu *qemu = g_new0(Qemu, 1);

	sf_host_init(&qemu->host, &qemu_class, invocation, wish);
	return &qemu->host;
}
