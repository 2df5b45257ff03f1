/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * agent/backing: what a real loop device answers, where this machine lets us attach one. Nothing is
 * mounted, and the device goes away with its last fd. What needs no device is in test-plan.
 */
#include "config.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "agent/backing.h"
#include "qa/unit/fake-machine.h"

typedef struct {
	char *file;
	int fd;          /* of the loop device; -1 where there is none to be had */
	SfDevice device; /* its number */
	SfDevice on;     /* the number of the filesystem that the file is on */
	FakeMachine *machine;
} Fixture;

static int attach(Fixture *fixture, int file_fd)
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	int number = control < 0 ? -1 : ioctl(control, LOOP_CTL_GET_FREE);
	g_autofree char *path = g_strdup_printf("/dev/loop%d", number);
	struct loop_info64 info = {.lo_flags = LO_FLAGS_AUTOCLEAR};
	struct stat status;
	int fd;

	if (control >= 0)
		close(control);
	fd = number < 0 ? -1 : open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -1;
	if (ioctl(fd, LOOP_SET_FD, file_fd) < 0) {
		close(fd);
		return -1;
	}
	g_assert_cmpint(ioctl(fd, LOOP_SET_STATUS64, &info), ==, 0);
	g_assert_cmpint(fstat(fd, &status), ==, 0);
	fixture->device = SF_DEVICE(major(status.st_rdev), minor(status.st_rdev));
	return fd;
}

static void set_up(Fixture *fixture, gconstpointer data)
{
	struct stat status;
	int file_fd = g_file_open_tmp("snapfreeze-XXXXXX", &fixture->file, NULL);

	g_assert_cmpint(file_fd, >=, 0);
	g_assert_cmpint(ftruncate(file_fd, 1024 * 1024), ==, 0);
	g_assert_cmpint(fstat(file_fd, &status), ==, 0);
	fixture->on = SF_DEVICE(major(status.st_dev), minor(status.st_dev));
	fixture->fd = attach(fixture, file_fd);
	close(file_fd);
}

static void tear_down(Fixture *fixture, gconstpointer data)
{
	if (fixture->fd >= 0)
		close(fixture->fd);
	g_unlink(fixture->file);
	g_free(fixture->file);
	g_clear_pointer(&fixture->machine, fake_machine_free);
}

/* A table in which the file's path leads to @fstype, and its real filesystem is somewhere else. */
static void assert_holder(Fixture *fixture, const char *fstype, const char *number, bool by_number)
{
	g_autofree char *table =
		g_strdup_printf("20 1 199:1 / / rw - ext4 /dev/x rw\n"
				"21 20 199:2 / /elsewhere rw - ext4 /dev/y rw\n"
				"22 20 %u:%u / /other rw - ext4 /dev/z rw\n"
				"23 20 %s / %s rw - %s source rw\n",
				SF_DEVICE_MAJOR(fixture->on), SF_DEVICE_MINOR(fixture->on), number,
				fixture->file, fstype);
	g_autoptr(SfMounts) mounts = NULL;
	g_autoptr(SfBlockdevs) blockdevs = sf_blockdevs_new("/sys", "/dev");
	g_autoptr(SfBackings) backings = NULL;
	const SfBacking *backing;

	fixture->machine = fake_machine_new(table);
	mounts = sf_mounts_read(fixture->machine->mountinfo, NULL);
	g_assert_nonnull(mounts);
	backings = sf_backings_new("/dev", mounts, blockdevs);
	backing = sf_backings_get(backings, fixture->device);
	g_assert_cmpint(backing->is_hidden, ==, !by_number);
	g_assert_cmpuint(backing->holders->len, ==, by_number ? 1 : 0);
	if (by_number)
		g_assert_cmpuint(g_array_index(backing->holders, SfDevice, 0), ==, fixture->on);
}

static bool is_attached(Fixture *fixture)
{
	if (fixture->fd < 0)
		g_test_skip("no loop device can be attached here");
	else if (SF_DEVICE_MAJOR(fixture->on) == 0)
		g_test_skip("the folder for temporary files is not on a block device");
	else
		return true;
	return false;
}

/* What the loop device says is believed rather than what its path leads to by now. */
static void test_by_number(Fixture *fixture, gconstpointer data)
{
	if (is_attached(fixture))
		assert_holder(fixture, "ext4", "199:3", true);
}

/* It is not asked where the answer may never come. */
static void test_not_asked(Fixture *fixture, gconstpointer data)
{
	if (is_attached(fixture))
		assert_holder(fixture, "nfs4", "0:99", false);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add("/backing/by-number", Fixture, NULL, set_up, test_by_number, tear_down);
	g_test_add("/backing/not-asked", Fixture, NULL, set_up, test_not_asked, tear_down);
	return g_test_run();
}
