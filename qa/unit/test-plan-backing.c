/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* agent/plan: what lies on what, and the order that follows. */
#include "config.h"

#include "qa/unit/plan-rig.h"

static void test_loop(void)
{
	g_autoptr(FakeMachine) machine =
		rig_machine("22 20 7:0 / /img rw - ext4 /dev/loop0 rw\n"
			    "23 20 253:2 / /srv rw - xfs /dev/vda2 rw\n"
			    "24 20 7:1 / /deep rw - ext4 /dev/mapper/vg-lv rw\n");

	/* /img was mounted before /srv, where its file lies. */
	fake_machine_loop(machine, "loop0", "7:0", "/srv/images/a.img");
	/* And one on dm on a partition of a loop device whose file lies in /img. */
	fake_machine_loop(machine, "loop1", "7:64", "/img/b.img (deleted)");
	fake_machine_partition(machine, "loop1", "loop1p1", "7:65");
	fake_machine_disk(machine, "dm-0", "7:1", "virtual");
	fake_machine_slave(machine, "dm-0", "loop1p1");
	rig_assert_plan(machine, "/deep /img /srv / [0<1] [1<2]");
}

static void test_loop_holders(void)
{
	g_autoptr(FakeMachine) stacked = NULL;
	g_autoptr(FakeMachine) over_itself = NULL;
	g_autoptr(FakeMachine) memory = NULL;

	/* Two filesystems at the same path: the file may lie on either. */
	stacked = rig_machine("22 20 253:2 / /srv rw - xfs /dev/vda2 rw\n"
			      "25 20 253:2 / /srv2 rw - xfs /dev/vda2 rw\n"
			      "23 22 253:3 / /srv rw - ext4 /dev/vda3 rw\n"
			      "24 20 7:0 / /img rw - ext4 /dev/loop0 rw\n");
	fake_machine_loop(stacked, "loop0", "7:0", "/srv/a.img");
	rig_assert_plan(stacked, "/img /srv /srv2 / [0<1] [0<2]");

	/* Mounted over the folder that its own file is in, by a partition of it too. */
	over_itself = rig_machine("22 20 7:1 / /srv rw - ext4 /dev/loop0p1 rw\n");
	fake_machine_loop(over_itself, "loop0", "7:0", "/srv/a.img");
	fake_machine_partition(over_itself, "loop0", "loop0p1", "7:1");
	rig_assert_plan(over_itself, "/srv / [0<1]");

	/* In memory, or on what cannot be written: nothing to wait for. */
	memory = rig_machine("22 20 0:40 / /run rw - tmpfs tmpfs rw\n"
			     "23 20 253:2 / /ro ro - ext4 /dev/vda2 ro\n"
			     "24 20 7:0 / /a rw - ext4 /dev/loop0 rw\n"
			     "25 20 7:1 / /b rw - ext4 /dev/loop1 rw\n"
			     "26 20 0:41 / /live ro - overlay o ro,lowerdir=/x:/y\n"
			     "27 20 7:2 / /c rw - ext4 /dev/loop2 rw\n");
	fake_machine_loop(memory, "loop2", "7:2", "/live/c.img");
	fake_machine_loop(memory, "loop0", "7:0", "/run/a.img");
	fake_machine_loop(memory, "loop1", "7:1", "/ro/b.img");
	rig_assert_plan(memory, "/c /b /a /");
}

static void test_loop_on_overlay(void)
{
	g_autoptr(FakeMachine) machine =
		rig_machine("22 20 7:0 / /img rw - ext4 /dev/loop0 rw\n"
			    "23 20 253:2 / /srv rw - xfs /dev/vda2 rw\n"
			    "24 20 0:40 / /merged rw - overlay o rw,lowerdir=/l,upperdir=/srv/up\n"
			    "25 20 0:41 / /top rw - overlay o rw,lowerdir=/l,upperdir=/merged/x\n"
			    "26 20 7:1 / /rel rw - ext4 /dev/loop1 rw\n"
			    "27 20 0:42 / /relative rw - overlay o rw,upperdir=up\n");

	fake_machine_loop(machine, "loop0", "7:0", "/top/a.img");
	fake_machine_loop(machine, "loop1", "7:1", "/relative/b.img");
	rig_assert_plan(machine, "/rel! /img /srv / [1<2]");
}

static void test_hidden_backing(void)
{
	g_autoptr(FakeMachine) machine =
		rig_machine("22 20 7:0 / /img rw - ext4 /dev/loop0 rw\n"
			    "23 20 43:0 / /nbd rw - ext4 /dev/nbd0 rw\n"
			    "24 20 253:2 / /srv rw - ext4 /dev/vda2 rw\n"
			    "25 20 252:0 / /lv rw - ext4 /dev/mapper/lv rw\n"
			    "26 20 0:40 / /nfs rw - nfs4 host:/ rw\n"
			    "27 20 7:1 / /remote rw - ext4 /dev/loop1 rw\n"
			    "28 20 8:99 / /unknown rw - ext4 /dev/sdz rw\n");

	fake_machine_disk(machine, "nbd0", "43:0", "virtual");
	fake_machine_loop(machine, "loop0", "7:0", "/nbd/a.img");
	fake_machine_loop(machine, "loop1", "7:1", "/nfs/b.img");
	fake_machine_disk(machine, "dm-0", "252:0", "virtual");
	fake_machine_slave(machine, "dm-0", "nbd0");
	rig_assert_plan(machine, "/unknown! /remote! /lv! /srv /img /nbd! / [4<5]");
}

static void test_cycle(void)
{
	g_autoptr(FakeMachine) machine = rig_machine("22 20 7:0 / /a rw - ext4 /dev/loop0 rw\n"
						     "23 20 7:1 / /b rw - ext4 /dev/loop1 rw\n"
						     "24 20 7:2 / /c rw - ext4 /dev/loop2 rw\n");

	fake_machine_loop(machine, "loop0", "7:0", "/b/x.img");
	fake_machine_loop(machine, "loop1", "7:1", "/a/y.img");
	fake_machine_loop(machine, "loop2", "7:2", "/a/z.img");
	rig_assert_error(machine, NULL,
			 "there is no order to freeze in: each of these lies on the next: "
			 "'/b', '/a'");
}

/* A device that lies on itself: no endless descent. */
static void test_damaged_sysfs(void)
{
	g_autoptr(FakeMachine) machine = rig_machine("22 20 252:0 / /a rw - ext4 /dev/dm-0 rw\n");

	fake_machine_disk(machine, "dm-0", "252:0", "virtual");
	fake_machine_disk(machine, "dm-1", "252:1", "virtual");
	fake_machine_slave(machine, "dm-0", "dm-1");
	fake_machine_slave(machine, "dm-1", "dm-0");
	rig_assert_plan(machine, "/a! /");
}

static void test_btrfs(void)
{
	g_autoptr(FakeMachine) machine =
		rig_machine("22 20 0:50 /@a /a rw - btrfs /dev/vda2 rw,subvol=/@a\n"
			    "23 20 0:50 /@b /b rw - btrfs /dev/vda2 rw,subvol=/@b\n"
			    "24 20 253:4 / /srv rw - ext4 /dev/vda4 rw\n"
			    "25 20 0:51 / /lost rw - btrfs /dev/vdz rw\n");
	g_autoptr(SfPlan) plan = NULL;
	g_autofree char *text = NULL;
	const SfTarget *btrfs;

	/* One of its devices lies in a file on /srv, which was mounted later. */
	fake_machine_loop(machine, "loop0", "7:0", "/srv/a.img");
	fake_machine_btrfs(machine, "6a7f", "vda2");
	fake_machine_btrfs(machine, "6a7f", "loop0");
	fake_machine_write(machine, "sys/fs/btrfs/features/x", "1");
	plan = rig_plan(machine);
	text = rig_spell(plan);
	g_assert_cmpstr(text, ==, "/lost! /a /srv / [1<2]");
	btrfs = rig_target(plan, 1);
	g_assert_cmpuint(btrfs->devices->len, ==, 2);
	g_assert_cmpuint(rig_target(plan, 0)->devices->len, ==, 0);

	/* One of its devices has gone: not all are known any more, so it goes first. */
	fake_machine_link(machine, "sys/fs/btrfs/6a7f/devices/gone", "/nonexistent");
	rig_assert_plan(machine, "/lost! /srv /a! /");
}

static void test_xfs_log(void)
{
	g_autoptr(FakeMachine) machine =
		rig_machine("22 20 253:2 / /x rw - xfs /dev/vda2 rw,attr2,logdev=/dev/loop0,"
			    "rtdev=/dev/vda3,noquota\n"
			    "23 20 253:4 / /srv rw - ext4 /dev/vda4 rw\n"
			    "24 20 253:16 / /y rw - xfs /dev/vdb rw,logdev=/dev/gone\n");
	g_autoptr(SfPlan) plan = NULL;
	g_autofree char *text = NULL;

	fake_machine_disk(machine, "vdb", "253:16", "pci0000:00/virtio2");
	fake_machine_loop(machine, "loop0", "7:0", "/srv/log.img");
	plan = rig_plan(machine);
	text = rig_spell(plan);
	g_assert_cmpstr(text, ==, "/y! /x /srv / [1<2]");
	g_assert_cmpuint(rig_target(plan, 1)->devices->len, ==, 3);
}

static void test_ext4_journal(void)
{
	g_autoptr(FakeMachine) machine = rig_machine("22 20 253:2 / /x rw - ext4 /dev/vda2 rw\n"
						     "23 20 253:4 / /srv rw - ext4 /dev/vda4 rw\n");
	g_autoptr(SfPlan) plan = NULL;

	fake_machine_loop(machine, "loop0", "7:0", "/srv/journal.img");
	fake_machine_write(machine, "proc/fs/jbd2/vda1-8/info", "");
	fake_machine_write(machine, "proc/fs/jbd2/vda4-8/info", "");
	/* /x has no journal within, so the one on a device may be its. */
	fake_machine_write(machine, "proc/fs/jbd2/loop0/info", "");
	rig_assert_plan(machine, "/x /srv / [0<1]");
	/* But who can tell: its writes are no evidence against /x. */
	plan = rig_plan(machine);
	g_assert_cmpuint(rig_target(plan, 0)->devices->len, ==, 1);
	fake_machine_write(machine, "proc/fs/jbd2/vda2-8/info", "");
	rig_assert_plan(machine, "/srv /x /");
}

/* Newer kernels tell whose journal it is. */
static void test_ext4_journal_task(void)
{
	g_autoptr(FakeMachine) machine = rig_machine("22 20 253:2 / /x rw - ext4 /dev/vda2 rw\n"
						     "23 20 253:4 / /srv rw - ext4 /dev/vda4 rw\n");
	g_autoptr(SfPlan) plan = NULL;

	/* The root has no journal at all: not to be taken for one that waits for /srv. */
	fake_machine_loop(machine, "loop0", "7:0", "/srv/journal.img");
	fake_machine_write(machine, "proc/fs/jbd2/loop0/info", "");
	fake_machine_write(machine, "proc/fs/jbd2/vda3/info", "");
	fake_machine_write(machine, "sys/fs/ext4/vda1/journal_task", "<none>\n");
	fake_machine_write(machine, "sys/fs/ext4/vda4/journal_task", "<none>\n");
	fake_machine_write(machine, "sys/fs/ext4/vda2/journal_task", "88\n");
	fake_machine_write(machine, "proc/88/comm", "jbd2/loop0\n");
	rig_assert_plan(machine, "/x /srv / [0<1]");
	plan = rig_plan(machine);
	g_assert_cmpuint(rig_target(plan, 0)->devices->len, ==, 2);
	/* On another: nothing to wait for. */
	fake_machine_write(machine, "proc/88/comm", "jbd2/vda3\n");
	rig_assert_plan(machine, "/srv /x /");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/plan-backing/loop", test_loop);
	g_test_add_func("/plan-backing/loop-holders", test_loop_holders);
	g_test_add_func("/plan-backing/loop-on-overlay", test_loop_on_overlay);
	g_test_add_func("/plan-backing/hidden-backing", test_hidden_backing);
	g_test_add_func("/plan-backing/cycle", test_cycle);
	g_test_add_func("/plan-backing/damaged-sysfs", test_damaged_sysfs);
	g_test_add_func("/plan-backing/btrfs", test_btrfs);
	g_test_add_func("/plan-backing/xfs-log", test_xfs_log);
	g_test_add_func("/plan-backing/ext4-journal", test_ext4_journal);
	g_test_add_func("/plan-backing/ext4-journal-task", test_ext4_journal_task);
	return g_test_run();
}
