/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Owns the files that a snapshot goes to, until QEMU has them: their names, their making and their
 * removal. Invariant: no file is written or removed that this run did not make with O_EXCL. The
 * hosts call it. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "client/format.h"
#include "client/target.h"
#include "protocol/error.h"

#define OVERLAY_ROOM_MIN (INT64_C(1) << 30)
#define STAMP_PATTERN "-[0-9]{8}T[0-9]{6}$"

/* "/images/vm-20260101T000000.qcow2" is "vm": names do not grow with each snapshot. */
static char *stem_of(const char *path)
{
	g_autofree char *name = g_path_get_basename(path);
	g_autoptr(GRegex) stamp = g_regex_new(STAMP_PATTERN, 0, 0, NULL);
	char *dot = strrchr(name, '.');

	if (dot && dot != name)
		*dot = '\0';
	return g_regex_replace_literal(stamp, name, -1, 0, "", 0, NULL);
}

static char *beside_image(const SfDisk *disk, const char *stamp, const char *suffix, GError **error)
{
	g_autofree char *folder = g_path_get_dirname(disk->image);
	g_autofree char *stem = stem_of(disk->image);

	if (!g_path_is_absolute(disk->image) || g_str_has_prefix(disk->image, "/dev/")) {
		sf_throw(error,
			 "the image of '%s', '%s', is no file beside which another could be put: "
			 "say --disk %s=FILE",
			 disk->name, disk->image, disk->name);
		return NULL;
	}
	return g_strdup_printf("%s/%s-%s.%s", folder, stem, stamp, suffix);
}

static char *in_folder(const SfDisk *disk, const char *folder, const char *suffix)
{
	g_autofree char *name = g_strdelimit(g_strdup(disk->name), "/", '-');

	return g_strdup_printf("%s/%s.%s", folder, name, suffix);
}

static bool name_target(SfDisk *disk, const char *backup, const char *stamp, const char *suffix,
			GError **error)
{
	g_autofree char *given = g_steal_pointer(&disk->target);

	if (given)
		disk->target = g_canonicalize_filename(given, backup);
	else if (backup)
		disk->target = in_folder(disk, backup, suffix);
	else
		disk->target = beside_image(disk, stamp, suffix, error);
	if (disk->target && !g_utf8_validate(disk->target, -1, NULL))
		return sf_throw(error, "the name of the file for '%s' is not text in UTF-8",
				disk->name);
	return disk->target != NULL;
}

bool sf_targets_name(GPtrArray *disks, const char *backup, const char *stamp, const char *suffix,
		     GError **error)
{
	g_autofree char *folder = backup ? g_canonicalize_filename(backup, NULL) : NULL;

	for (guint i = 0; i < disks->len; i++) {
		if (!name_target(g_ptr_array_index(disks, i), folder, stamp, suffix, error))
			return false;
	}
	return true;
}

/* QEMU may run as somebody else than this program: whoever has the image shall have this too.
 * Where that cannot be, QEMU says so before anything is frozen. */
static void give_to_owner(const SfDisk *disk, int fd)
{
	struct stat image;

	if (stat(disk->image, &image) < 0 || !S_ISREG(image.st_mode))
		return;
	if (fchown(fd, image.st_uid, image.st_gid) == 0)
		(void)fchmod(fd, image.st_mode & 0666);
}

char *sf_targets_stamp(void)
{
	g_autoptr(GDateTime) now = g_date_time_new_now_local();

	return g_date_time_format(now, "%Y%m%dT%H%M%S");
}

static void note_made(SfDisk *disk, const struct stat *status)
{
	disk->is_made = true;
	disk->device = status->st_dev;
	disk->inode = status->st_ino;
}

void sf_targets_adopt(GPtrArray *disks)
{
	for (guint i = 0; i < disks->len; i++) {
		SfDisk *disk = g_ptr_array_index(disks, i);
		struct stat status;

		if (lstat(disk->target, &status) == 0 && S_ISREG(status.st_mode))
			note_made(disk, &status);
	}
}

static bool make(SfDisk *disk, GError **error)
{
	int fd = open(disk->target, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	struct stat status;

	if (fd < 0 && errno == EEXIST)
		return sf_throw(error, "'%s' is there already, and is never overwritten",
				disk->target);
	if (fd < 0)
		return sf_throw_errno(error, "make '%s'", disk->target);
	if (fstat(fd, &status) == 0) {
		note_made(disk, &status);
		give_to_owner(disk, fd);
	}
	close(fd);
	return disk->is_made || sf_throw(error, "'%s' cannot be looked at", disk->target);
}

bool sf_targets_make(GPtrArray *disks, GError **error)
{
	for (guint i = 0; i < disks->len; i++) {
		if (!make(g_ptr_array_index(disks, i), error)) {
			sf_targets_remove(disks);
			return false;
		}
	}
	return true;
}

/* What somebody has put in its place is not ours. */
static void remove_one(SfDisk *disk)
{
	struct stat status;

	if (disk->is_made && lstat(disk->target, &status) == 0 && status.st_dev == disk->device &&
	    status.st_ino == disk->inode)
		unlink(disk->target);
	disk->is_made = false;
}

void sf_targets_remove(GPtrArray *disks)
{
	for (guint i = 0; i < disks->len; i++)
		remove_one(g_ptr_array_index(disks, i));
}

/* How much the disks that go to the same filesystem as this one take. */
static int64_t need_beside(const GPtrArray *disks, const SfDisk *first)
{
	int64_t sum = 0;

	for (guint i = 0; i < disks->len; i++) {
		const SfDisk *disk = g_ptr_array_index(disks, i);

		if (disk->device == first->device)
			sum += disk->used > 0 ? disk->used : disk->size;
	}
	return sum;
}

static bool is_first_there(const GPtrArray *disks, guint index)
{
	const SfDisk *disk = g_ptr_array_index(disks, index);

	for (guint i = 0; i < index; i++) {
		const SfDisk *other = g_ptr_array_index(disks, i);

		if (other->device == disk->device)
			return false;
	}
	return true;
}

void sf_targets_warn(SfInvocation *invocation, GPtrArray *disks, bool is_backup)
{
	for (guint i = 0; i < disks->len; i++) {
		const SfDisk *disk = g_ptr_array_index(disks, i);
		int64_t need = is_backup ? need_beside(disks, disk) : OVERLAY_ROOM_MIN;
		struct statvfs room;
		g_autofree char *left = NULL;

		if (!is_first_there(disks, i) || statvfs(disk->target, &room) < 0 ||
		    room.f_bavail > (uint64_t)need / room.f_frsize)
			continue;
		left = g_format_size((uint64_t)room.f_bavail * room.f_frsize);
		sf_say(invocation, "warning: only %s free where '%s' is", left, disk->target);
	}
}
