/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Builds small trees in the shape of /proc and /sys, links included, as the kernel has them. */
#include "config.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <unistd.h>

#include "qa/unit/fake-machine.h"

FakeMachine *fake_machine_new(const char *mountinfo)
{
	FakeMachine *machine = g_new0(FakeMachine, 1);
	g_autoptr(GError) error = NULL;

	machine->folder = g_dir_make_tmp("snapfreeze-XXXXXX", &error);
	g_assert_no_error(error);
	machine->mountinfo = g_build_filename(machine->folder, "mountinfo", NULL);
	machine->proc = g_build_filename(machine->folder, "proc", NULL);
	machine->sys = g_build_filename(machine->folder, "sys", NULL);
	machine->dev = g_build_filename(machine->folder, "dev", NULL);
	machine->devices = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	machine->source = (SfPlanSource){
		.mountinfo = machine->mountinfo,
		.proc = machine->proc,
		.sys = machine->sys,
		.dev = machine->dev,
	};
	fake_machine_mount(machine, mountinfo);
	return machine;
}

static void remove_tree(const char *folder)
{
	g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *path = g_build_filename(folder, name, NULL);

		if (g_file_test(path, G_FILE_TEST_IS_DIR) &&
		    !g_file_test(path, G_FILE_TEST_IS_SYMLINK))
			remove_tree(path);
		else
			g_unlink(path);
	}
	g_rmdir(folder);
}

void fake_machine_free(FakeMachine *machine)
{
	remove_tree(machine->folder);
	g_free(machine->folder);
	g_free(machine->mountinfo);
	g_free(machine->proc);
	g_free(machine->sys);
	g_free(machine->dev);
	g_hash_table_unref(machine->devices);
	g_free(machine);
}

void fake_machine_mount(FakeMachine *machine, const char *mountinfo)
{
	fake_machine_write(machine, "mountinfo", mountinfo);
}

static char *make_parent(FakeMachine *machine, const char *path)
{
	char *whole = g_build_filename(machine->folder, path, NULL);
	g_autofree char *parent = g_path_get_dirname(whole);

	g_assert_cmpint(g_mkdir_with_parents(parent, 0700), ==, 0);
	return whole;
}

void fake_machine_write(FakeMachine *machine, const char *path, const char *text)
{
	g_autofree char *whole = make_parent(machine, path);
	g_autoptr(GError) error = NULL;

	g_file_set_contents(whole, text, -1, &error);
	g_assert_no_error(error);
}

void fake_machine_link(FakeMachine *machine, const char *path, const char *target)
{
	g_autofree char *whole = make_parent(machine, path);

	g_assert_cmpint(symlink(target, whole), ==, 0);
}

void fake_machine_attribute(FakeMachine *machine, const char *device, const char *name,
			    const char *text)
{
	const char *folder = g_hash_table_lookup(machine->devices, device);
	g_autofree char *path = g_build_filename("sys", folder, name, NULL);

	g_assert_nonnull(folder);
	fake_machine_write(machine, path, text);
}

/* @folder: (transfer full): relative to sys */
static void add_device(FakeMachine *machine, const char *name, const char *number, char *folder)
{
	g_autofree char *by_number = g_strdup_printf("sys/dev/block/%s", number);
	g_autofree char *by_name = g_strdup_printf("sys/class/block/%s", name);
	g_autofree char *target = g_strdup_printf("../../%s", folder);
	g_autofree char *line = g_strdup_printf("%s\n", number);

	g_hash_table_insert(machine->devices, g_strdup(name), folder);
	fake_machine_attribute(machine, name, "dev", line);
	fake_machine_link(machine, by_number, target);
	fake_machine_link(machine, by_name, target);
}

void fake_machine_disk(FakeMachine *machine, const char *name, const char *number, const char *bus)
{
	const char *between = g_str_has_suffix(bus, "/") ? "" : "/block/";

	add_device(machine, name, number, g_strdup_printf("devices/%s%s%s", bus, between, name));
}

void fake_machine_partition(FakeMachine *machine, const char *disk, const char *name,
			    const char *number)
{
	const char *folder = g_hash_table_lookup(machine->devices, disk);

	g_assert_nonnull(folder);
	add_device(machine, name, number, g_strdup_printf("%s/%s", folder, name));
	fake_machine_attribute(machine, name, "partition", "1\n");
}

/* An absolute target does as well as the kernel's relative ones. */
static void link_to_device(FakeMachine *machine, const char *path, const char *device)
{
	const char *folder = g_hash_table_lookup(machine->devices, device);
	g_autofree char *target = NULL;

	g_assert_nonnull(folder);
	target = g_build_filename(machine->sys, folder, NULL);
	fake_machine_link(machine, path, target);
}

void fake_machine_slave(FakeMachine *machine, const char *upper, const char *lower)
{
	const char *folder = g_hash_table_lookup(machine->devices, upper);
	g_autofree char *path = g_build_filename("sys", folder, "slaves", lower, NULL);

	g_assert_nonnull(folder);
	link_to_device(machine, path, lower);
}

void fake_machine_loop(FakeMachine *machine, const char *name, const char *number, const char *file)
{
	g_autofree char *line = g_strdup_printf("%s\n", file);

	fake_machine_disk(machine, name, number, "virtual");
	fake_machine_attribute(machine, name, "loop/backing_file", line);
}

void fake_machine_btrfs(FakeMachine *machine, const char *uuid, const char *device)
{
	g_autofree char *path = g_build_filename("sys/fs/btrfs", uuid, "devices", device, NULL);

	link_to_device(machine, path, device);
}

void fake_machine_add_vda(FakeMachine *machine, int count)
{
	fake_machine_link(machine, "proc/self/ns/mnt", "mnt:[1]");
	fake_machine_disk(machine, "vda", "253:0", "pci0000:00/virtio1");
	for (int i = 1; i <= count; i++) {
		g_autofree char *name = g_strdup_printf("vda%d", i);
		g_autofree char *number = g_strdup_printf("253:%d", i);

		fake_machine_partition(machine, "vda", name, number);
	}
}
