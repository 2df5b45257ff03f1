/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* agent/blockdev: what sysfs shows of devices, and which names lead to them. */
#include "config.h"

#include <stdio.h>

#include "agent/blockdev.h"
#include "qa/unit/fake-machine.h"

#define TABLE                                     \
	"20 1 253:1 / / rw - ext4 /dev/vda1 rw\n" \
	"21 20 0:6 / /dev rw - devtmpfs devtmpfs rw\n"

typedef struct {
	FakeMachine *machine;
	SfBlockdevs *blockdevs;
	SfMounts *mounts;
} Fixture;

static void set_up(Fixture *fixture, gconstpointer data)
{
	fixture->machine = fake_machine_new(TABLE);
	fixture->blockdevs = sf_blockdevs_new(fixture->machine->sys, fixture->machine->dev);
	fixture->mounts = sf_mounts_read(fixture->machine->mountinfo, NULL);
	g_assert_nonnull(fixture->mounts);
}

static void tear_down(Fixture *fixture, gconstpointer data)
{
	sf_blockdevs_free(fixture->blockdevs);
	sf_mounts_free(fixture->mounts);
	fake_machine_free(fixture->machine);
}

static const SfBlockdev *get(Fixture *fixture, guint major, guint minor)
{
	return sf_blockdevs_get(fixture->blockdevs, SF_DEVICE(major, minor));
}

static void assert_below(const SfBlockdev *blockdev, guint index, guint major, guint minor)
{
	g_assert_cmpuint(blockdev->below->len, >, index);
	g_assert_cmpuint(g_array_index(blockdev->below, SfDevice, index), ==,
			 SF_DEVICE(major, minor));
}

static void test_graph(Fixture *fixture, gconstpointer data)
{
	FakeMachine *machine = fixture->machine;

	fake_machine_disk(machine, "vda", "253:0", "pci0000:00/virtio1");
	fake_machine_partition(machine, "vda", "vda1", "253:1");
	fake_machine_disk(machine, "dm-0", "252:0", "virtual");
	fake_machine_slave(machine, "dm-0", "vda1");
	fake_machine_loop(machine, "loop0", "7:0", "/srv/a b\nc");

	g_assert_cmpuint(get(fixture, 253, 0)->below->len, ==, 0);
	g_assert_false(get(fixture, 253, 0)->backing_hidden);
	assert_below(get(fixture, 253, 1), 0, 253, 0);
	g_assert_cmpstr(get(fixture, 253, 1)->name, ==, "vda1");
	assert_below(get(fixture, 252, 0), 0, 253, 1);
	g_assert_false(get(fixture, 252, 0)->backing_hidden);
	g_assert_cmpstr(get(fixture, 7, 0)->backing_file, ==, "/srv/a b\nc");
	g_assert_false(get(fixture, 7, 0)->backing_hidden);
}

static void test_read_once(Fixture *fixture, gconstpointer data)
{
	const SfBlockdev *first;

	fake_machine_disk(fixture->machine, "vda", "253:0", "pci0000:00/virtio1");
	first = get(fixture, 253, 0);
	g_assert_true(first == get(fixture, 253, 0));
}

static void test_hidden(Fixture *fixture, gconstpointer data)
{
	static const struct {
		const char *name, *number, *bus;
		bool is_hidden;
	} cases[] = {
		{"nbd0", "43:0", "virtual", true},
		{"ublkb1", "259:1", "virtual", true},
		{"rbd12", "259:2", "virtual", true},
		{"drbd0", "147:0", "virtual", true},
		{"zram0", "259:3", "virtual", true},
		{"zd16", "230:16", "virtual", true},
		{"sda", "8:0", "platform/host3/session1/target3:0:0/3:0:0:0", true},
		{"sdb", "8:16", "pci0000:00/host2/target2:0:0/2:0:0:0", false},
		{"sdc", "8:32", "tcm_loop_0/tcm_loop_adapter_0/host4", true},
		{"nvme1n1", "259:5", "virtual/nvme-fabrics/ctl/nvme1/", true},
		{"vdb", "253:16", "virtual/vduse/disk/virtio9", true},
		/* Stacked, but on nothing that shows; a loop device without its file. */
		{"dm-5", "252:5", "virtual", true},
		{"md127", "9:127", "virtual", true},
		{"bcache0", "250:0", "virtual", true},
		{"loop9", "7:9", "virtual", true},
		/* Names that only begin alike. */
		{"nbdx", "260:0", "virtual", false},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		guint major, minor;

		fake_machine_disk(fixture->machine, cases[i].name, cases[i].number, cases[i].bus);
		g_assert_cmpint(sscanf(cases[i].number, "%u:%u", &major, &minor), ==, 2);
		g_test_message("%s", cases[i].name);
		g_assert_cmpint(get(fixture, major, minor)->backing_hidden, ==, cases[i].is_hidden);
	}
	g_assert_true(get(fixture, 199, 1)->backing_hidden);
	g_assert_cmpuint(get(fixture, 199, 1)->below->len, ==, 0);
}

/* With several paths the disk hangs below the subsystem; the controllers tell how they come in. */
static void test_nvme_subsystem(Fixture *fixture, gconstpointer data)
{
	FakeMachine *machine = fixture->machine;
	const char *local = "virtual/nvme-subsystem/nvme-subsys0/";
	const char *remote = "virtual/nvme-subsystem/nvme-subsys1/";

	fake_machine_write(machine, "sys/devices/pci0000:00/nvme/nvme0/dev", "");
	fake_machine_write(machine, "sys/devices/virtual/nvme-fabrics/ctl/nvme1/dev", "");
	fake_machine_disk(machine, "nvme0n1", "259:0", local);
	fake_machine_disk(machine, "nvme1n1", "259:1", remote);
	fake_machine_link(machine, "sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0",
			  "../../../pci0000:00/nvme/nvme0");
	fake_machine_link(machine, "sys/devices/virtual/nvme-subsystem/nvme-subsys1/nvme1",
			  "../../nvme-fabrics/ctl/nvme1");

	/* A controller that has just gone might have been either. */
	fake_machine_disk(machine, "nvme2n1", "259:2", "virtual/nvme-subsystem/nvme-subsys2/");
	fake_machine_link(machine, "sys/devices/virtual/nvme-subsystem/nvme-subsys2/nvme2",
			  "/nonexistent");
	/* And one without any. */
	fake_machine_disk(machine, "nvme3n1", "259:3", "virtual/nvme-subsystem/nvme-subsys3/");

	g_assert_false(get(fixture, 259, 0)->backing_hidden);
	g_assert_true(get(fixture, 259, 1)->backing_hidden);
	g_assert_true(get(fixture, 259, 2)->backing_hidden);
	g_assert_true(get(fixture, 259, 3)->backing_hidden);
}

static SfDevice find(Fixture *fixture, const char *path)
{
	SfDevice device = 0;

	if (!sf_blockdevs_find_path(fixture->blockdevs, path, fixture->mounts, &device))
		g_assert_cmpuint(device, ==, 0);
	return device;
}

static void test_names(Fixture *fixture, gconstpointer data)
{
	FakeMachine *machine = fixture->machine;

	fake_machine_disk(machine, "vda", "253:0", "pci0000:00/virtio1");
	fake_machine_disk(machine, "cciss!c0d0", "104:0", "pci0000:00");
	fake_machine_disk(machine, "dm-3", "252:3", "virtual");
	fake_machine_attribute(machine, "dm-3", "dm/name", "vg-my lv\n");
	fake_machine_write(machine, "dev/vg/lv", "a file, and no device");

	g_assert_cmpuint(find(fixture, "/dev/vda"), ==, SF_DEVICE(253, 0));
	g_assert_cmpuint(find(fixture, "/dev/cciss/c0d0"), ==, SF_DEVICE(104, 0));
	g_assert_cmpuint(find(fixture, "/dev/mapper/vg-my lv"), ==, SF_DEVICE(252, 3));
	g_assert_cmpuint(find(fixture, "/dev/mapper/other"), ==, 0);
	g_assert_cmpuint(find(fixture, "/dev/vg/lv"), ==, 0);
	g_assert_cmpuint(find(fixture, "/dev/../vda"), ==, 0);
	g_assert_cmpuint(find(fixture, "/dev/"), ==, 0);
	g_assert_cmpuint(find(fixture, "tmpfs"), ==, 0);
	g_assert_cmpuint(find(fixture, "host:/export"), ==, 0);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add("/blockdev/graph", Fixture, NULL, set_up, test_graph, tear_down);
	g_test_add("/blockdev/read-once", Fixture, NULL, set_up, test_read_once, tear_down);
	g_test_add("/blockdev/hidden", Fixture, NULL, set_up, test_hidden, tear_down);
	g_test_add("/blockdev/nvme-subsystem", Fixture, NULL, set_up, test_nvme_subsystem,
		   tear_down);
	g_test_add("/blockdev/names", Fixture, NULL, set_up, test_names, tear_down);
	return g_test_run();
}
