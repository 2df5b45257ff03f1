/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Owns the nodes that this run adds to QEMU for files which are not yet, or no longer, part of the
 * guest: overlays while they are made, targets of backups from then until these are whole. Called
 * by host-qemu.c. */
#include "config.h"

#include "client/qemu-images.h"
#include "client/qmp-json.h"
#include "client/reply.h"
#include "protocol/client.h"
#include "protocol/error.h"
#include "protocol/lines.h"

#define LOOK_MS 50

typedef struct {
	SfQmp *qmp;
	const SfWish *wish;
	unsigned int wait_ms;
} Maker;

static char *file_node(const SfDisk *disk)
{
	return g_strconcat(disk->tag, "-f", NULL);
}

static bool close_node(SfQmp *qmp, const char *node, unsigned int wait_ms, GError **error)
{
	return sf_qmp_do(qmp, "blockdev-del", sf_qmp_object("node-name", node, NULL), wait_ms,
			 error);
}

/* Until something comes, or it is time to look again: QEMU may tell of a job's end before it
 * answers how far the job was a moment earlier. */
static bool wait_for_news(const Maker *maker, GError **error)
{
	g_autoptr(GError) problem = NULL;

	if (sf_qmp_wait(maker->qmp, sf_deadline_after(LOOK_MS), &problem) ||
	    g_error_matches(problem, SF_CLIENT_ERROR, SF_CLIENT_ERROR_TIMEOUT))
		return true;
	g_propagate_error(error, g_steal_pointer(&problem));
	return false;
}

static bool wait_for_job(Maker *maker, const char *name, GError **error)
{
	int64_t deadline_us = sf_deadline_after(maker->wait_ms);

	for (;;) {
		g_autoptr(JsonNode) jobs =
			sf_qmp_call(maker->qmp, "query-jobs", NULL, maker->wait_ms, error);
		JsonObject *job = jobs ? sf_qmp_find_job(jobs, name) : NULL;
		const char *problem = sf_reply_string(job, "error");

		if (!jobs)
			return false;
		if (!job || g_strcmp0(sf_reply_string(job, "status"), "concluded") == 0)
			return !problem || sf_throw(error, "%s", problem);
		if (g_get_monotonic_time() >= deadline_us)
			return sf_throw(error, "QEMU does not get it done in time");
		if (!wait_for_news(maker, error))
			return false;
	}
}

/* @options: (transfer full) */
static bool create(Maker *maker, const SfDisk *disk, JsonObject *options, GError **error)
{
	JsonObject *arguments = sf_qmp_object("job-id", disk->tag, NULL);
	bool is_good;

	json_object_set_object_member(arguments, "options", options);
	if (!sf_qmp_do(maker->qmp, "blockdev-create", arguments, maker->wait_ms, error))
		return false;
	is_good = wait_for_job(maker, disk->tag, error);
	if (!sf_qmp_do(maker->qmp, "job-dismiss", sf_qmp_object("id", disk->tag, NULL),
		       maker->wait_ms, is_good ? error : NULL))
		return false;
	return is_good;
}

static JsonObject *image_options(const Maker *maker, const SfDisk *disk)
{
	g_autofree char *file = file_node(disk);
	JsonObject *options = sf_qmp_object("driver", "qcow2", "file", file, NULL);

	json_object_set_int_member(options, "size", disk->size);
	if (!maker->wish->backup) {
		json_object_set_string_member(options, "backing-file", disk->image);
		json_object_set_string_member(options, "backing-fmt", disk->format);
	}
	return options;
}

/* Of a backup the node stays open as the job's target; an overlay is opened by the transaction,
 * with all the settings of the disk that it covers. */
static bool format(Maker *maker, SfDisk *disk, GError **error)
{
	bool is_raw = maker->wish->is_raw;
	g_autofree char *file = file_node(disk);

	if (!is_raw && !create(maker, disk, image_options(maker, disk), error))
		return false;
	if (maker->wish->backup)
		return sf_qmp_do(maker->qmp, "blockdev-add",
				 sf_qmp_object("driver", is_raw ? "raw" : "qcow2", "node-name",
					       disk->tag, "file", file, NULL),
				 maker->wait_ms, error);
	if (!close_node(maker->qmp, file, maker->wait_ms, error))
		return false;
	disk->is_open = false;
	return true;
}

static bool make_image(Maker *maker, SfDisk *disk, GError **error)
{
	JsonObject *options = sf_qmp_object("driver", "file", "filename", disk->target, NULL);
	g_autofree char *file = file_node(disk);

	json_object_set_int_member(options, "size", maker->wish->is_raw ? disk->size : 0);
	if (!create(maker, disk, options, error) ||
	    !sf_qmp_do(maker->qmp, "blockdev-add",
		       sf_qmp_object("driver", "file", "node-name", file, "filename", disk->target,
				     NULL),
		       maker->wait_ms, error))
		return false;
	disk->is_open = true;
	return format(maker, disk, error);
}

bool sf_qemu_make_images(SfQmp *qmp, GPtrArray *disks, const SfWish *wish, const char *stamp,
			 unsigned int wait_ms, GError **error)
{
	Maker maker = {.qmp = qmp, .wish = wish, .wait_ms = wait_ms};
	unsigned int run = g_random_int() & 0xFFFF; /* there may be two in one second */

	for (guint i = 0; i < disks->len; i++) {
		SfDisk *disk = g_ptr_array_index(disks, i);

		/* QEMU's names have 31 characters at most. */
		disk->tag = g_strdup_printf("snap-%s-%04x-%u", stamp, run, i);
		if (!make_image(&maker, disk, error)) {
			g_prefix_error(error, "'%s': ", disk->target);
			return false;
		}
	}
	return true;
}

/* Where it was made halfway only, there is no node above the file's. */
static bool close_image(SfQmp *qmp, SfDisk *disk, unsigned int wait_ms, GError **error)
{
	g_autofree char *file = file_node(disk);
	g_autoptr(GError) problem = NULL;

	(void)!close_node(qmp, disk->tag, wait_ms, &problem);
	if (!close_node(qmp, file, wait_ms, error))
		return false;
	disk->is_open = false;
	return true;
}

bool sf_qemu_close_images(SfQmp *qmp, GPtrArray *disks, unsigned int wait_ms, GError **error)
{
	bool is_good = true;

	for (guint i = 0; i < disks->len; i++) {
		SfDisk *disk = g_ptr_array_index(disks, i);

		if (disk->is_open)
			is_good &= close_image(qmp, disk, wait_ms, is_good ? error : NULL);
	}
	return is_good;
}
